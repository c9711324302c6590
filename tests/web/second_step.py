"""The second step as tests take it: turned on for somebody, and a sign-in that still owes its code."""

from passlib.totp import TOTP

from portal.accounts import two_step
from portal.core.sealed import Box
from tests.web.client import Tab


def two_step_on(scene, person):
    """Turns two-step on for somebody; gives the app on the phone, with its first code used up."""
    number, box = person.id, Box(scene.app.extensions["settings"].details_key, "two-step")
    scene.do(lambda: two_step.begin(number, called="x", issuer="Friends", keep=box, at=scene.at))
    offered = two_step.offered(number, called="x", issuer="Friends", keep=box)
    app = TOTP(key=offered.secret.replace(" ", ""))
    first = app.generate(scene.at).token
    codes = two_step.make_codes(number)
    scene.do(lambda: two_step.turn_on(number, first, codes=codes, keep=box, at=scene.at))
    scene.later(seconds=31)
    return app


def half(scene, person):
    """A tab in which somebody has given the password and owes the code."""
    tab = Tab(scene.app)
    assert tab.try_to_sign_in(person.email).path == "/login/code"
    return tab
