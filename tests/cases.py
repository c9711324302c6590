"""Cases: which of the field's known cases (docs/cases.md, by number) the tests of a run keep.

A test says `@pytest.mark.case(14, 15)`. A case is passed if every test that carries its number ran and passed, and
at least one did. The last line of the output says how many there are and which are still open.
"""

import pytest

HOW_MANY = 117


class Cases:
    """Gathers reports as they come in, from this process or from xdist's workers, and prints the closing line."""

    def __init__(self) -> None:
        self.good: dict[int, set[str]] = {}
        self.bad: set[int] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        numbers = {value for name, value in report.user_properties if name == "case"}
        if not report.passed:
            self.bad |= numbers
        elif report.when == "call":
            for number in numbers:
                self.good.setdefault(number, set()).add(report.nodeid)

    def line(self) -> str:
        """`Cases: 57 of 117 passed, 60 open (1, 2, …)`."""
        passed = self.good.keys() - self.bad
        still_open = [str(number) for number in range(1, HOW_MANY + 1) if number not in passed]
        listed = f" ({', '.join(still_open)})" if still_open else ""
        return f"Cases: {len(passed)} of {HOW_MANY} passed, {len(still_open)} open{listed}"

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and not config.option.collectonly:
            terminal.write_line(self.line())


def label(items: list[pytest.Item]) -> None:
    """Gives each test's reports the numbers of its cases; a number that is no case is an error."""
    for item in items:
        for mark in item.iter_markers("case"):
            for number in mark.args:
                if number not in range(1, HOW_MANY + 1):
                    raise pytest.UsageError(f"{item.nodeid}: there is no case {number}")
                item.user_properties.append(("case", number))
