"""The demo's page of components: it shows every macro, and is not there outside the demo."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from portal import create_app
from tests.conftest import close
from tests.web.client import Tab

FOLDER = Path(__file__).parents[2] / "templates"
PAGE = (FOLDER / "components" / "components.html").read_text()


@pytest.fixture
def demo(scene, settings):
    """A tab of the demo, on the scene's database."""
    app = create_app(replace(settings, demo=True))
    with app.app_context():
        yield Tab(app)
        close(app)


def macros(name):
    """The macros of a file: name -> its body."""
    text = re.sub(r"{#.*?#}", "", (FOLDER / "macros" / f"{name}.html").read_text(), flags=re.DOTALL)
    return dict(re.findall(r"{% macro (\w+)\((?:.*?)\) -?%}(.*?){%-? endmacro", text, re.DOTALL))


@pytest.mark.parametrize("name", ["ui", "forms", "charts"])
def test_it_shows_every_macro(name):
    bodies = macros(name)
    assert len(bodies) > 3
    shown, more = set(), set(re.findall(rf"\b{name}\.(\w+)\(", PAGE)) & bodies.keys()
    while more:
        shown |= more
        within = " ".join(bodies[macro] for macro in more)
        more = (set(re.findall(r"(?<![.\w])(\w+)\(", within)) & bodies.keys()) - shown
    assert not bodies.keys() - shown


def test_it_is_a_page_like_others(demo):
    page = demo.get("/dev/components")
    assert page.status == 200 and page.heading == "Components"
    assert "11 things need your attention" in page.main
    assert demo.get("/dev/mail").status == 200


def test_its_buttons_do_nothing_and_say_so(demo):
    page = demo.get("/dev/components")
    form = next(form for form in page.forms if "Danger" in form.labels)
    assert "Nothing was changed" in demo.submit(form).main


def test_it_is_not_there_outside_the_demo(scene, tab):
    assert tab.get("/dev/components").status == 404
    assert tab.get("/dev/mail").status == 404
