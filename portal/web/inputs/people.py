"""Forms about other people: roles, colleagues, suspension, erasure, keys."""

from flask_babel import lazy_gettext as _l
from wtforms import (
    BooleanField,
    DateField,
    EmailField,
    HiddenField,
    PasswordField,
    SelectField,
    SelectMultipleField,
    StringField,
)
from wtforms.validators import DataRequired, InputRequired, Optional, ValidationError
from wtforms.widgets import CheckboxInput

from portal.accounts.api_keys import Scope
from portal.notices.events import Event
from portal.web.inputs.account import Deletion, OnceMore
from portal.web.inputs.fields import LONGEST_PASSWORD, Form, LinesField, an_address, at_most, of, without_nul

LATEST_YEAR = 2200


class ApiKey(Form):
    """A key of the API. `form_key` is new with each opening: sent twice, the form makes one key."""

    form_key = HiddenField()
    name = StringField(_l("What is it for?"), validators=[InputRequired(_l("Name the key.")), at_most(60), without_nul])
    scopes = SelectMultipleField(
        _l("What may it do?"),
        choices=of({scope: scope for scope in Scope}),
        option_widget=CheckboxInput(),
        validators=[DataRequired(_l("Choose at least one thing that the key may do."))],
    )
    ends_on = DateField(_l("Until, with this day"), validators=[Optional()])

    def validate_ends_on(self, field: DateField) -> None:
        """A day whose end there is in every time zone."""
        if field.data and field.data.year >= LATEST_YEAR:
            raise ValidationError(_l("Write a day of this century."))


class WebhookEvents(Form):
    """Which events an address is told of."""

    events = SelectMultipleField(
        _l("Events"),
        choices=of({event: event for event in Event}),
        option_widget=CheckboxInput(),
        validators=[DataRequired(_l("Choose at least one event."))],
    )


class Webhook(WebhookEvents):
    """An address that is told."""

    url = StringField(
        _l("Address"),
        filters=[lambda text: (text or "").strip()],
        validators=[InputRequired(_l("Write an address such as https://shop.example.com/webhooks.")), at_most(500)],
    )


class Role(Form):
    """A role to give; that of an owner is given by one's own password."""

    current = PasswordField(_l("Your own password"), validators=[Optional(), at_most(LONGEST_PASSWORD)])
    role = SelectField(
        _l("Role"),
        choices=of(
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
        validators=[InputRequired(_l("Enter an e-mail like name@example.com.")), at_most(254), an_address],
    )
    name = StringField(_l("Name"), validators=[Optional(), at_most(80), without_nul])
    role = SelectField(_l("Role"), choices=Role.role.kwargs["choices"])
    current = PasswordField(_l("Your own password"), validators=[Optional(), at_most(LONGEST_PASSWORD)])


class Because(OnceMore):
    """Something about somebody that an owner does with a reason and their own password."""

    note = LinesField(_l("Reason"), validators=[DataRequired(_l("Write why.")), at_most(500), without_nul])


class Tier(Form):
    """At which step of the tiers a referrer is to be, and why; the view fills the steps in."""

    counts_as = SelectField(_l("Step of the tiers"), coerce=int, validate_choice=False)
    note = LinesField(
        _l("Reason, for colleagues"), validators=[DataRequired(_l("Write why.")), at_most(500), without_nul]
    )


class Erasure(Deletion):
    """An owner deletes somebody's account, by their own password."""

    sure = BooleanField(
        _l("Delete this account for good"), validators=[DataRequired(_l("Tick the box if you want this."))]
    )
