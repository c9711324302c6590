"""Worlds: furnished portals that are served, one for each state of the program or of its people, made when asked for.

All of them live at one moment, at which the tests that look at them stand as well. Nobody changes a world: what a
test does in one must leave it as it was.
"""

import io
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import time_machine
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from PIL import Image
from werkzeug.serving import make_server

from portal import create_app, images, program, terms
from portal.accounts import one_time, sign_ins
from portal.accounts.one_time import Purpose
from portal.accounts.users import NOWHERE, User, find_by_email
from portal.core import database
from portal.web import access
from tests.conftest import close, make_schema, make_settings
from tests.factories import NOON, REFEREE, Scene, fixed
from tests.web.routes import Things, furnish


@dataclass
class World:
    """A portal that is served at an address, and what stands in it."""

    app: Flask
    address: str
    things: Things
    stop: Callable[[], None]
    cookies: dict[str, str] = field(default_factory=dict)

    def cookie(self, email: str) -> str:
        """The session cookie of somebody who is signed in."""
        if email not in self.cookies:
            with self.app.app_context():
                user = find_by_email(email)
                assert user is not None, f"nobody has the address {email}"
                given = {"_user_id": user.fs_uniquifier, "_fresh": True, "fs_paa": self.things.at.timestamp()}
                with database.writing():
                    secret = sign_ins.start(user.id, surroundings=NOWHERE, at=self.things.at)
                signer = self.app.session_interface.get_signing_serializer(self.app)  # type: ignore[attr-defined]
                self.cookies[email] = signer.dumps(given | {"_permanent": True, access.TOKEN: secret})
                database.session.remove()
        return self.cookies[email]


def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def serve(app: Flask, port: int) -> Callable[[], None]:
    """Serves an app from a thread of this process, so that clocks can move; gives what ends it."""
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        thread.join()
        server.server_close()
        with app.app_context():
            close(app)

    return stop


class Worlds:
    """Makes worlds by their names, each from a copy of the furnished one or from an empty program."""

    def __init__(self, folder: Path, templates: FileSystemBytecodeCache) -> None:
        self.folder, self.templates = folder, templates
        self._made: dict[str, World] = {}
        self._furnished: tuple[Path, Things] | None = None

    def __getitem__(self, name: str) -> World:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def close(self) -> None:
        for world in self._made.values():
            world.stop()

    def _make(self, name: str) -> World:
        folder = self.folder / name
        folder.mkdir()
        if name in FROM_NOTHING:
            make_schema(make_settings(folder, f"sqlite:///{folder / 'portal.db'}"))
            things = Things(self._full()[1].at)
        else:
            source, things = self._full()
            shutil.copy(source, folder / "portal.db")
            things = replace(things, words=dict(things.words), emails=dict(things.emails))
        with time_machine.travel(things.at):
            return self._serve(folder, name, things)

    def _serve(self, folder: Path, name: str, things: Things) -> World:
        port = unused_port()
        address = f"http://127.0.0.1:{port}"
        settings = make_settings(
            folder, f"sqlite:///{folder / 'portal.db'}", port=port, base_url=address, demo=name == "demo"
        )
        app = create_app(settings)
        app.jinja_env.bytecode_cache = self.templates
        with app.app_context():
            (FROM_NOTHING | CHANGES)[name](app, things)
            close(app)
        return World(app, address, things, serve(app, port))

    def _full(self) -> tuple[Path, Things]:
        """The furnished database, from which most worlds are copied."""
        if self._furnished is None:
            folder = self.folder / "furnished"
            folder.mkdir()
            settings = make_settings(folder, f"sqlite:///{folder / 'portal.db'}")
            make_schema(settings)
            app = create_app(settings)
            with app.app_context(), time_machine.travel(NOON):
                scene = Scene(app, fixed(2000), fixed(1000, to=REFEREE, minimum_order_minor=3000))
                things = furnish(scene)
                _more(scene, things)
                close(app)
            self._furnished = folder / "portal.db", things
        return self._furnished


def _more(scene: Scene, things: Things) -> None:
    """What the table of routes has no need of: a friend in each state that is left, a payout that came back."""
    alice = scene.alice

    def friend(word: str, name: str) -> User:
        made = scene.friend(name, of=alice)
        referral = scene.referral(made)
        assert referral is not None
        things.words[f"{word}_friend"] = referral.public_id
        return made

    joined_long_ago = friend("expired", "Xenia")
    back = friend("failed", "Gus")
    scene.order(back)
    scene.approve(scene.rewards(alice)[-1])
    scene.later(days=31)
    scene.release()
    batch = scene.export(scene.approve_batch(scene.batch()))
    scene.fail(batch.payouts[0])
    things.words["failed_payout"] = batch.payouts[0].public_id
    flagged = scene.friend("Mal", of=scene.carol, email="mal@mailinator.com")
    scene.order(flagged)
    scene.reject(scene.rewards(scene.carol)[-1])
    scene.order(friend("rejected", "Rolf"))
    scene.reject(scene.rewards(alice)[-1])
    refunded = scene.order(friend("refunded", "Ron"))
    scene.refund(refunded)
    assert joined_long_ago
    scene.later(days=60)
    friend("joined", "Ida")
    scene.later(days=5)
    with database.writing():
        things.words["reset"] = one_time.make(Purpose.RESET, alice.id, at=scene.at)
        things.words["set_up"] = one_time.make(Purpose.SET_UP, None, at=scene.at)
    things.words["confirm"] = scene.secret_for(scene.sign_up("Uma"))
    things.emails["unconfirmed"] = "uma@example.com"
    things.emails["member"] = scene.person("Malu").email
    things.at = scene.at


# --- what is different in each --------------------------------------------------------------------------------


def _as_it_is(app: Flask, things: Things) -> None:
    """The furnished world itself."""


def _in_state(state: str) -> Callable[[Flask, Things], None]:
    def change(app: Flask, things: Things) -> None:
        owner = things.person("owner").id
        with database.writing():
            program.change_program(terms.in_force().version, by=owner, at=things.at, state=state)

    return change


def _capped(app: Flask, things: Things) -> None:
    """Alice has had what a referrer can earn in a year."""
    owner = things.person("owner").id
    with database.writing():
        program.change_program(terms.in_force().version, by=owner, at=things.at, referrer_year_cap_minor=1)


def _wide_logo(app: Flask, things: Things) -> None:
    """A logo from before too long ones were refused: a line, 480 points long."""
    owner, line = things.person("owner").id, io.BytesIO()
    Image.new("RGB", (480, 1), "#0a7d5a").save(line, "PNG")
    with database.writing():
        logo = images.keep(images.Drawn("png", 480, 1, line.getvalue()), at=things.at)
        program.change_program(terms.in_force().version, by=owner, at=things.at, logo=logo)


def _suspended(app: Flask, things: Things) -> None:
    owner = things.person("owner").id
    with database.writing():
        program.suspend(things.person("referrer"), by=owner, note="Looked at.", at=things.at)


def _empty(app: Flask, things: Things) -> None:
    """A program in which nothing has happened, with a referrer who is new and has no name."""
    scene = Scene(app, fixed(2000), fixed(1000, to=REFEREE), at=things.at)
    nora = scene.person("", email="nora@example.com")
    things.words["code"] = scene.code(nora)
    things.emails |= {"referrer": nora.email, "owner": scene.olivia.email}


def _by_keyboard(app: Flask, things: Things) -> None:
    """Alice with a friend who ordered, and nothing said about how she is paid."""
    scene = Scene(app, fixed(2000), at=things.at)
    scene.pending_reward()
    things.words["code"] = scene.code(scene.alice)


def _not_set_up(app: Flask, things: Things) -> None:
    with database.writing():
        things.words["set_up"] = one_time.make(Purpose.SET_UP, None, at=things.at)


CHANGES: dict[str, Callable[[Flask, Things], None]] = {
    "full": _as_it_is,
    "demo": _as_it_is,
    "paused": _in_state("paused"),
    "ended": _in_state("ended"),
    "suspended": _suspended,
    "capped": _capped,
    "wide logo": _wide_logo,
}
FROM_NOTHING: dict[str, Callable[[Flask, Things], None]] = {
    "empty": _empty,
    "by keyboard": _by_keyboard,
    "not set up": _not_set_up,
}


@contextmanager
def opened(folder: Path) -> Iterator[Worlds]:
    """Worlds whose servers end with the block."""
    templates = folder / "templates"
    templates.mkdir()
    worlds = Worlds(folder, FileSystemBytecodeCache(str(templates)))
    try:
        yield worlds
    finally:
        worlds.close()
