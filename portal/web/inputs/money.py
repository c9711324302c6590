"""Forms about orders and money: orders, refunds, corrections, vouchers, payments."""

from flask import request
from flask_babel import lazy_gettext as _l
from wtforms import (
    DateField,
    DateTimeLocalField,
    Field,
    HiddenField,
    RadioField,
    SelectField,
    StringField,
)
from wtforms.validators import DataRequired, InputRequired, Length, Optional, ValidationError

from portal.rewards import corrections
from portal.rewards.refunds import RefundReason
from portal.web.inputs.fields import MOMENTS, AmountField, Form, LinesField, at_most, of, without_nul

LONGEST_CODE = 80


LONGEST_FILE = 400_000


class Failure(Form):
    failure = StringField(
        _l("Why did the payment fail?"),
        validators=[
            InputRequired(_l("Write why the payment failed; the person reads it.")),
            at_most(200),
            without_nul,
        ],
    )


class Payment(Form):
    """When money arrived, and what the bank calls it."""

    paid_on = DateField(_l("Paid on"), validators=[Optional()])
    bank_reference = StringField(_l("Reference of the bank"), validators=[Optional(), at_most(80), without_nul])


class Results(Form):
    """The answer of a bank, pasted or as a file."""

    text = LinesField(
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
    value = AmountField(_l("Each is worth"), validators=[InputRequired(_l("Write an amount.")), at_most(20)])
    codes = LinesField(
        _l("Codes, one a line"),
        validators=[InputRequired(_l("Paste at least one code.")), at_most(400000), without_nul, short_lines],
    )


class Correction(Form):
    """C5: a plus or a minus on a balance. `form_key` is new with each opening: sent twice, it counts once."""

    form_key = HiddenField()
    way = RadioField(
        _l("What should happen?"),
        choices=of({"plus": _l("Add to the balance"), "minus": _l("Take from the balance")}),
        validators=[InputRequired(_l("Choose one."))],
    )
    amount = AmountField(_l("Amount"), validators=[InputRequired(_l("Write an amount.")), at_most(20)])
    reason = LinesField(
        _l("Reason"),
        validators=[DataRequired(_l("Write why; the person reads it.")), at_most(corrections.LONGEST), without_nul],
    )


class Order(Form):
    """An order recorded by hand, in the place of the shop."""

    customer_email = StringField(_l("Customer's e-mail"), validators=[Optional(), at_most(254), without_nul])
    customer_external_id = StringField(
        _l("Customer's number in the shop"), validators=[Optional(), at_most(128), without_nul]
    )
    goal = SelectField(_l("What was reached"))
    external_id = StringField(
        _l("Number of the order"),
        validators=[InputRequired(_l("Write the number that the order has in the shop.")), at_most(128),
                    without_nul],
    )  # fmt: skip
    amount = AmountField(_l("Amount of the order"), validators=[Optional(), at_most(20)])
    occurred_at = DateTimeLocalField(_l("When"), format=MOMENTS, validators=[Optional()])


class Refund(Form):
    """A refund recorded by hand, in the place of the shop."""

    conversion_external_id = StringField(
        _l("Number of the order"),
        validators=[InputRequired(_l("Write the number that the order has in the shop.")), at_most(128),
                    without_nul],
    )  # fmt: skip
    external_id = StringField(
        _l("Number of the refund"),
        validators=[InputRequired(_l("Write the number that the refund has in the shop.")), at_most(128),
                    without_nul],
    )  # fmt: skip
    amount = AmountField(_l("Amount given back"), validators=[Optional(), at_most(20)])
    reason = RadioField(
        _l("Why"),
        choices=of(
            {
                RefundReason.REFUND: _l("Refund"),
                RefundReason.CHARGEBACK: _l("Chargeback"),
            }
        ),
        default=RefundReason.REFUND,
    )


class ImportedFile(Form):
    """A CSV file, or rows pasted from one. The file itself is read by the view."""

    kind = RadioField(
        _l("What is in it?"),
        choices=of({"customers": _l("Customers"), "orders": _l("Orders")}),
        validators=[InputRequired(_l("Choose one."))],
    )
    rows = LinesField(_l("Or paste the rows, with their heading"), validators=[Optional(), at_most(400000)])
