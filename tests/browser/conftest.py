"""A real browser on a real server: Debian's Chromium, the app in a thread of this process so that clocks can move."""

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import Browser, BrowserContext, Page
from werkzeug.serving import make_server

from portal import create_app
from portal.config import Settings
from tests.conftest import close, missing

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
"""Debian's Chromium: without a window, a third quicker than the whole one, which serves as well."""

DESCRIPTION = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
"""What the browser says of itself; without it Chromium says *Headless*, and the portal takes it for the robot it is."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict) -> dict:
    """Debian's Chromium, which asks nobody outside for anything."""
    if CHROMIUM is None:
        missing("There is no Chromium: install Debian's package chromium-headless-shell or chromium.")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": quiet}


@pytest.fixture
def settings(settings: Settings, unused_port: int) -> Settings:
    """The settings of a portal that is reached at its own port."""
    return replace(settings, port=unused_port, base_url=f"http://127.0.0.1:{unused_port}")


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture
def live(app: Flask, settings: Settings, compiled: FileSystemBytecodeCache) -> Iterator[str]:
    """The address of the app, served by a second application on the same database."""
    served = create_app(settings)
    served.jinja_env.bytecode_cache = compiled
    server = make_server("127.0.0.1", settings.port, served, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield settings.base_url
    server.shutdown()
    thread.join()
    server.server_close()
    with served.app_context():
        close(served)


class People:
    """Opens a browser of its own for each person, with script or without."""

    def __init__(self, browser: Browser, address: str, *, script: bool) -> None:
        self.browser, self.address, self.script = browser, address, script
        self.contexts: list[BrowserContext] = []

    def page(self) -> Page:
        """A page in a fresh browser profile."""
        context = self.browser.new_context(
            base_url=self.address, java_script_enabled=self.script, locale="en-GB", user_agent=DESCRIPTION
        )
        context.set_default_timeout(10_000)
        self.contexts.append(context)
        return context.new_page()

    def sign_in(self, email: str, password: str) -> Page:
        """Somebody signed in."""
        page = self.page()
        page.goto("/login")
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url("**/dashboard")
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()


WITH_SCRIPT, WITHOUT_SCRIPT = "with script", "without script"

AT_THE_DESK = pytest.mark.parametrize(
    "people",
    [WITH_SCRIPT, WITHOUT_SCRIPT] if os.environ.get("PORTAL_TEST_LONG") == "1" else [WITH_SCRIPT],
    indirect=True,
)
"""For colleagues' pages beside the queue, whose forms `tests/web` sends without script: without it in the long run only."""


@pytest.fixture(params=[WITH_SCRIPT, WITHOUT_SCRIPT])
def people(request: pytest.FixtureRequest, browser: Browser, live: str) -> Iterator[People]:
    """People with browsers of their own; once with script, once without."""
    opened = People(browser, live, script=request.param == WITH_SCRIPT)
    yield opened
    opened.close()
