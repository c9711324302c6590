"""The version stands in one place; what an operator reads and the latest heading of CHANGELOG.md agree with it."""

import re
import tomllib

from portal import VERSION
from portal.config import ROOT


def test_the_version_stands_in_one_place_and_the_changelog_agrees():
    told = re.findall(r"^## (\d+\.\d+\.\d+): .+$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert told[0] == VERSION, "the latest heading"
    numbers = [tuple(int(part) for part in one.split(".")) for one in told]
    assert numbers == sorted(set(numbers), reverse=True)
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["project"]["dynamic"] == ["version"] and "version" not in pyproject["project"]
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "portal.VERSION"}


def test_the_command_says_its_version(run):
    said = run("--version")
    assert (said.code, said.out) == (0, f"portal {VERSION}\n")
