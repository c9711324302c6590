"""Inputs: the forms people fill in. Each field says what is wrong with it in words; nothing typed is lost."""

import re
from typing import Any

from flask import request
from flask_babel import gettext
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    DateField,
    DateTimeLocalField,
    EmailField,
    Field,
    FileField,
    HiddenField,
    IntegerField,
    PasswordField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange, Optional, ValidationError

from portal.accounts import common_passwords, users
from portal.core import clock, colour, money
from portal.core.language import NAMES
from portal.core.text import one_line
from portal.delivery import wordings
from portal.payouts.methods import Kind
from portal.rewards import appeals, corrections, kinds
from portal.rewards.decisions import Reason
from portal.sharing import invites
from portal.web import words

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 128

LONGEST_CODE = 80

LONGEST_FILE = 400_000


MOMENTS = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
"""How browsers send a moment, and how somebody without the picker types it."""


class Form(FlaskForm):
    """A form whose fields hold text, as pages send it: no files and no JSON, which Flask-WTF would take as well."""

    class Meta(FlaskForm.Meta):
        def wrap_formdata(self, form: FlaskForm, formdata: Any) -> Any:
            found = super().wrap_formdata(form, formdata)
            return request.form if found is not None and found is not formdata else found


def _of(words: dict[str, Any]) -> list[SelectChoice]:
    """What can be chosen, as WTForms wants it: value -> words."""
    return [SelectChoice(value=str(value), label=label) for value, label in words.items()]


def without_nul(_form: Form, field: Field) -> None:
    """No NUL reaches the database: PostgreSQL refuses it."""
    if isinstance(field.data, str) and "\x00" in field.data:
        raise ValidationError(_l("This contains a character that cannot be kept."))


def an_address(_form: Form, field: Field) -> None:
    """An e-mail address, cleaned in place."""
    try:
        field.data = users.clean_email(field.data or "")
    except users.BadAddress as refusal:
        raise ValidationError(words.say(refusal)) from refusal


def folded(text: str | None) -> str:
    """A name as one line: no line breaks, controls or letters that nobody sees."""
    return one_line(text or "", 1000) if "\x00" not in (text or "") else str(text)


def something_left(_form: Form, field: Field) -> None:
    """A name of spaces or of letters that nobody sees is none."""
    if not field.data:
        raise ValidationError(_l("Name the program; friends read it."))


def a_currency(_form: Form, field: Field) -> None:
    field.data = (field.data or "").strip().upper()
    if not money.is_currency(field.data):
        raise ValidationError(_l("Write a currency's three letters, such as EUR."))


def a_web_address(_form: Form, field: Field) -> None:
    """An address of a site, by https or http."""
    if field.data and not re.fullmatch(r"https?://[^\s\\<>\"'@]+", field.data):
        raise ValidationError(_l("Write an address such as https://shop.example.com."))


def hosts(_form: Form, field: Field) -> None:
    """Names of hosts, one a line, such as `shop.example.com` or `localhost:3000`."""
    for host in (field.data or "").split():
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?", host, re.ASCII):
            raise ValidationError(_l("Write one site a line, such as blog.example.com."))


def a_time_zone(_form: Form, field: Field) -> None:
    if not clock.is_zone(field.data or ""):
        raise ValidationError(_l("Write a time zone such as Europe/Berlin."))


class WholeField(IntegerField):
    """A whole number in plain digits; `int` alone would take `1_000` and numbers that no check can compare."""

    data: Any

    def process_formdata(self, valuelist: list[str]) -> None:
        if valuelist and not re.fullmatch(r"\s*-?[0-9]{1,18}\s*", valuelist[0], re.ASCII):
            self.data = None
            raise ValueError(gettext("Write a whole number."))
        super().process_formdata(valuelist)


class AmountField(StringField):
    """An amount as people type it; `minor` holds minor units once `read` was called with the currency."""

    minor: int | None = None

    def read(self, currency: str) -> bool:
        """Reads the amount; whether it was fine. Empty is fine where it is optional."""
        text = (self.data or "").strip()
        if not text:
            self.minor = None
            return True
        try:
            self.minor = money.parse_major(words.untyped(text), currency)
        except money.BadAmount as bad:
            self.errors = [words.say(bad)]
            return False
        return True


def not_common(_form: Form, field: Field) -> None:
    """No password that is tried first, whoever's it is."""
    if common_passwords.knows(field.data or ""):
        raise ValidationError(gettext("This password is one that is tried first. Take another."))


def _password(label: Any) -> PasswordField:
    return PasswordField(
        label,
        validators=[
            InputRequired(_l("Use at least %(least)s characters.", least=SHORTEST_PASSWORD)),
            Length(min=SHORTEST_PASSWORD, message=_l("Use at least %(least)s characters.", least=SHORTEST_PASSWORD)),
            Length(max=LONGEST_PASSWORD, message=_l("Use at most %(most)s characters.", most=LONGEST_PASSWORD)),
            without_nul,
            not_common,
        ],
    )


class SignUp(Form):
    """B2: the friend's form. `ref` is the code that travels where there is no cookie, `code` one that was typed."""

    ref = HiddenField(filters=[lambda text: (text or "")[:100]])
    refused = HiddenField(filters=[lambda text: (text or "")[:100]])
    email = EmailField(
        _l("E-mail"),
        validators=[InputRequired(_l("Enter an e-mail like name@example.com.")), Length(max=254), an_address],
    )
    password = _password(_l("Password"))
    name = StringField(_l("First name"), validators=[Optional(), Length(max=80), without_nul])
    shows_name = BooleanField(_l("Show my first name to the friend who invited me"), default=True)
    code = StringField(_l("Have a code?"), validators=[Optional(), Length(max=100), without_nul])
    terms = BooleanField(_l("I accept the terms"), validators=[DataRequired(_l("Accept the terms to go on."))])


class Reset(Form):
    email = EmailField(
        _l("E-mail"),
        validators=[InputRequired(_l("Enter an e-mail like name@example.com.")), Length(max=254), an_address],
    )


class NewPassword(Form):
    password = _password(_l("New password"))


class SetUp(Form):
    """C9: the first owner and the program's offer."""

    email = EmailField(
        _l("Your e-mail"),
        validators=[InputRequired(_l("Enter an e-mail like name@example.com.")), Length(max=254), an_address],
    )
    name = StringField(_l("Your name"), validators=[Optional(), Length(max=80), without_nul])
    password = _password(_l("Password"))
    program_name = StringField(
        _l("Program name"),
        filters=[folded],
        validators=[
            InputRequired(_l("Name the program; friends read it.")),
            something_left,
            Length(max=80),
            without_nul,
        ],
    )
    currency = StringField(_l("Currency"), default="EUR", validators=[InputRequired(), a_currency])
    time_zone = StringField(
        _l("Time zone"), default="Europe/Berlin", validators=[InputRequired(), Length(max=64), a_time_zone]
    )
    referee_amount = AmountField(_l("A friend gets"), default="10", validators=[Optional(), Length(max=20)])
    referrer_amount = AmountField(_l("The referrer gets"), default="10", validators=[Optional(), Length(max=20)])
    minimum_order = AmountField(_l("For a first order of at least"), validators=[Optional(), Length(max=20)])
    hold_days = WholeField(
        _l("Days on hold after the order"), default=30, validators=[InputRequired(), NumberRange(0, 365)]
    )


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
        validators=[InputRequired(), something_left, Length(max=80), without_nul],
    )
    currency = StringField(_l("Currency"), validators=[Optional(), a_currency])
    state = SelectField(_l("State"), choices=_of({"live": _l("Live"), "paused": _l("Paused"), "ended": _l("Ended")}))
    goal = SelectField(_l("What a friend must do to count"))
    touch = RadioField(
        _l("Which click earns the friend"), choices=_of({"last": _l("The last one"), "first": _l("The first one")})
    )
    window_days = WholeField(_l("Days that a click counts"), validators=[InputRequired(), NumberRange(1, 365)])
    claim_days = WholeField(_l("Days to say who invited one"), validators=[InputRequired(), NumberRange(0, 365)])
    goal_days = WholeField(
        _l("Days a friend has to reach the goal"), validators=[InputRequired(), NumberRange(1, 3650)]
    )
    minimum_payout = AmountField(_l("Smallest payout"), validators=[InputRequired(), Length(max=20)])
    auto_approve_below = AmountField(_l("Approve Clear rewards below"), validators=[Optional(), Length(max=20)])
    second_person_above = AmountField(
        _l("A second person approves batches above"), validators=[Optional(), Length(max=20)]
    )
    referrer_month_cap = AmountField(_l("Most that a referrer gets a month"), validators=[Optional(), Length(max=20)])
    referrer_year_cap = AmountField(_l("Most that a referrer gets a year"), validators=[Optional(), Length(max=20)])
    budget_month = AmountField(_l("Budget a month"), validators=[Optional(), Length(max=20)])
    time_zone = StringField(_l("Time zone"), validators=[InputRequired(), Length(max=64), a_time_zone])
    shop_url = StringField(
        _l("Address of the shop"), validators=[Optional(), Length(max=500), without_nul, a_web_address]
    )
    allowed_hosts = TextAreaField(
        _l("Other sites to which links may lead"), validators=[Optional(), Length(max=2000), without_nul, hosts]
    )
    help_contact = StringField(_l("Who helps"), validators=[Optional(), Length(max=200), without_nul])
    legal_text = TextAreaField(
        _l("Legal text"),
        filters=[lambda text: (text or "").replace("\r\n", "\n")],
        validators=[Optional(), Length(max=20000), without_nul],
    )
    mails_invites = BooleanField(_l("The portal writes to invited friends"))
    invites_a_day = WholeField(
        _l("Invites a referrer may make a day"), validators=[InputRequired(), NumberRange(1, 500)]
    )
    invites_an_address = WholeField(
        _l("Invites that one address gets in 30 days"), validators=[InputRequired(), NumberRange(1, 50)]
    )


def a_colour(_form: Form, field: Field) -> None:
    """A colour such as #4538cf, cleaned in place."""
    field.data = (field.data or "").strip().lower()
    if field.data and not field.data.startswith("#"):
        field.data = f"#{field.data}"
    if field.data and not colour.is_colour(field.data):
        raise ValidationError(_l("Write a colour such as #4538cf."))


class Look(Change):
    """The program's own colour and logo."""

    accent = StringField(_l("Colour"), validators=[Optional(), Length(max=20), a_colour])
    logo = FileField(_l("Logo"), validators=[Optional()])
    without_logo = BooleanField(_l("Take the logo away"))


class OfferedRule(Change):
    """A rule of the offer, to be added or to be changed."""

    goal = SelectField(_l("For"), id="rule-goal")
    beneficiary = SelectField(
        _l("Who gets it"), choices=_of({"referrer": _l("The referrer"), "referee": _l("The friend")})
    )
    kind = SelectField(
        _l("How much"), choices=_of({"fixed": _l("A fixed amount"), "share": _l("A share of the order")})
    )
    amount = AmountField(_l("Fixed amount"), validators=[Optional(), Length(max=20)])
    share = StringField(_l("Share in per cent"), validators=[Optional(), Length(max=10), without_nul])
    most = AmountField(_l("A share gives at most"), validators=[Optional(), Length(max=20)])
    minimum_order = AmountField(_l("For an order of at least"), validators=[Optional(), Length(max=20)])
    often = SelectField(_l("How often"), choices=_of({"first": _l("For the first one"), "every": _l("For every one")}))
    months = WholeField(_l("Every one, for so many months"), validators=[Optional(), NumberRange(1, 120)])
    hold_days = WholeField(_l("Days on hold"), default=30, validators=[InputRequired(), NumberRange(0, 365)])
    tiers = TextAreaField(_l("Steps"), validators=[Optional(), Length(max=500), without_nul])
    threshold = WholeField(_l("Only once, when so many friends count"), validators=[Optional(), NumberRange(1, 100000)])
    starts_on = DateField(_l("From"), validators=[Optional()])
    ends_on = DateField(_l("Until, with this day"), validators=[Optional()])


class Goal(Form):
    name = StringField(
        _l("Name for machines"), validators=[InputRequired(_l("Name the goal.")), Length(max=32), without_nul]
    )
    label = StringField(
        _l("Name for people"), validators=[InputRequired(_l("Name the goal.")), Length(max=80), without_nul]
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


class PayoutMethod(Form):
    kind = RadioField(
        _l("How would you like to be paid?"),
        choices=_of(
            {
                Kind.CREDIT: _l("Shop credit"),
                Kind.VOUCHER: _l("Voucher codes"),
                Kind.PAYPAL: _l("PayPal"),
                Kind.BANK: _l("Bank transfer"),
            }
        ),
        validators=[InputRequired(_l("Choose one."))],
    )
    email = EmailField(_l("PayPal address"), validators=[Optional(), Length(max=254)])
    holder = StringField(_l("Account holder"), validators=[Optional(), Length(max=70), without_nul])
    iban = StringField(_l("IBAN"), validators=[Optional(), Length(max=50), without_nul])


class Rejection(Form):
    reason = SelectField(_l("Reason"), choices=_of({reason: _l(words.REASONS[reason]) for reason in Reason}))
    told = TextAreaField(
        _l("What the referrer reads"),
        validators=[InputRequired(_l("Write what the referrer should read.")), Length(max=500), without_nul],
    )
    note = TextAreaField(_l("Note for colleagues"), validators=[Optional(), Length(max=500), without_nul])


class Hold(Form):
    """Until the end of which day a reward is held, and why."""

    until = DateField(_l("Hold until"), validators=[InputRequired(_l("Choose a day."))])
    note = TextAreaField(
        _l("Reason, for colleagues"),
        validators=[InputRequired(_l("Write why it is held; colleagues read it.")), Length(max=500), without_nul],
    )


class ForColleagues(Form):
    text = TextAreaField(
        _l("Note for colleagues"),
        validators=[
            DataRequired(_l("Write something.")),
            Length(max=1000, message=_l("Use at most %(most)s characters.", most=1000)),
            without_nul,
        ],
    )


class QueueFilters(Form):
    """What of the queue is shown, and in which order; read from the address, so that it can be kept and sent on."""

    class Meta(Form.Meta):
        csrf = False

    assessment = SelectField(
        _l("Assessment"),
        default="",
        choices=_of({"": _l("All"), "clear": _l("Clear"), "check": _l("Check"), "risky": _l("Risky")}),
    )
    order = SelectField(
        _l("Order"),
        default="",
        choices=_of(
            {
                "": _l("Oldest first"),
                "newest": _l("Newest first"),
                "largest": _l("Largest first"),
                "smallest": _l("Smallest first"),
            }
        ),
    )
    least = AmountField(_l("At least"), validators=[Optional(), Length(max=20)])
    most = AmountField(_l("At most"), validators=[Optional(), Length(max=20)])
    rule = StringField(_l("Rule"), validators=[Optional(), Length(max=16), without_nul])
    older = IntegerField(
        _l("Waiting for at least"),
        validators=[Optional(), NumberRange(0, 3650, message=_l("Write a number of days from 0 to 3650."))],
    )
    referrer = StringField(_l("Referrer"), validators=[Optional(), Length(max=254), without_nul])

    @classmethod
    def names(cls) -> set[str]:
        """The names of the fields."""
        return {"assessment", "order", "least", "most", "rule", "older", "referrer"}


class Note(Form):
    """A reason for colleagues; needed."""

    note = TextAreaField(_l("Reason"), validators=[DataRequired(_l("Write why.")), Length(max=500), without_nul])


class Dismissal(Form):
    """Why there is nothing behind a signal; the light ones need no reason."""

    reason = TextAreaField(
        _l("Reason, for colleagues"),
        validators=[Optional(), Length(max=500, message=_l("Use at most %(most)s characters.", most=500)), without_nul],
    )


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


class Failure(Form):
    failure = StringField(
        _l("Why did the payment fail?"),
        validators=[
            InputRequired(_l("Write why the payment failed; the person reads it.")),
            Length(max=200),
            without_nul,
        ],
    )


class Payment(Form):
    """When money arrived, and what the bank calls it."""

    paid_on = DateField(_l("Paid on"), validators=[Optional()])
    bank_reference = StringField(_l("Reference of the bank"), validators=[Optional(), Length(max=80), without_nul])


class Results(Form):
    """The answer of a bank, pasted or as a file."""

    text = TextAreaField(
        _l("Lines of the file"),
        filters=[lambda text: text or _uploaded("file")],
        validators=[
            DataRequired(_l("Choose the file, or paste its lines.")),
            Length(max=LONGEST_FILE, message=_l("This is too long for one batch.")),
            without_nul,
        ],
    )


def _uploaded(name: str) -> str:
    """A small text file that came with the form; what is no text in it becomes a sign that fits nowhere."""
    found = request.files.get(name)
    return found.read(LONGEST_FILE + 1).decode("utf-8-sig", errors="replace") if found else ""


def short_lines(_form: Form, field: Field) -> None:
    """No line is longer than a voucher's code may be: a code that is cut would be worth nothing."""
    if any(len(" ".join(line.split())) > LONGEST_CODE for line in (field.data or "").splitlines()):
        raise ValidationError(_l("A code has at most %(most)s characters.", most=LONGEST_CODE))


class Vouchers(Form):
    value = AmountField(_l("Each is worth"), validators=[InputRequired(_l("Write an amount.")), Length(max=20)])
    codes = TextAreaField(
        _l("Codes, one a line"),
        validators=[InputRequired(_l("Paste at least one code.")), Length(max=400000), without_nul, short_lines],
    )


class ApiKey(Form):
    name = StringField(
        _l("What is it for?"), validators=[InputRequired(_l("Name the key.")), Length(max=60), without_nul]
    )


class Role(Form):
    """A role to give; that of an owner is given by one's own password."""

    current = PasswordField(_l("Your own password"), validators=[Optional(), Length(max=LONGEST_PASSWORD)])
    role = SelectField(
        _l("Role"),
        choices=_of(
            {
                "viewer": _l("Viewer"),
                "reviewer": _l("Reviewer"),
                "finance": _l("Finance"),
                "owner": _l("Owner"),
            }
        ),
    )


class Colleague(Form):
    """C5: who is to work on the program, and as what."""

    email = EmailField(
        _l("E-mail"),
        validators=[InputRequired(_l("Enter an e-mail like name@example.com.")), Length(max=254), an_address],
    )
    name = StringField(_l("Name"), validators=[Optional(), Length(max=80), without_nul])
    role = SelectField(_l("Role"), choices=Role.role.kwargs["choices"])
    current = PasswordField(_l("Your own password"), validators=[Optional(), Length(max=LONGEST_PASSWORD)])


class Correction(Form):
    """C5: a plus or a minus on a balance. `form_key` is new with each opening: sent twice, it counts once."""

    form_key = HiddenField()
    way = RadioField(
        _l("What should happen?"),
        choices=_of({"plus": _l("Add to the balance"), "minus": _l("Take from the balance")}),
        validators=[InputRequired(_l("Choose one."))],
    )
    amount = AmountField(_l("Amount"), validators=[InputRequired(_l("Write an amount.")), Length(max=20)])
    reason = TextAreaField(
        _l("Reason"),
        validators=[DataRequired(_l("Write why; the person reads it.")), Length(max=corrections.LONGEST), without_nul],
    )


class Order(Form):
    """An order recorded by hand, in the place of the shop."""

    customer_email = StringField(_l("Customer's e-mail"), validators=[Optional(), Length(max=254), without_nul])
    customer_external_id = StringField(
        _l("Customer's number in the shop"), validators=[Optional(), Length(max=128), without_nul]
    )
    goal = SelectField(_l("What was reached"))
    external_id = StringField(
        _l("Number of the order"),
        validators=[InputRequired(_l("Write the number that the order has in the shop.")), Length(max=128),
                    without_nul],
    )  # fmt: skip
    amount = AmountField(_l("Amount of the order"), validators=[Optional(), Length(max=20)])
    occurred_at = DateTimeLocalField(_l("When"), format=MOMENTS, validators=[Optional()])


class Refund(Form):
    """A refund recorded by hand, in the place of the shop."""

    conversion_external_id = StringField(
        _l("Number of the order"),
        validators=[InputRequired(_l("Write the number that the order has in the shop.")), Length(max=128),
                    without_nul],
    )  # fmt: skip
    external_id = StringField(
        _l("Number of the refund"),
        validators=[InputRequired(_l("Write the number that the refund has in the shop.")), Length(max=128),
                    without_nul],
    )  # fmt: skip
    amount = AmountField(_l("Amount given back"), validators=[Optional(), Length(max=20)])


class Referrer(Form):
    """Who has brought a friend, by an admin's decision."""

    named = StringField(
        _l("Code or e-mail address of the right referrer"),
        validators=[DataRequired(_l("Write a code or an address.")), Length(max=254), without_nul],
    )
    note = TextAreaField(
        _l("Reason, for colleagues"), validators=[DataRequired(_l("Write why.")), Length(max=500), without_nul]
    )


class ImportedFile(Form):
    """A CSV file, or rows pasted from one. The file itself is read by the view."""

    kind = RadioField(
        _l("What is in it?"),
        choices=_of({"customers": _l("Customers"), "orders": _l("Orders")}),
        validators=[InputRequired(_l("Choose one."))],
    )
    rows = TextAreaField(_l("Or paste the rows, with their heading"), validators=[Optional(), Length(max=400000)])


class Profile(Form):
    name = StringField(_l("Name"), validators=[Optional(), Length(max=80), without_nul])
    shows_name = BooleanField(_l("Show my first name to the friend who invited me"))


class Language(Form):
    language = SelectField(_l("Language"), choices=_of({"": _l("What my browser asks for"), **NAMES}))


class TimeZone(Form):
    time_zone = StringField(_l("Time zone"), validators=[Optional(), Length(max=64), a_time_zone])


class OnceMore(Form):
    """A form of one's own account that asks for the password once more."""

    current = PasswordField(
        _l("Your password"), validators=[InputRequired(_l("Enter your password.")), Length(max=LONGEST_PASSWORD)]
    )


class Address(OnceMore):
    email = EmailField(
        _l("New e-mail"),
        validators=[InputRequired(_l("Enter an e-mail like name@example.com.")), Length(max=254), an_address],
    )


class ChangePassword(OnceMore):
    password = _password(_l("New password"))


class NewPasskey(OnceMore):
    """Before the browser is asked: what to call the key."""

    name = StringField(_l("What to call it"), validators=[Optional(), Length(max=60), without_nul])


class Passkey(Form):
    """What the browser says for a passkey, in JSON, and how a new one is called."""

    answer = HiddenField(validators=[InputRequired(), Length(max=20_000), without_nul])
    name = HiddenField(validators=[Length(max=60), without_nul])


class SecondStep(Form):
    code = StringField(_l("Code"), validators=[InputRequired(_l("Enter the code.")), Length(max=40), without_nul])


class Deletion(OnceMore):
    """`gives_up`: the sum in minor units that the page told; `sure`: the box beside it."""

    gives_up = HiddenField(filters=[lambda text: (text or "")[:18]])
    sure = BooleanField(
        _l("Delete my account for good"), validators=[DataRequired(_l("Tick the box if you want this."))]
    )


class Because(OnceMore):
    """Something about somebody that an owner does with a reason and their own password."""

    note = TextAreaField(_l("Reason"), validators=[DataRequired(_l("Write why.")), Length(max=500), without_nul])


class Erasure(OnceMore):
    """An owner deletes somebody's account, by their own password; `gives_up`: the sum that the page told."""

    gives_up = HiddenField(filters=[lambda text: (text or "")[:18]])
    sure = BooleanField(_l("Delete this account for good"), validators=[DataRequired()])


class OwnCode(Form):
    code = StringField(
        _l("Your own code"), validators=[InputRequired(_l("Write a code.")), Length(max=100), without_nul]
    )


def without_links(form: Form, field: Field) -> None:
    """No address of the web or of a person in a note."""
    if invites.has_link(field.data or ""):
        raise ValidationError(gettext(invites.NO_LINKS))


class MailChoices(Form):
    """A5: which of the mails that one can do without somebody wants."""

    friends = BooleanField(_l("When a friend joins"))
    rewards = BooleanField(_l("When a reward is approved or becomes ready"))
    payouts = BooleanField(_l("When a payout went out, or what is missing for one"))
    digest = BooleanField(_l("Once a day, what waits for a decision"))


class Wording(Form):
    """The text of one mail, in one's own words."""

    subject = StringField(_l("Subject"), validators=[InputRequired(), Length(max=200), without_nul])
    body = TextAreaField(_l("Text"), validators=[InputRequired(), Length(max=wordings.LONGEST), without_nul])


class Invites(Form):
    """A1 and A2: the friends to invite, in any common form, and a note."""

    addresses = TextAreaField(
        _l("One or more e-mail addresses"),
        validators=[InputRequired(_l("Write at least one address.")), Length(max=5000), without_nul],
    )
    note = TextAreaField(
        _l("Personal note"),
        validators=[
            Optional(),
            Length(max=invites.LONGEST_NOTE, message=_l("Use at most %(most)s characters.", most=invites.LONGEST_NOTE)),
            without_nul,
            without_links,
        ],
    )
    remind = BooleanField(_l("Remind them once, after three days, unless they joined"), default=True)


class Claim(Form):
    named = StringField(
        _l("Their code or e-mail address"),
        validators=[DataRequired(_l("Write a code or an address.")), Length(max=254), without_nul],
    )


class Appeal(Form):
    text = TextAreaField(
        _l("What should we look at?"),
        validators=[
            DataRequired(_l("Write what we should look at.")),
            Length(max=appeals.LONGEST, message=_l("Use at most %(most)s characters.", most=appeals.LONGEST)),
            without_nul,
        ],
    )


class Answer(Form):
    answer = TextAreaField(_l("Answer"), validators=[InputRequired(), Length(max=appeals.LONGEST), without_nul])


class NewLink(Form):
    label = StringField(_l("Name"), validators=[Optional(), Length(max=60), without_nul])
    destination = StringField(_l("Leads to"), validators=[Optional(), Length(max=500), without_nul, a_web_address])
    code = StringField(_l("Own code"), validators=[Optional(), Length(max=64), without_nul])


class LinkName(Form):
    label = StringField(_l("Name"), validators=[Optional(), Length(max=60), without_nul])


def first_error(form: FlaskForm) -> str:
    """What is wrong first, for a form that is not shown again."""
    return next(str(error) for errors in form.errors.values() for error in errors)


class Only(Form):
    """A button: nothing but the token."""


def read_amounts(form: Form, currency: str) -> bool:
    """Reads every amount of a form in a currency; whether all were fine."""
    return all([field.read(currency) for field in form if isinstance(field, AmountField)])
