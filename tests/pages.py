"""Pages: how many pages and states a run looked at in a browser, in how many looks, and whether axe found anything.

A look is one page in one state, in one theme and width. A test that looks says `record_property("looks", 4)` and
`record_property("found", 0)`; a run that looked at nothing says nothing.
"""

import pytest


class Pages:
    """Gathers what tests report, from this process or from xdist's workers, and prints its line."""

    def __init__(self) -> None:
        self.pages = self.looks = self.found = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        said = dict(report.user_properties)
        if report.when == "call" and "looks" in said:
            self.pages += 1
            self.looks += int(said["looks"])
            self.found += int(said["found"])

    def line(self) -> str:
        """`Pages: 61 pages and states, 244 looks, nothing found by axe`."""
        found = f"{self.found} faults found by axe" if self.found else "nothing found by axe"
        return f"Pages: {self.pages} pages and states, {self.looks} looks, {found}"

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and self.pages:
            terminal.write_line(self.line())
