"""The demo's page of components: every macro of the pages in every state. Not there outside the demo."""

from datetime import datetime, timedelta
from types import SimpleNamespace

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from wtforms import (
    BooleanField,
    DateField,
    EmailField,
    FileField,
    HiddenField,
    IntegerField,
    PasswordField,
    RadioField,
    SelectField,
    StringField,
)
from wtforms.validators import InputRequired

from portal.core import clock
from portal.payouts.drawing import Why
from portal.payouts.payouts import BatchState
from portal.payouts.payouts import State as PayoutState
from portal.referrals.attribution import How
from portal.reports.referrer import Event
from portal.reports.status import Status, Word
from portal.rewards.rules import Beneficiary, Kind, Often, Rule
from portal.web import inputs

blueprint = Blueprint("components", __name__)

CURRENCY = "EUR"


class Sample(inputs.fields.Form):
    """A field of each kind."""

    kept = HiddenField()
    name = StringField("Name", validators=[InputRequired("Write a name.")])
    email = EmailField("E-mail", validators=[InputRequired("Write an address such as name@example.com.")])
    password = PasswordField("Password", validators=[InputRequired("Use at least 12 characters.")])
    amount = StringField("Amount", validators=[InputRequired("Write an amount like 12.50.")])
    days = IntegerField("Days", validators=[InputRequired("Write a number of days.")])
    on = DateField("From", validators=[InputRequired("Choose a day.")])
    reason = SelectField("Reason", choices=["Duplicate", "Refunded"], validators=[InputRequired("Choose a reason.")])
    note = inputs.fields.LinesField("Note", validators=[InputRequired("Write why."), inputs.fields.at_most(60)])
    file = FileField("File", validators=[InputRequired("Choose a file.")])
    kind = RadioField("How", choices=["credit", "bank"], validators=[InputRequired("Choose one.")])
    terms = BooleanField("I accept the terms", validators=[InputRequired("Tick this box.")])


def rule(**given: object) -> Rule:
    """A rule that is in no terms."""
    usual = {"goal": "purchase", "kind": Kind.FIXED, "amount_minor": 1000, "often": Often.FIRST, "hold_days": 14}
    return Rule(**usual | given)


@blueprint.get("/dev/components")
def components() -> ResponseReturnValue:
    """The page. Its samples are made up here and stand in no database."""
    at = clock.now()
    wrong = Sample(formdata=None, prefix="wrong-")
    wrong.validate()
    day = at + timedelta(days=11)
    shared = rule(kind=Kind.SHARE, amount_minor=None, share_bp=1000, most_minor=500, minimum_order_minor=3000)
    return render_template(
        "components/components.html",
        at=at,
        currency=CURRENCY,
        form=Sample(formdata=None),
        wrong=wrong,
        one_wrong=_one_wrong(),
        clawbacks=[
            {"gives_again": given, "refund": {"is_chargeback": by_bank}}
            for given, by_bank in ((False, False), (False, True), (True, True))
        ],
        statuses=[
            *(Status(word, day) for word in Word),
            Status(Word.REVERSED, day, charged_back=True),
            *_in_review(at),
        ],
        payout_states=list(PayoutState),
        batch_states=list(BatchState),
        whys=list(Why),
        hows=list(How),
        states=[SimpleNamespace(state=state, in_state_since=at) for state in ("live", "paused", "ended")],
        events=_events(),
        rules={
            "fixed": rule(minimum_order_minor=3000),
            "a share": shared,
            "a sign-up": rule(goal="signup"),
            "every order": rule(often=Often.EVERY, months=12),
            "a milestone": rule(threshold=10, amount_minor=5000),
        },
        offers=[
            {Beneficiary.REFERRER: rule(), Beneficiary.REFEREE: rule()},
            {Beneficiary.REFERRER: rule(), Beneficiary.REFEREE: shared},
            {Beneficiary.REFERRER: rule()},
            {Beneficiary.REFEREE: rule()},
            {},
        ],
        points=[((at - timedelta(days=29 - ago)).date(), (ago * 7) % 11 + ago // 3) for ago in range(30)],
    )


@blueprint.post("/dev/components")
def nothing() -> ResponseReturnValue:
    """What the page's sample buttons do."""
    flash("That was a sample. Nothing was changed.", "ok")
    return redirect(url_for(".components"))


def _one_wrong() -> Sample:
    """The form with one field wrong, for which there is no summary."""
    form = Sample(formdata=None, prefix="one-")
    form.email.errors = ["Write an address such as name@example.com."]
    return form


def _in_review(at: datetime) -> list[Status]:
    """In review, within the demo's deadline and past it."""
    waits = {"amount_minor": 1000, "waits": True, "person": SimpleNamespace(in_good_standing=True)}
    made = [SimpleNamespace(made_at=at - timedelta(days=ago), **waits) for ago in (1, 90)]
    return [Status(Word.IN_REVIEW, at + timedelta(days=9), reward) for reward in made]  # type: ignore[arg-type]


def _events() -> list[Event]:
    """A story with each kind of step in it."""
    at = clock.now() - timedelta(days=40)
    reward = SimpleNamespace(
        computation=[{"step": "fixed", "amount_minor": 1000}], currency=CURRENCY, hold_until=clock.now()
    )
    told = "This order came from somebody who was a customer before."
    kinds = [
        ("clicked", None, ""), ("code_typed", None, ""), ("code_told", None, ""), ("joined", None, ""),
        ("confirmed", None, ""), ("expired", None, ""), ("reached purchase", None, ""), ("reached signup", None, ""),
        ("reward_made", 1000, ""), ("approve", None, ""), ("undo", None, ""), ("reject", None, told),
        ("taken_back", -250, ""), ("charged_back", -750, ""), ("given_again", 750, ""), ("ready", None, ""),
        ("paid", 750, ""),
    ]  # fmt: skip
    return [
        Event(at + timedelta(days=2 * number), kind, minor, CURRENCY, reward, text)  # type: ignore[arg-type]
        for number, (kind, minor, text) in enumerate(kinds)
    ]
