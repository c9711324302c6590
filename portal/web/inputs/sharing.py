"""Forms of a referrer: invites, links, claims, appeals, how to be paid."""

from flask_babel import gettext
from flask_babel import lazy_gettext as _l
from wtforms import (
    BooleanField,
    EmailField,
    Field,
    RadioField,
    StringField,
)
from wtforms.validators import DataRequired, InputRequired, Optional, ValidationError

from portal.payouts.methods import Kind
from portal.rewards import appeals
from portal.sharing import invites
from portal.web.inputs.fields import Form, LinesField, a_web_address, at_most, of, without_nul


class PayoutMethod(Form):
    kind = RadioField(
        _l("How would you like to be paid?"),
        choices=of(
            {
                Kind.CREDIT: _l("Shop credit"),
                Kind.VOUCHER: _l("Voucher codes"),
                Kind.PAYPAL: _l("PayPal"),
                Kind.BANK: _l("Bank transfer"),
            }
        ),
        validators=[InputRequired(_l("Choose one."))],
    )
    email = EmailField(_l("PayPal address"), validators=[Optional(), at_most(254)])
    holder = StringField(_l("Account holder"), validators=[Optional(), at_most(70), without_nul])
    iban = StringField(_l("IBAN"), validators=[Optional(), at_most(50), without_nul])


class OwnCode(Form):
    code = StringField(_l("Your own code"), validators=[InputRequired(_l("Write a code.")), at_most(100), without_nul])


def without_links(form: Form, field: Field) -> None:
    """No address of the web or of a person in a note."""
    if invites.has_link(field.data or ""):
        raise ValidationError(gettext(invites.NO_LINKS))


class Invites(Form):
    """A1 and A2: the friends to invite, in any common form, and a note."""

    addresses = LinesField(
        _l("One or more e-mail addresses"),
        validators=[InputRequired(_l("Write at least one address.")), at_most(5000), without_nul],
    )
    note = LinesField(
        _l("Personal note"),
        validators=[
            Optional(),
            at_most(invites.LONGEST_NOTE),
            without_nul,
            without_links,
        ],
    )
    remind = BooleanField(_l("Remind them once, after three days, unless they joined"), default=True)


class Claim(Form):
    named = StringField(
        _l("Their code or e-mail address"),
        validators=[DataRequired(_l("Write a code or an address.")), at_most(254), without_nul],
    )


class Appeal(Form):
    text = LinesField(
        _l("What should we look at?"),
        validators=[
            DataRequired(_l("Write what we should look at.")),
            at_most(appeals.LONGEST),
            without_nul,
        ],
    )


class NewLink(Form):
    label = StringField(_l("Name"), validators=[Optional(), at_most(60), without_nul])
    destination = StringField(_l("Leads to"), validators=[Optional(), at_most(500), without_nul, a_web_address])
    code = StringField(_l("Own code"), validators=[Optional(), at_most(64), without_nul])


class LinkName(Form):
    label = StringField(_l("Name"), validators=[Optional(), at_most(60), without_nul])
