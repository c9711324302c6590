"""Forms of signing up and of one's own account."""

from flask_babel import lazy_gettext as _l
from wtforms import (
    BooleanField,
    EmailField,
    HiddenField,
    PasswordField,
    SelectField,
    StringField,
)
from wtforms.validators import DataRequired, InputRequired, Optional

from portal.core.language import NAMES
from portal.web.inputs.fields import (
    LONGEST_PASSWORD,
    Form,
    a_time_zone,
    an_address,
    at_most,
    new_password,
    of,
    without_nul,
)


class SignUp(Form):
    """B2: the friend's form. `ref` is the code that travels where there is no cookie, `code` one that was typed."""

    ref = HiddenField(filters=[lambda text: (text or "")[:100]])
    refused = HiddenField(filters=[lambda text: (text or "")[:100]])
    email = EmailField(
        _l("E-mail"),
        validators=[InputRequired(_l("Enter an e-mail like name@example.com.")), at_most(254), an_address],
    )
    password = new_password(_l("Password"))
    name = StringField(_l("First name"), validators=[Optional(), at_most(80), without_nul])
    shows_name = BooleanField(_l("Show my first name to the friend who invited me"), default=True)
    code = StringField(_l("Have a code?"), validators=[Optional(), at_most(100), without_nul])
    terms = BooleanField(_l("I accept the terms"), validators=[DataRequired(_l("Accept the terms to go on."))])


class Reset(Form):
    email = EmailField(
        _l("E-mail"),
        validators=[InputRequired(_l("Enter an e-mail like name@example.com.")), at_most(254), an_address],
    )


class NewPassword(Form):
    password = new_password(_l("New password"))


class Confirmation(NewPassword):
    """By who did not sign up here: what somebody else may have typed can be set right."""

    name = StringField(_l("First name"), validators=[Optional(), at_most(80), without_nul])


class Profile(Form):
    name = StringField(_l("Name"), validators=[Optional(), at_most(80), without_nul])
    shows_name = BooleanField(_l("Show my first name to the friend who invited me"))


class Language(Form):
    language = SelectField(_l("Language"), choices=of({"": _l("What my browser asks for"), **NAMES}))


class TimeZone(Form):
    time_zone = StringField(_l("Time zone"), validators=[Optional(), at_most(64), a_time_zone])


class OnceMore(Form):
    """A form of one's own account that asks for the password once more."""

    current = PasswordField(
        _l("Your password"), validators=[InputRequired(_l("Enter your password.")), at_most(LONGEST_PASSWORD)]
    )


class Address(OnceMore):
    email = EmailField(
        _l("New e-mail"),
        validators=[InputRequired(_l("Enter an e-mail like name@example.com.")), at_most(254), an_address],
    )


class ChangePassword(OnceMore):
    password = new_password(_l("New password"))


class NewPasskey(OnceMore):
    """Before the browser is asked: what to call the key."""

    name = StringField(_l("What to call it"), validators=[Optional(), at_most(60), without_nul])


class Passkey(Form):
    """What the browser says for a passkey, in JSON, and how a new one is called."""

    answer = HiddenField(validators=[InputRequired(), at_most(20_000), without_nul])
    name = HiddenField(validators=[at_most(60), without_nul])


class SecondStep(Form):
    code = StringField(_l("Code"), validators=[InputRequired(_l("Enter the code.")), at_most(40), without_nul])


class Deletion(OnceMore):
    """`gives_up`: the sum in minor units that the page told; `sure`: the box beside it."""

    gives_up = HiddenField(filters=[lambda text: (text or "")[:18]])
    sure = BooleanField(
        _l("Delete my account for good"), validators=[DataRequired(_l("Tick the box if you want this."))]
    )

    @property
    def gives_up_minor(self) -> int:
        """The sum; for what is none, one that nobody gives up."""
        return int(self.gives_up.data) if (self.gives_up.data or "").isdecimal() else -1


class MailChoices(Form):
    """A5: which of the mails that one can do without somebody wants."""

    friends = BooleanField(_l("When a friend joins"))
    rewards = BooleanField(_l("When a reward is approved or becomes ready"))
    payouts = BooleanField(_l("When a payout went out, or what is missing for one"))
    month = BooleanField(_l("Once a month, what it brought you"))
    digest = BooleanField(_l("Once a day, what waits for a decision"))
