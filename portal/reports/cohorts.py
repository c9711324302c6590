"""Cohorts: of the friends who joined in the same days, how many reached the goal how soon.

Invariant: the numbers are those of `facts`, read as `figures` reads them.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from portal.reports import figures
from portal.reports.facts import WITHIN_DAYS, Measure
from portal.reports.figures import Numbers, Range, Step, View

STEPS = (Step.WEEK, Step.MONTH)
"""By what a range may be cut: of a single day there are too few friends to compare."""


@dataclass(frozen=True)
class Reached:
    """How many had reached the goal within a span; `final`: nobody can be added any more."""

    measure: Measure
    many: int
    final: bool


@dataclass(frozen=True)
class Cohort:
    """The friends who joined in these days; `reached` by span, the shortest first, and at last by now."""

    days: Range
    joined: int
    reached: list[Reached]

    @property
    def final_days(self) -> int:
        """Of which span, and the shorter ones, the number is final; 0 while each may still grow."""
        return max((WITHIN_DAYS[one.measure] for one in self.reached if one.final), default=0)


def cohorts(seen: View, within: Range, step: Step) -> list[Cohort]:
    """A range's cohorts, the oldest first, those without a friend left out."""
    found = ((days, numbers) for days, numbers in figures.pieces(seen, within, step) if numbers.joined)
    return [_cohort(days, numbers, seen.today) for days, numbers in found]


def together(seen: View, within: Range) -> Cohort:
    """All friends of a range."""
    return _cohort(within, figures.totals(seen, within), seen.today)


def usual_step(within: Range) -> Step:
    """By what a range is cut unless somebody asks for another one."""
    return Step.WEEK if within.days <= 100 else Step.MONTH


def _cohort(days: Range, numbers: Numbers, today: date) -> Cohort:
    spans = [
        Reached(measure, getattr(numbers, measure), final=days.last + timedelta(days=span) < today)
        for measure, span in WITHIN_DAYS.items()
    ]
    return Cohort(days, numbers.joined, [*spans, Reached(Measure.REACHED, numbers.reached, final=False)])
