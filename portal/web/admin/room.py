"""The admin's room: the blueprint that the files beside this one fill, and what they share."""

from flask import Blueprint, current_app
from flask_babel import gettext

from portal.accounts.users import User
from portal.config import Settings

blueprint = Blueprint("admin", __name__, url_prefix="/admin")


def name_of(user_id: int | None) -> str:
    """Who did something, for colleagues; nobody: the terms."""
    return User.by_id(user_id).called if user_id else gettext("the terms")


def settings() -> Settings:
    """The settings from the environment."""
    found: Settings = current_app.extensions["settings"]
    return found
