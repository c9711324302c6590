"""Figures: sentences with numbers that a test has found, told at the end of the run.

A test says `record_property("figure", "Signals: 69 of 74 cheats raised")`; a run without any says nothing.
"""

import pytest


class Figures:
    """Gathers what tests report, from this process or from xdist's workers, and prints a line for each."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.told += [str(value) for name, value in report.user_properties if name == "figure"]

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            for line in self.told:
                terminal.write_line(line)
