"""Promises: each sentence the project gives stands in docs/promises.md with the tests that keep it."""

import ast
import re
from functools import cache

import pytest

from portal.config import ROOT

PAGE = ROOT / "docs" / "promises.md"


def promised() -> list[tuple[str, list[str]]]:
    """The rows of the page: a promise, and the tests named beside it."""
    rows = re.findall(r"^\| (?!promise|---)(.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    return [(promise, re.findall(r"`(tests/[^`]+)`", tests)) for promise, tests in rows]


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of the tests in a file."""
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {node.name for node in ast.walk(tree) if isinstance(node, functions) and node.name.startswith("test_")}
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    assigned = {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(names | {name for name in assigned if name.startswith("Test")})


def test_there_are_promises() -> None:
    assert len(promised()) >= 40


@pytest.mark.parametrize(
    ("promise", "tests"), promised(), ids=lambda value: value[:40] if isinstance(value, str) else ""
)
def test_every_promise_names_tests_that_exist(promise: str, tests: list[str]) -> None:
    assert tests, f"no test keeps “{promise}”"
    for one in tests:
        path, _, name = one.partition("::")
        assert (ROOT / path).is_file(), f"{path} is not there"
        assert name in names_in(path), f"{path} has no {name}"
