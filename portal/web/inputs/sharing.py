"""Forms of a referrer: invites, links, claims, appeals, how to be paid."""

from flask_babel import gettext
from flask_babel import lazy_gettext as _l
from wtforms import (
    BooleanField,
    EmailField,
    Field,
    RadioField,
    StringField,
    TextAreaField,
)
from wtforms.validators import DataRequired, InputRequired, Length, Optional, ValidationError

from portal.payouts.methods import Kind
from portal.rewards import appeals
from portal.sharing import invites
from portal.web.inputs.fields import Form, a_web_address, of, without_nul


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
    email = EmailField(_l("PayPal address"), validators=[Optional(), Length(max=254)])
    holder = StringField(_l("Account holder"), validators=[Optional(), Length(max=70), without_nul])
    iban = StringField(_l("IBAN"), validators=[Optional(), Length(max=50), without_nul])


class OwnCode(Form):
    code = StringField(
        _l("Your own code"), validators=[InputRequired(_l("Write a code.")), Length(max=100), without_nul]
    )


def without_links(form: Form, field: Field) -> None:
    """No address of the web or of a person in a note."""
    if invites.has_link(field.data or ""):
        raise ValidationError(gettext(invites.NO_LINKS))


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


class NewLink(Form):
    label = StringField(_l("Name"), validators=[Optional(), Length(max=60), without_nul])
    destination = StringField(_l("Leads to"), validators=[Optional(), Length(max=500), without_nul, a_web_address])
    code = StringField(_l("Own code"), validators=[Optional(), Length(max=64), without_nul])


class LinkName(Form):
    label = StringField(_l("Name"), validators=[Optional(), Length(max=60), without_nul])
