"""Other people's files in `static/vendor/` are exactly the published ones.

`CHECKSUMS.json` names each file with its package, version and sha512. A file that was altered, and a
file nobody listed, both fail here: an edit to a vendored file would be lost at its next update.
"""

import hashlib
import json
from pathlib import Path

import pytest

from portal.accounts import common_passwords

VENDOR = Path(__file__).parents[2] / "static" / "vendor"
LISTED = json.loads((VENDOR / "CHECKSUMS.json").read_text(encoding="utf-8"))["files"]


@pytest.mark.parametrize("entry", LISTED, ids=lambda entry: entry["path"])
def test_a_vendored_file_is_as_published(entry):
    digest = hashlib.sha512((VENDOR / entry["path"]).read_bytes()).hexdigest()
    assert digest == entry["sha512"], f"{entry['path']} is not {entry['package']} {entry['version']} as published"


def test_every_vendored_file_is_listed():
    found = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert found - {"CHECKSUMS.json"} == {entry["path"] for entry in LISTED}


def test_no_path_is_listed_twice():
    assert len({entry["path"] for entry in LISTED}) == len(LISTED)


def test_every_package_brings_its_licence():
    packages = {entry["package"] for entry in LISTED}
    assert packages == {entry["package"] for entry in LISTED if entry["published_as"] == "LICENSE"}


def test_the_list_of_common_passwords_is_the_one_that_was_taken_and_brings_its_licence():
    listed = common_passwords.LIST
    assert hashlib.sha512(listed.read_bytes()).hexdigest().startswith("ad12fd43c60f49908b12d740d2a2d389")
    assert "MIT License" in listed.with_suffix(".LICENSE").read_text()
