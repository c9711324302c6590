"""A tab of a browser for tests: keeps cookies (or none), fills in and sends forms, follows redirects, lints every page.

Never a 5xx, unless the test says so: the seventh invariant.
"""

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

from flask import Flask
from werkzeug.test import EnvironBuilder

from tests.factories import PASSWORD
from tests.web import lint
from tests.web.page import Form, Page

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HTTP, HTTPS = "http://127.0.0.1:8000", "https://friends.example.com"


class Tab:
    """One tab of one browser, of one person on one network. `cookies=False`: it keeps none."""

    def __init__(
        self, app: Flask, *, cookies: bool = True, address: str = "198.51.100.7", agent: str = FIREFOX
    ) -> None:
        self.app = app
        self.base_url: str = app.extensions["settings"].base_url
        self.client = app.test_client(use_cookies=cookies)
        self.address, self.agent = address, agent
        self.page: Page | None = None
        self.may_break = False
        """Whether an answer of 5xx is what the test is about."""

    # --- asking -----------------------------------------------------------------------------------------------

    def open(self, path: str, *, method: str = "GET", follow: bool = False, **given: Any) -> Page:
        """One request as a browser sends it; with `follow`, on to where it leads inside the portal."""
        given.setdefault("base_url", self.base_url)
        headers = {"User-Agent": self.agent, "Accept": "text/html,*/*;q=0.8"} | dict(given.pop("headers", {}))
        around = {"REMOTE_ADDR": self.address} | given.pop("environ_overrides", {})
        response = self.client.open(path, method=method, headers=headers, environ_overrides=around, **given)
        page = self.page = Page(response, path)
        assert self.may_break or page.status < 500, f"{method} {path} answered {page!r}"
        if page.is_html and method != "HEAD" and not page.location:
            lint.check(page.html, f"{method} {path} ({page.status})", part="HX-Request" in headers)
        if follow and page.status in (302, 303):
            return self.open(self._inward(page.location), follow=True)
        return page

    def _inward(self, location: str) -> str:
        parts = urlsplit(urljoin(self.base_url, location))
        assert f"{parts.scheme}://{parts.netloc}" == self.base_url, f"leads out of the portal: {location}"
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def get(self, path: str, **given: Any) -> Page:
        return self.open(path, **given)

    def head(self, path: str, **given: Any) -> Page:
        return self.open(path, method="HEAD", **given)

    def post(self, path: str, data: Any = None, *, token: bool = True, **given: Any) -> Page:
        """Posts fields from a page of ours: with this session's CSRF token, the Origin and the Referer."""
        fields = dict(data or {})
        if token:
            fields.setdefault("csrf_token", self.token())
        headers = self.from_here() | dict(given.pop("headers", {}))
        return self.open(path, method="POST", data=fields, headers=headers, **given)

    def from_here(self) -> dict[str, str]:
        """What a browser says about a form that comes from a page of the portal."""
        return {"Origin": self.base_url, "Referer": f"{self.base_url}/", "Sec-Fetch-Site": "same-origin"}

    def token(self) -> str:
        """A CSRF token for this session, read from a page that everybody may open."""
        return self.open("/privacy").token

    # --- forms ------------------------------------------------------------------------------------------------

    def submit(self, form: Form, /, *, follow: bool = True, **fields: Any) -> Page:
        """Fills in a form of a page and sends it with its button."""
        return self.submit_with(form, fields, follow=follow)

    def submit_with(self, form: Form, fields: dict[str, object], *, follow: bool = True) -> Page:
        """The same, for fields whose names are made up."""
        assert form.method == "post"
        action = self._inward(urljoin(self.base_url + (self.page.path if self.page else "/"), form.action))
        headers = self.from_here()
        return self.open(action, method="POST", data=form.filled(fields), headers=headers, follow=follow)

    def press(self, path: str, action: str = "", /, **fields: Any) -> Page:
        """Opens a page, fills in its form and sends it."""
        return self.submit(self.get(path, follow=True).form(action), **fields)

    # --- people -----------------------------------------------------------------------------------------------

    def sign_in(self, email: str, password: str = PASSWORD) -> Page:
        """Signs in through the page; fails if that did not work."""
        page = self.try_to_sign_in(email, password)
        assert self.is_signed_in(), f"{email} is not signed in: {page!r}"
        return page

    def try_to_sign_in(self, email: str, password: str = PASSWORD, *, follow: bool = True) -> Page:
        return self.submit(self.get("/login").form("/login"), follow=follow, email=email, password=password)

    def sign_out(self) -> Page:
        """Presses *Sign out* in the menu of every page."""
        page = self.get("/account")
        return self.submit(next(form for form in page.forms if form.action == "/logout"))

    def is_signed_in(self) -> bool:
        return self.open("/account").status == 200

    def sign_up(self, email: str, *, at: str = "/signup", password: str = PASSWORD, **fields: Any) -> Page:
        """Fills in the sign-up form found at an address (a link, say) and sends it."""
        page = self.get(at, follow=True)
        return self.submit(page.form("/signup$"), **{"email": email, "password": password, "terms": True} | fields)

    # --- cookies ----------------------------------------------------------------------------------------------

    def cookie(self, name: str) -> str | None:
        """The value of a cookie that this browser keeps."""
        host = urlsplit(self.base_url).hostname or ""
        found = self.client.get_cookie(name, domain=host)
        return found.value if found else None

    def set_cookie(self, name: str, value: str) -> None:
        self.client.set_cookie(name, value, domain=urlsplit(self.base_url).hostname or "")


def raw(tab: Tab, path: bytes, method: str = "GET") -> Page:
    """Asks for a path given byte by byte (`%ff` is that byte), as a server would hand it on; no client writes these."""
    environ = EnvironBuilder(base_url=tab.base_url, headers={"User-Agent": tab.agent}, method=method).get_environ()
    path, _, query = path.partition(b"?")
    environ["PATH_INFO"] = re.sub(rb"%([0-9a-fA-F]{2})", lambda found: bytes([int(found[1], 16)]), path).decode(
        "latin-1"
    )
    environ["QUERY_STRING"] = query.decode("latin-1")
    environ["REMOTE_ADDR"] = tab.address
    page = Page(tab.client.open(environ), path.decode("latin-1"))
    assert page.status < 500, f"{path!r} answered {page!r}"
    if page.is_html and not page.location and method != "HEAD":
        lint.check(page.html, repr(path))
    return page
