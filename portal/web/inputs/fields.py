"""What forms are made of: fields, checks and their words. Each says what is wrong in words; nothing typed is lost."""

import re
from typing import Any
from urllib.parse import urlsplit

from flask import current_app, request
from flask_babel import gettext
from flask_babel import lazy_gettext as _l
from flask_security import current_user
from flask_wtf import FlaskForm
from wtforms import (
    Field,
    IntegerField,
    PasswordField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, ValidationError

from portal.accounts import common_passwords, near_words, users
from portal.core import clock, money
from portal.core.text import one_line
from portal.web import words

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 128


MOMENTS = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
"""How browsers send a moment, and how somebody without the picker types it."""


class Form(FlaskForm):
    """A form whose fields hold text, as pages send it: no files and no JSON, which Flask-WTF would take as well."""

    near: tuple[str, ...] = ()
    """What a new password is not made of, beside what is typed in the form: names of whoever it is for."""

    class Meta(FlaskForm.Meta):
        def wrap_formdata(self, form: FlaskForm, formdata: Any) -> Any:
            found = super().wrap_formdata(form, formdata)
            return request.form if found is not None and found is not formdata else found


def of(words: dict[str, Any]) -> list[SelectChoice]:
    """What can be chosen, as WTForms wants it: value -> words."""
    return [SelectChoice(value=str(value), label=label) for value, label in words.items()]


def without_nul(_form: Form, field: Field) -> None:
    """No NUL reaches the database: PostgreSQL refuses it."""
    if isinstance(field.data, str) and "\x00" in field.data:
        raise ValidationError(_l("This contains a character that cannot be kept."))


def at_most(most: int) -> Length:
    """So many characters and no more. Said here and not by the browser, which would cut what is pasted."""
    return Length(max=most, message=_l("Use at most %(max)s characters; these are %(length)s."))


def an_address(_form: Form, field: Field) -> None:
    """An e-mail address, cleaned in place."""
    try:
        field.data = users.clean_email(field.data or "")
    except users.BadAddress as refusal:
        raise ValidationError(words.say(refusal)) from refusal


def folded(text: str | None) -> str:
    """A name as one line: no line breaks, controls or letters that nobody sees."""
    return one_line(text or "", 1000) if "\x00" not in (text or "") else str(text)


def a_currency(_form: Form, field: Field) -> None:
    field.data = (field.data or "").strip().upper()
    if not money.is_currency(field.data):
        raise ValidationError(_l("Write a currency's three letters, such as EUR."))


def a_web_address(_form: Form, field: Field) -> None:
    """An address of a site, by https or http."""
    if field.data and not re.fullmatch(r"https?://[^\s\\<>\"'@]+", field.data):
        raise ValidationError(_l("Write an address such as https://shop.example.com."))


def a_time_zone(_form: Form, field: Field) -> None:
    """A time zone, written in place as it is called."""
    zone = clock.zone_named(field.data or "")
    if zone is None:
        raise ValidationError(_l("Write a time zone such as Europe/Berlin."))
    field.data = zone


class LinesField(TextAreaField):
    """A text of several lines, with the ends of lines that it is kept, compared and counted with: browsers send two
    characters for each."""

    def process_formdata(self, valuelist: list[str]) -> None:
        if valuelist:
            self.data = valuelist[0].replace("\r\n", "\n")


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


def not_blank(_form: Form, field: Field) -> None:
    """No password of blanks, or of letters that nobody sees."""
    if not one_line(field.data or "", LONGEST_PASSWORD):
        raise ValidationError(gettext("Use letters, digits or signs, not blanks alone."))


def not_common(_form: Form, field: Field) -> None:
    """No password that is tried first, whoever's it is."""
    if common_passwords.knows(field.data or ""):
        raise ValidationError(gettext("This password is one that is tried first. Take another."))


def not_of_near_words(form: Form, field: Field) -> None:
    """No password made of the names of the program and of its person, whether they are known or typed beside it."""
    typed = [form[name].data or "" for name in ("email", "name", "program_name") if name in form]
    known = [current_user.email, current_user.name or ""] if current_user.is_authenticated else []
    terms, settings = words.current_terms(), current_app.extensions["settings"]
    of_program = [terms.program_name, urlsplit(terms.shop_url).hostname or ""] if terms else []
    portals = urlsplit(settings.base_url).hostname or ""
    if near_words.are_all_of(field.data or "", *typed, *known, *of_program, portals, *form.near):
        raise ValidationError(gettext("This password is little more than a name that others know. Take another."))


def new_password(label: Any) -> PasswordField:
    return PasswordField(
        label,
        validators=[
            InputRequired(_l("Use at least %(least)s characters.", least=SHORTEST_PASSWORD)),
            Length(min=SHORTEST_PASSWORD, message=_l("Use at least %(least)s characters.", least=SHORTEST_PASSWORD)),
            at_most(LONGEST_PASSWORD),
            without_nul,
            not_blank,
            not_common,
            not_of_near_words,
        ],
    )


def first_error(form: FlaskForm) -> str:
    """What is wrong first, for a form that is not shown again."""
    return next(str(error) for errors in form.errors.values() for error in errors)


class Only(Form):
    """A button: nothing but the token."""


def read_amounts(form: Form, currency: str) -> bool:
    """Reads every amount of a form in a currency; whether all were fine."""
    return all([field.read(currency) for field in form if isinstance(field, AmountField)])
