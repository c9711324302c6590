"""Forms of the queue and of a referral: filters, rejection, hold, notes."""

from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import (
    BooleanField,
    DateField,
    IntegerField,
    SelectField,
    StringField,
)
from wtforms.validators import DataRequired, InputRequired, NumberRange, Optional

from portal.rewards import appeals
from portal.rewards.decisions import Reason
from portal.web import words
from portal.web.inputs.fields import AmountField, Form, LinesField, at_most, of, without_nul


class Rejection(Form):
    reason = SelectField(_l("Reason"), choices=of({reason: _l(words.REASONS[reason]) for reason in Reason}))
    told = LinesField(
        _l("What the referrer reads"),
        validators=[InputRequired(_l("Write what the referrer should read.")), at_most(500), without_nul],
    )
    note = LinesField(_l("Note for colleagues"), validators=[Optional(), at_most(500), without_nul])


class Hold(Form):
    """Until the end of which day a reward is held, and why."""

    until = DateField(_l("Hold until"), validators=[InputRequired(_l("Choose a day."))])
    note = LinesField(
        _l("Reason, for colleagues"),
        validators=[InputRequired(_l("Write why it is held; colleagues read it.")), at_most(500), without_nul],
    )


class ForColleagues(Form):
    text = LinesField(
        _l("Note for colleagues"),
        validators=[
            DataRequired(_l("Write something.")),
            at_most(1000),
            without_nul,
        ],
    )


class QueueFilters(Form):
    """What of the queue is shown, and in which order; read from the address, so that it can be kept and sent on."""

    class Meta(Form.Meta):
        csrf = False

    assessment = SelectField(
        _l("Assessment"),
        default="",
        choices=of({"": _l("All"), "clear": _l("Clear"), "check": _l("Check"), "risky": _l("Risky")}),
    )
    order = SelectField(
        _l("Order"),
        default="",
        choices=of(
            {
                "": _l("Oldest first"),
                "newest": _l("Newest first"),
                "largest": _l("Largest first"),
                "smallest": _l("Smallest first"),
            }
        ),
    )
    least = AmountField(_l("At least"), validators=[Optional(), at_most(20)])
    most = AmountField(_l("At most"), validators=[Optional(), at_most(20)])
    rule = StringField(_l("Rule"), validators=[Optional(), at_most(16), without_nul])
    older = IntegerField(
        _l("Waiting for at least"),
        validators=[Optional(), NumberRange(0, 3650, message=_l("Write a number of days from 0 to 3650."))],
    )
    referrer = StringField(_l("Referrer"), validators=[Optional(), at_most(254), without_nul])
    overdue = BooleanField(_l("Past the review deadline"))

    @classmethod
    def names(cls) -> set[str]:
        """The names of the fields."""
        return {"assessment", "order", "least", "most", "rule", "older", "referrer", "overdue"}


class Note(Form):
    """A reason for colleagues; needed."""

    note = LinesField(_l("Reason"), validators=[DataRequired(_l("Write why.")), at_most(500), without_nul])


class Dismissal(Form):
    """Why there is nothing behind a signal; the light ones need no reason."""

    reason = LinesField(
        _l("Reason, for colleagues"),
        validators=[Optional(), at_most(500), without_nul],
    )

    @classmethod
    def of(cls, kind: str, **given: Any) -> "Dismissal":
        """The form of a kind of signal, of several on one page."""
        made = cls(**given)
        made.reason.id = f"reason-{kind}"
        return made


class Referrer(Form):
    """Who has brought a friend, by an admin's decision."""

    named = StringField(
        _l("Code or e-mail address of the right referrer"),
        validators=[DataRequired(_l("Write a code or an address.")), at_most(254), without_nul],
    )
    note = LinesField(
        _l("Reason, for colleagues"), validators=[DataRequired(_l("Write why.")), at_most(500), without_nul]
    )


class Answer(Form):
    answer = LinesField(
        _l("Your answer; the person reads it"),
        validators=[InputRequired(_l("Write an answer.")), at_most(appeals.LONGEST), without_nul],
    )

    @classmethod
    def of(cls, appeal: str, **given: Any) -> "Answer":
        """The form of an appeal, of several on one page."""
        made = cls(**given)
        made.answer.id = f"answer-{appeal}"
        return made
