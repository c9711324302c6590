"""The poster: one's own link on a sheet, in the words of the offer, for printing."""

import re

from portal.config import ROOT
from portal.sharing import links
from portal.web.public import url_of
from tests.factories import REFEREE, fixed


def test_it_says_the_offer_the_code_and_the_address(scene, tab_of):
    scene.publish(fixed(2000), fixed(1000, to=REFEREE, minimum_order_minor=3000))
    code = scene.code(scene.alice)
    page = tab_of(scene.alice).get(f"/links/{code}/poster")
    assert page.heading == "Alice gives you €10"
    assert "€10.00 for your first order of at least €30.00" in page.main
    assert f"/r/{code}" in page.main and f"Code: {code}" in page.main and url_of(code).split("://")[1] in page.main
    (picture,) = [one for one in page.tree.all("img") if one.get("alt") == "QR code of your link"]
    assert picture.get("src") == f"/links/{code}/qr.svg"


def test_an_old_code_leads_to_the_poster_of_the_present_one(scene, tab_of):
    old = scene.code(scene.alice)
    scene.do(lambda: links.take_code(links.main_link(scene.alice.id), "ALICE-7K", at=scene.later(days=31)))
    page = tab_of(scene.alice).get(f"/links/{old}/poster")
    assert "Code: ALICE-7K" in page.main and old not in page.main


def test_while_the_program_is_paused_it_promises_nothing(scene, tab_of):
    scene.publish(fixed(2000), fixed(1000, to=REFEREE))
    scene.publish(state="paused")
    page = tab_of(scene.alice).get(f"/links/{scene.code(scene.alice)}/poster")
    assert page.heading == "Alice invites you to Friends"
    assert "€" not in page.main and "The program is paused since" in page.main
    assert not [one for one in page.tree.all("button") if "data-print" in one.attributes]


def test_printing_needs_no_script(scene, tab_of):
    """The button is there for scripts only; who has none reads how to print. What is not the poster is not printed."""
    page = tab_of(scene.alice).get(f"/links/{scene.code(scene.alice)}/poster")
    (button,) = [one for one in page.tree.all("button") if "data-print" in one.attributes]
    assert "needs-script" in button.get("class") and button.within("div").within("div").get("class").endswith(
        "no-print"
    )
    assert "<noscript><p" in page.html and "from your browser’s menu" in page.html
    styles = (ROOT / "static" / "css" / "layout.css").read_text()
    assert re.search(r"@media print \{\s*[^}]*\.site-header[^}]*\.no-print[^}]*display: none", styles)


def test_somebody_elses_is_not_there(scene, tab_of):
    assert tab_of(scene.carol).get(f"/links/{scene.code(scene.alice)}/poster").status == 404
