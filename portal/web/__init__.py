"""The web: the only room that knows HTTP. One blueprint a file."""

from flask import Flask

from portal.config import Settings
from portal.core.database import Quick


def create_web(app: Flask, settings: Settings, quick: Quick) -> None:
    """Gives the application its pages, its API and its manners."""
