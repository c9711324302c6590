"""Every template, read as a text: what makes pages one portal, and safe, before any of them is rendered.

What only shows in a rendered page (exactly one h1, names, doubled ids) is linted by the tab that opens it; see lint.
"""

import re
from pathlib import Path

import pytest
from flask import Flask

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "templates"
EVERY = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.html"))
PAGES = [name for name in EVERY if name != "layout.html" and not name.startswith("macros/") and "/_" not in name]

PARENTS = {"errors/error.html"}
"""Pages that others extend."""

BY_OTHERS = ("errors/", "security/")
"""Rendered by a status' number, and by Flask-Security."""

OFFERS_BUTTONS_BY_STATE = {"admin/batch.html", "admin/referral.html"}
"""Where a state still decides which buttons are offered."""

HIDDEN_WORDS = {"WhatsApp", "CSV", "SVG", "PNG", "XLSX", "visitor", "session", "theme", "language"}
"""Names of things, the same in every language."""


def source(name: str) -> str:
    """A template without its comments."""
    return re.sub(r"{#.*?#}", "", (FOLDER / name).read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_stands_in_the_shell_and_has_a_title(name):
    parent = re.search(r'{% extends "([^"]+)" %}', source(name))
    assert parent and parent[1] in {"layout.html", *PARENTS}
    assert parent[1] in PARENTS or "{% block title %}" in source(name)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_a_heading(name):
    inherits = any(f'"{parent}"' in source(name) for parent in PARENTS)
    assert inherits or re.search(r"<h1|page_head\(", source(name))


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_inline_and_nothing_unescaped(name):
    text = source(name)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text, re.IGNORECASE)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
    assert not re.search(r"\|\s*safe\b|autoescape|Markup", text)


@pytest.mark.parametrize("name", EVERY)
def test_every_form_that_posts_carries_its_token(name):
    for form in re.findall(r'<form[^>]*method="post".*?</form>', source(name), flags=re.DOTALL | re.IGNORECASE):
        assert "csrf" in form


@pytest.mark.parametrize("name", EVERY)
def test_addresses_come_from_the_routes(name):
    assert not re.findall(r'(?:href|action|src)="/[^"]*"', source(name))


@pytest.mark.parametrize("name", EVERY)
def test_every_sentence_can_be_translated(name):
    text = re.sub(r"{%- set call %}.*?{% endset %}", "", source(name), flags=re.DOTALL)  # a command to copy
    text = re.sub(r"{% trans.*?{% endtrans %}|<(code|pre)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r"{%.*?%}|{{.*?}}", "", text, flags=re.DOTALL)
    spoken = re.findall(r'\s(?:alt|title|aria-label|placeholder)="([^"]*)"', text)
    words = re.findall(r"[^\W\d_]{2,}", " ".join([re.sub(r"<[^>]*>", " ", text, flags=re.DOTALL), *spoken]))
    assert not set(words) - HIDDEN_WORDS - {"doctype"}


@pytest.mark.parametrize("name", sorted({*EVERY} - {"macros/words.html"} - OFFERS_BUTTONS_BY_STATE))
def test_states_are_said_in_one_place(name):
    """A page asks macros/words.html for a state's word; what it may do, it is told by its view."""
    assert not re.findall(r"\.(?:state|status|word|why)\s*(?:==|!=|in\b|not in\b)", source(name))


def test_every_template_parses(app: Flask):
    for name in EVERY:
        app.jinja_env.get_template(name)


def test_views_render_the_pages_that_are_there():
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "portal").rglob("*.py"))
    rendered = set(re.findall(r'"([a-z_]+/[a-z_]+\.html)"', code))
    assert rendered <= set(EVERY)
    assert {name for name in PAGES if not name.startswith(BY_OTHERS)} <= rendered
