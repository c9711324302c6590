"""Forms of the owner: set-up, terms, look, rules, goals, signals, wordings."""

import re
from typing import Any

from flask_babel import gettext
from flask_babel import lazy_gettext as _l
from wtforms import (
    BooleanField,
    DateField,
    EmailField,
    Field,
    FileField,
    HiddenField,
    RadioField,
    SelectField,
    StringField,
)
from wtforms.validators import InputRequired, NumberRange, Optional, ValidationError

from portal.core import colour, money
from portal.delivery import wordings
from portal.rewards import kinds
from portal.web import words
from portal.web.inputs.fields import (
    AmountField,
    Form,
    LinesField,
    WholeField,
    a_currency,
    a_time_zone,
    a_web_address,
    an_address,
    at_most,
    folded,
    new_password,
    of,
    read_amounts,
    without_nul,
)


def something_left(_form: Form, field: Field) -> None:
    """A name of spaces or of letters that nobody sees is none."""
    if not field.data:
        raise ValidationError(_l("Name the program; friends read it."))


def hosts(_form: Form, field: Field) -> None:
    """Names of hosts, one a line, such as `shop.example.com` or `localhost:3000`."""
    for host in (field.data or "").split():
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?", host, re.ASCII):
            raise ValidationError(_l("Write one site a line, such as blog.example.com."))


class SetUp(Form):
    """C9: the first owner and the program's offer."""

    email = EmailField(
        _l("Your e-mail"),
        validators=[InputRequired(_l("Enter an e-mail like name@example.com.")), at_most(254), an_address],
    )
    name = StringField(_l("Your name"), validators=[Optional(), at_most(80), without_nul])
    password = new_password(_l("Password"))
    program_name = StringField(
        _l("Program name"),
        filters=[folded],
        validators=[
            InputRequired(_l("Name the program; friends read it.")),
            something_left,
            at_most(80),
            without_nul,
        ],
    )
    currency = StringField(_l("Currency"), default="EUR", validators=[InputRequired(), a_currency])
    time_zone = StringField(
        _l("Time zone"), default="Europe/Berlin", validators=[InputRequired(), at_most(64), a_time_zone]
    )
    referee_amount = AmountField(_l("A friend gets"), default="10", validators=[Optional(), at_most(20)])
    referrer_amount = AmountField(_l("The referrer gets"), default="10", validators=[Optional(), at_most(20)])
    minimum_order = AmountField(_l("For a first order of at least"), validators=[Optional(), at_most(20)])
    hold_days = WholeField(
        _l("Days on hold after the order"), default=30, validators=[InputRequired(), NumberRange(0, 365)]
    )

    def reads_offer(self) -> bool:
        """Reads the amounts; whether they are fine and somebody gets something."""
        if not read_amounts(self, self.currency.data):
            return False
        if not (self.referee_amount.minor or self.referrer_amount.minor):
            self.referee_amount.errors = [gettext("Name what at least one side gets.")]
            return False
        return True


class Change(Form):
    """A form that publishes a version: it says which one it was opened with."""

    version = HiddenField(render_kw={"id": False})

    @property
    def of(self) -> int:
        """The number of the version that it changes; 0 where it does not say."""
        number = str(self.version.data or "")
        return int(number) if re.fullmatch(r"[0-9]{1,9}", number, re.ASCII) else 0


class Program(Change):
    """The terms as the owner edits them; a version is published when it is saved."""

    program_name = StringField(
        _l("Program name"),
        filters=[folded],
        validators=[InputRequired(), something_left, at_most(80), without_nul],
    )
    currency = StringField(_l("Currency"), validators=[Optional(), a_currency])
    state = SelectField(_l("State"), choices=of({"live": _l("Live"), "paused": _l("Paused"), "ended": _l("Ended")}))
    goal = SelectField(_l("What a friend must do to count"))
    touch = RadioField(
        _l("Which click earns the friend"), choices=of({"last": _l("The last one"), "first": _l("The first one")})
    )
    window_days = WholeField(_l("Days that a click counts"), validators=[InputRequired(), NumberRange(1, 365)])
    claim_days = WholeField(_l("Days to say who invited one"), validators=[InputRequired(), NumberRange(0, 365)])
    goal_days = WholeField(
        _l("Days a friend has to reach the goal"), validators=[InputRequired(), NumberRange(1, 3650)]
    )
    minimum_payout = AmountField(_l("Smallest payout"), validators=[InputRequired(), at_most(20)])
    auto_approve_below = AmountField(_l("Approve Clear rewards below"), validators=[Optional(), at_most(20)])
    second_person_above = AmountField(
        _l("A second person approves batches above"), validators=[Optional(), at_most(20)]
    )
    referrer_month_cap = AmountField(_l("Most that a referrer gets a month"), validators=[Optional(), at_most(20)])
    referrer_year_cap = AmountField(_l("Most that a referrer gets a year"), validators=[Optional(), at_most(20)])
    budget_month = AmountField(_l("Budget a month"), validators=[Optional(), at_most(20)])
    time_zone = StringField(_l("Time zone"), validators=[InputRequired(), at_most(64), a_time_zone])
    shop_url = StringField(_l("Address of the shop"), validators=[Optional(), at_most(500), without_nul, a_web_address])
    allowed_hosts = LinesField(
        _l("Other sites to which links may lead"), validators=[Optional(), at_most(2000), without_nul, hosts]
    )
    help_contact = StringField(_l("Who helps"), validators=[Optional(), at_most(200), without_nul])
    product_text = LinesField(
        _l("What the product is"),
        validators=[
            Optional(),
            at_most(400),
            without_nul,
        ],
    )
    legal_text = LinesField(_l("Legal text"), validators=[Optional(), at_most(20000), without_nul])
    privacy_text = LinesField(_l("About privacy"), validators=[Optional(), at_most(20000), without_nul])
    pay_day = WholeField(
        _l("Pay day"),
        validators=[Optional(), NumberRange(1, 28, message=_l("Write a day from 1 to 28, or none."))],
    )
    review_days = WholeField(
        _l("Days to decide a reward"),
        validators=[Optional(), NumberRange(1, 60, message=_l("Write a number of days from 1 to 60, or none."))],
    )
    mails_invites = BooleanField(_l("The portal writes to invited friends"))
    invites_a_day = WholeField(
        _l("Invites a referrer may make a day"), validators=[InputRequired(), NumberRange(1, 500)]
    )
    invites_an_address = WholeField(
        _l("Invites that one address gets in 30 days"), validators=[InputRequired(), NumberRange(1, 50)]
    )


def a_colour(_form: Form, field: Field) -> None:
    """A colour such as #4538cf, or in short #fff for #ffffff; cleaned in place, and left as typed where it is none."""
    digits = (field.data or "").strip().lower().removeprefix("#")
    if not digits:
        field.data = ""
        return
    meant = "#" + ("".join(2 * digit for digit in digits) if len(digits) == 3 else digits)
    if not colour.is_colour(meant):
        raise ValidationError(
            _l("Write a colour as # and six digits or letters from a to f, such as #4538cf; not by its name.")
        )
    field.data = meant


class Look(Change):
    """The program's own colour and logo."""

    accent = StringField(_l("Colour"), validators=[Optional(), at_most(20), a_colour])
    logo = FileField(_l("Logo"), validators=[Optional()])
    without_logo = BooleanField(_l("Take the logo away"))


class Product(Change):
    """A picture of the product, and what is on it."""

    image = FileField(_l("Picture"), validators=[Optional()])
    image_text = StringField(_l("What is on it"), filters=[folded], validators=[Optional(), at_most(160), without_nul])
    without_image = BooleanField(_l("Take the picture away"))


class OfferedRule(Change):
    """A rule of the offer, to be added or to be changed."""

    goal = SelectField(_l("For"), id="rule-goal")
    beneficiary = SelectField(
        _l("Who gets it"), choices=of({"referrer": _l("The referrer"), "referee": _l("The friend")})
    )
    kind = SelectField(_l("How much"), choices=of({"fixed": _l("A fixed amount"), "share": _l("A share of the order")}))
    amount = AmountField(_l("Fixed amount"), validators=[Optional(), at_most(20)])
    share = StringField(_l("Share in per cent"), validators=[Optional(), at_most(10), without_nul])
    most = AmountField(_l("A share gives at most"), validators=[Optional(), at_most(20)])
    minimum_order = AmountField(_l("For an order of at least"), validators=[Optional(), at_most(20)])
    often = SelectField(_l("How often"), choices=of({"first": _l("For the first one"), "every": _l("For every one")}))
    months = WholeField(_l("Every one, for so many months"), validators=[Optional(), NumberRange(1, 120)])
    hold_days = WholeField(_l("Days on hold"), default=30, validators=[InputRequired(), NumberRange(0, 365)])
    tiers = LinesField(_l("Steps"), validators=[Optional(), at_most(500), without_nul])
    threshold = WholeField(_l("Only once, when so many friends count"), validators=[Optional(), NumberRange(1, 100000)])
    starts_on = DateField(_l("From"), validators=[Optional()])
    ends_on = DateField(_l("Until, with this day"), validators=[Optional()])


class Goal(Form):
    name = StringField(
        _l("Name for machines"), validators=[InputRequired(_l("Name the goal.")), at_most(32), without_nul]
    )
    label = StringField(
        _l("Name for people"), validators=[InputRequired(_l("Name the goal.")), at_most(80), without_nul]
    )
    has_amount = BooleanField(_l("It is an order with an amount"))


class NotAMeasure(ValueError):
    """A share or a step that cannot be read; `field` names where it stood."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def basis_points(text: str, field: str) -> int:
    """A share as people type it (`10`, `2.5`) in basis points. Raises NotAMeasure."""
    text = words.untyped(text.strip().removesuffix("%").strip())
    found = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?", text, re.ASCII)
    points = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else 0
    if not 0 < points <= 10_000:
        raise NotAMeasure(field, gettext("Write a share such as 10 or 2.5, at most 100."))
    return points


def tiers(text: str, currency: str | None) -> list[dict[str, int]]:
    """Steps as people type them, one a line: `5: 15.00` is 15.00 from the 5th reward on; without a currency shares.

    Raises NotAMeasure.
    """
    steps: list[dict[str, int]] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        start, _, worth = line.partition(":")
        if not re.fullmatch(r"[0-9]{1,6}", start.strip(), re.ASCII):
            raise NotAMeasure("tiers", gettext("Write a step a line, such as 5: 15.00."))
        if currency is None:
            steps.append({"from": int(start), "share_bp": basis_points(worth, "tiers")})
            continue
        try:
            steps.append({"from": int(start), "amount_minor": money.parse_major(words.untyped(worth), currency)})
        except money.BadAmount as bad:
            raise NotAMeasure("tiers", words.say(bad)) from bad
    return steps


class SignalWeight(Form):
    """What the owner makes of a kind of signal; many stand on one page, so each has ids of its own."""

    weight = WholeField(
        _l("Weight"),
        validators=[
            InputRequired(_l("Write a whole number from 0 to %(most)s.", most=kinds.MOST)),
            NumberRange(0, kinds.MOST, message=_l("Write a whole number from 0 to %(most)s.", most=kinds.MOST)),
        ],
    )
    is_on = BooleanField(_l("Look for this"))

    @classmethod
    def of(cls, kind: str, **given: Any) -> "SignalWeight":
        """The form of a kind."""
        made = cls(**given)
        for field in (made.weight, made.is_on):
            field.id = f"{field.name}-{kind}"
        return made


class Wording(Form):
    """The text of one mail, in one's own words."""

    subject = StringField(_l("Subject"), validators=[InputRequired(), at_most(200), without_nul])
    body = LinesField(_l("Text"), validators=[InputRequired(), at_most(wordings.LONGEST), without_nul])
