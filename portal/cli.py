"""The portal command: serve, worker, migrate, and what an operator tells and asks from a terminal.

What goes wrong is one sentence with its remedy, and an exit code; no traceback for what an operator can mend.
"""

import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import click
from flask import Flask

from portal import VERSION, config, create_app, imports, program, resealing, sweeps, terms
from portal import backup as backups
from portal import demo as demo_
from portal.accounts import one_time, roles, users
from portal.accounts.one_time import Purpose
from portal.config import BadSetting, Settings
from portal.core import at_work, clock, database, migrate, money, sealed
from portal.core.text import Refusal
from portal.delivery import mail, outbox
from portal.delivery import worker as delivery_worker
from portal.imports import Fault, Form, Row
from portal.payouts.methods import Details
from portal.reports import books
from portal.rewards.conversions import Answer, Customer, OrderReport
from portal.web import limits, logs, serving


class Stop(click.ClickException):
    """One sentence for the operator, and exit code 1."""

    def show(self, file: object = None) -> None:
        click.echo(self.message, err=True)


def main() -> None:
    """Runs the command; settings and refusals are told in a sentence. What it makes, and the processes that it starts
    make, is for this user alone: people's data lies in it."""
    os.umask(0o077)
    logs.begin("text")
    try:
        portal.main(prog_name="portal", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except BadSetting as bad:
        click.echo(str(bad), err=True)
        sys.exit(2)
    except Refusal as refusal:
        click.echo(str(refusal), err=True)
        sys.exit(1)
    except database.Unavailable as error:
        click.echo(_away(error), err=True)
        sys.exit(1)


def _away(error: Exception) -> str:
    return f"DATABASE_URL: the database cannot be used: {_in_short(error)}"


def _in_short(error: Exception) -> str:
    """The database's own words: their first line, in which no row stands."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="portal %(version)s")
def portal() -> None:
    """The referral portal."""


def _app(*, demo: bool = False) -> Flask:
    return create_app(Settings.from_env(demo=demo))


@portal.command("migrate")
def migrate_() -> None:
    """Bring the database's tables to what this code needs."""
    app = _app()
    with app.app_context():
        migrate.upgrade(database.db.engine)
        sweeps.roll_up()
        click.echo(migrate.state(database.db.engine).sentence)


@portal.command()
@click.option("--without-worker", is_flag=True, help="Where `portal worker` runs by itself.")
def serve(without_worker: bool) -> None:
    """Serve the portal, with its worker inside."""
    settings = Settings.from_env()
    logs.begin(settings.log_format)
    app = create_app(settings)
    with _at_work(app):
        _must_be_served(app, settings)
        _serve(settings, None if without_worker else app)


@contextmanager
def _at_work(app: Flask) -> Iterator[None]:
    """Nobody puts another database in the place of this one meanwhile."""
    with app.app_context():
        engine = database.db.engine
    with at_work.with_others(engine):
        yield


def _must_be_served(app: Flask, settings: Settings) -> None:
    """Raises Stop or SchemaRefused for a database that is not to be served; says what an owner has to do first."""
    with app.app_context():
        if migrate.state(database.db.engine).state == migrate.State.MISSING:
            migrate.upgrade(database.db.engine)
        migrate.must_be_current(database.db.engine)
        if program.holds_sample_data():
            raise Stop(
                "This database holds the demo's sample data: `portal demo` serves it, and the other commands reach it "
                "with PORTAL_DEMO=1. To serve for real, name another (DATABASE_URL, INSTANCE_DIR)."
            )
        if not roles.holders("own"):
            click.echo(f"No owner yet. Set the portal up here, once, within a day:\n  {_set_up_link(settings)}")
        elif terms.current() is None:  # an owner made by `create-admin` before the program was there
            click.echo(f"No program yet. Set the portal up here, once, within a day:\n  {_set_up_link(settings)}")


def _set_up_link(settings: Settings) -> str:
    with database.writing():
        secret = one_time.make(Purpose.SET_UP, None, at=clock.now())
    return f"{settings.base_url}/setup/{secret}"


def _serve(settings: Settings, with_worker_of: Flask | None) -> None:
    if not serving.port_is_free(settings):
        raise Stop(f"PORT: {settings.port} on {settings.host} is taken by another program; free it or name another.")
    scheduler = serving.start_worker(with_worker_of, settings) if with_worker_of else None
    try:
        click.echo(f"Serving at {settings.base_url} (listening on {settings.host}:{settings.port}). Stop with Ctrl-C.")
        serving.serve(settings)
    finally:
        if scheduler:
            scheduler.shutdown()


@portal.command()
def worker() -> None:
    """Run the worker alone: mails, releases, expiry, seals, figures. Many may run."""
    settings = Settings.from_env()
    logs.begin(settings.log_format)
    app = create_app(settings)
    with _at_work(app):
        with app.app_context():
            migrate.must_be_current(database.db.engine)
        stop = threading.Event()
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, lambda *_: stop.set())
        scheduler = serving.start_worker(app, settings)
        click.echo("The worker runs. Stop with Ctrl-C.")
        stop.wait()
        scheduler.shutdown()


@portal.command("new-key")
def new_key() -> None:
    """Make a new key for what is kept encrypted; then `reseal`."""
    settings = Settings.from_env()
    config.add_details_key(settings.instance_dir)
    click.echo(
        f"There is a new key in {settings.instance_dir / config.DETAILS_KEY}, in front of those of before. "
        "What runs here knows it at once; where the portal runs on other machines too, put this file into their "
        "instance folders first. Then run `portal reseal`."
    )


@portal.command()
@click.option("--drop-older", is_flag=True, help="With the portal stopped: take the older keys out of the file too.")
def reseal(*, drop_older: bool) -> None:
    """Write all that is kept encrypted anew under the newest key, while the portal works.

    If it is killed, it goes on the next time.
    """
    settings = Settings.from_env()
    app = create_app(settings)
    with app.app_context():
        engine = database.db.engine
        migrate.must_be_current(engine)
        with at_work.alone(engine) if drop_older else at_work.with_others(engine):
            turns = list(resealing.all_rows(settings.details_key))
            click.echo(f"{sum(turn.anew for turn in turns)} rows were written under the newest key.")
            if lost := sum(turn.lost for turn in turns):
                raise Stop(f"{lost} rows are under a key that is not in details_key: they stay as they are.")
            if drop_older:
                config.drop_older_details_keys(settings.instance_dir, settings.details_key)
                click.echo("The older keys are gone. Backups of before hold their own.")


@portal.command()
def doctor() -> None:
    """Look at the settings, the database, mails, Redis and the worker; exit code 1 if one does not work."""
    settings = Settings.from_env()
    app = create_app(settings)
    with app.app_context():
        wrong = [name for name, look in _LOOKS.items() if not _told(name, look, settings)]
    if wrong:
        raise Stop(f"To be mended: {', '.join(wrong)}.")
    early = _not_ready_for_people(settings)
    click.echo(f"All works. Before people come: {early}." if early else "All is well.")


def _not_ready_for_people(settings: Settings) -> str:
    """The settings that are still as on one's own machine, by name."""
    missing = [] if settings.mail_url.startswith("smtp") else ["set MAIL_URL to a mail server, since mails go to files"]
    if not settings.secure:
        missing.append("set BASE_URL to an https address")
    if settings.mail_url and not settings.mail_from:
        missing.append("set MAIL_FROM to an address that receives mail")
    return "; ".join(missing)


def _told(name: str, look: Callable[[Settings], str], settings: Settings) -> bool:
    """Says what was seen; whether it works."""
    try:
        click.echo(f"{name}: {look(settings)}")
    except (mail.Away, Stop) as trouble:
        click.echo(f"{name}: NOT WELL. {trouble}")
        return False
    except database.Unavailable as error:
        click.echo(f"{name}: NOT WELL. {_away(error)}")
        return False
    return True


def _look_at_the_version(_settings: Settings) -> str:
    return f"This is {VERSION}, on Python {platform.python_version()}."


def _look_at_the_address(settings: Settings) -> str:
    if settings.secure and settings.listens_here_alone and not settings.trusted_proxies:
        raise Stop(
            f"TRUSTED_PROXIES is 0, yet what speaks https for {settings.base_url} stands in front, on this machine: "
            "everybody seems to come from one network, for rate limits and for signals. Set it to how many proxies "
            "stand in front, usually 1."
        )
    insecure = "" if settings.secure else " This is not https: cookies and passwords travel unprotected."
    return f"People reach the portal at {settings.base_url}.{insecure}"


def _look_at_the_database(_settings: Settings) -> str:
    found = migrate.state(database.db.engine)
    if found.state != migrate.State.CURRENT:
        raise Stop(found.sentence)
    return found.sentence


def _look_at_the_mail(settings: Settings) -> str:
    way_out = mail.way_out(settings.mail_url, settings.mail_dir)
    return f"{way_out.check()} They come from {settings.mail_from or mail.usual_address(settings.base_url)}."


def _look_at_the_limits(settings: Settings) -> str:
    if trouble := limits.trouble(settings):
        raise Stop(
            f"REDIS_URL: Redis does not answer as it should ({trouble}). Until it does each process counts for itself."
        )
    return "Redis counts for all processes." if settings.redis_url else "Each process counts for itself."


def _look_at_the_worker(settings: Settings) -> str:
    _look_at_the_database(settings)
    if delivery_worker.is_late(delivery_worker.last_turn("worker"), at=clock.now()):
        raise Stop("No worker has run in the last two minutes: start `portal serve` or `portal worker`.")
    waits = outbox.oldest_due(at=clock.now())
    return "It runs" + (f"; the oldest mail waits for {int(waits.total_seconds())} s." if waits else "; no mail waits.")


NEW_KEY_AFTER = timedelta(days=730)
"""How old the newest key of what is kept encrypted should be at most (NIST SP 800-57 part 1, 5.3.6: two years)."""


# What stands in the database is looked at only where that is as this code needs it.


def _look_at_the_keys(settings: Settings) -> str:
    _look_at_the_database(settings)
    found, newest = resealing.state(settings.details_key), sealed.ring(settings.details_key)[0]
    if found.strangers:
        raise Stop(
            f"{found.strangers} of {found.rows} rows that are kept encrypted name a key that is not in details_key: "
            "restore that file from the backup."
        )
    age = clock.now().date() - newest.made_on if newest.made_on else None
    told = f"The newest is {age.days} days old." if age is not None else "The newest says no day: it is of before 0.7."
    if age is None or age > NEW_KEY_AFTER:
        told += " Make a new one: `portal new-key`."
    if found.older:
        return f"{told} {found.older} of {found.rows} rows are under an older one: `portal reseal`."
    return f"{told} All that is kept encrypted ({found.rows} rows) is under it."


_LOOKS = {
    "Version": _look_at_the_version, "Address": _look_at_the_address, "Database": _look_at_the_database,
    "Mail": _look_at_the_mail, "Limits": _look_at_the_limits, "Keys": _look_at_the_keys, "Worker": _look_at_the_worker,
}  # fmt: skip


@portal.command()
def demo() -> None:
    """Serve the demo with its sample data, for this machine alone."""
    os.environ["PORTAL_DEMO"] = "1"
    settings = Settings.from_env(demo=True)
    app = create_app(settings)
    with _at_work(app):
        with app.app_context():
            migrate.upgrade(database.db.engine)
            if not program.holds_sample_data():
                demo_.fill(at=clock.now(), keep=Details(settings.details_key))
        for job in serving.jobs(app, settings):
            job.run()
        click.echo(demo_.logins(settings.base_url))
        _serve(settings, app)


@portal.command("create-admin")
@click.argument("email")
@click.option("--name", default="", help="How colleagues read this person.")
def create_admin(email: str, name: str) -> None:
    """Make EMAIL an owner, and print the link by which a password is set."""
    settings = Settings.from_env()
    app = create_app(settings)
    with app.app_context():
        migrate.must_be_current(database.db.engine)
        at = clock.now()
        with database.writing():
            owner = program.add_owner(email, name=name, password=None, at=at)
            secret = one_time.make(Purpose.RESET, owner.id, at=at)
        click.echo(f"{email} is an owner. Set the password here, within 2 hours:\n  {settings.base_url}/reset/{secret}")
        if terms.current() is None:
            click.echo(f"Then set the program up here, once, within a day:\n  {_set_up_link(settings)}")


@portal.command("forget-second-step")
@click.argument("email")
def forget_second_step(email: str) -> None:
    """Take two-step sign-in away from EMAIL, who has lost the app and the recovery codes; they are told by mail."""
    app = _app()
    with app.app_context():
        migrate.must_be_current(database.db.engine)
        user = users.find_by_email(email)
        if user is None:
            raise Stop(f"{email}: nobody has this address.")
        with database.writing():
            program.take_second_step_away(user, by=None, note="", at=clock.now())
        click.echo(f"{email} signs in with the password alone; two-step sign-in can be turned on again.")


@portal.command("erase-user")
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase_user(email: str, yes: bool) -> None:
    """Delete the account of EMAIL for good, with everything that says who it was; the books stay."""
    settings = Settings.from_env()
    app = create_app(settings)
    with app.app_context():
        migrate.must_be_current(database.db.engine)
        user = users.find_by_email(email)
        if user is None:
            raise Stop(f"{email}: nobody has this address.")
        gives = program.given_up(user)
        given = money.shown(gives.total_minor, gives.currency, "en") if gives.total_minor else ""
        told = f" They give up {given}." if given else ""
        if not yes:
            click.confirm(f"Delete the account of {email} for good?{told}", abort=True)
        with database.writing():
            program.erase(user, gives_up_minor=gives.total_minor, by=None, at=clock.now())
        sweeps.forget_files(mail.Files(settings.mail_dir))
        database.session.remove()
        database.empty_log()
        click.echo(f"Deleted.{told} Backups made before still hold the account; let them run out.")


@portal.command()
@click.option("--external-id", required=True, help="The order's id in the shop.")
@click.option("--goal", default="purchase", show_default=True)
@click.option("--customer-email", default="")
@click.option("--customer-external-id", default="")
@click.option("--amount-minor", default="", help="The order's amount in minor units (1250 is 12.50).")
@click.option("--currency", default="", help="Left out: the program's.")
@click.option("--occurred-at", default="", help="Like 2026-11-03T10:41:00Z; left out: now.")
def convert(
    external_id: str, goal: str, customer_email: str, customer_external_id: str, amount_minor: str, currency: str,
    occurred_at: str,
) -> None:  # fmt: skip
    """Report one goal as reached."""
    app = _app()
    with app.app_context():
        migrate.must_be_current(database.db.engine)
        at = clock.now()
        try:
            minor = money.parse_minor(amount_minor) if amount_minor else None
            moment = clock.parse(occurred_at) if occurred_at else at
        except money.BadAmount as bad:
            raise Stop(f"--amount-minor: {bad}") from bad
        except clock.BadMoment as bad:
            raise Stop(f"--occurred-at: {bad}") from bad
        with database.writing():
            report = OrderReport(
                goal=goal,
                external_id=external_id,
                customer=Customer(
                    customer_external_id or None, users.clean_email(customer_email) if customer_email else None
                ),
                occurred_at=moment,
                amount_minor=minor,
                currency=(currency or terms.in_force().currency) if minor is not None else None,
            )
            reported = program.convert(report, at=at)
            said = {
                Answer.MADE: "taken",
                Answer.KNOWN: "known already; nothing was changed",
                Answer.WAITING: "kept until this customer is known",
                Answer.DISAGREES: "known already with other facts; nothing was changed",
            }[reported.answer]
            click.echo(f"Conversion {reported.conversion.public_id}: {said}.")
        if reported.answer == Answer.DISAGREES:
            sys.exit(1)


@portal.command("import-conversions")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_conversions(file: Path) -> None:
    """Take orders from a CSV file; errors by line, the good rows are taken."""
    _import(file, imports.CONVERSIONS)


@portal.command("import-customers")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_customers(file: Path) -> None:
    """Take customers from a CSV file; errors by line, the good rows are taken."""
    _import(file, imports.CUSTOMERS)


def _import(path: Path, form: Form) -> None:
    app = _app()
    with app.app_context():
        migrate.must_be_current(database.db.engine)
        terms.in_force()
        with path.open("rb") as raw:
            lines = sum(block.count(b"\n") for block in iter(lambda: raw.read(1 << 20), b""))
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            found = imports.rows(file, form)
            with click.progressbar(length=max(1, lines), label="Importing", file=sys.stderr) as bar:
                taken = imports.take(_watched(found, bar), form, at=clock.now())
                bar.update(max(1, lines) - bar.pos)
    for fault in taken.faults:
        click.echo(str(fault), err=True)
    if taken.faulty > len(taken.faults):
        click.echo(f"… and {taken.faulty - len(taken.faults)} more lines with faults", err=True)
    click.echo(
        f"{taken.made} new, {taken.known} known already, {taken.waiting} waiting for a customer, {taken.faulty} faulty."
    )
    if taken.faulty:
        sys.exit(1)


def _watched(found: Iterator[tuple[int, Row | Fault]], bar: object) -> Iterator[tuple[int, Row | Fault]]:
    for number, (line, row) in enumerate(found):
        if number % 100 == 0:
            bar.update(line - bar.pos)  # type: ignore[attr-defined] # click does not publish its type
        yield line, row


@portal.command("check-ledger")
def check_ledger() -> None:
    """Recompute every balance and seal; name what does not fit."""
    app = _app()
    with app.app_context():
        migrate.must_be_current(database.db.engine)
        _tell_of_the_books()


def _tell_of_the_books() -> None:
    """Says that they are right, or what does not fit, and ends."""
    count = 0
    for fault in books.faults():
        count += 1
        click.echo(fault, err=True)
        if count >= 100:
            click.echo("… and more", err=True)
            break
    if count:
        sys.exit(1)
    click.echo("The books are right: every transfer has its cause, every balance its transfers, every seal fits.")


@portal.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Put it over the backup that is there.")
def backup(file: Path, replace: bool) -> None:
    """Put everything into FILE, while the portal runs. Keep it secret: keys and addresses are in it."""
    settings = Settings.from_env()
    app = create_app(settings)
    with app.app_context():
        made = backups.make(file.absolute(), database.db.engine, settings, at=clock.now(), replace=replace)
    click.echo(f"{file}: {made.many} rows and {made.mails} mails, schema {made.schema}, {made.size / 1e6:.1f} MB.")


@portal.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="What is in the database now goes for ever.")
def restore(file: Path, replace: bool) -> None:
    """Put what is in FILE into an empty database, with its keys and mails. Stop the portal first."""
    settings = Settings.from_env()
    app = create_app(settings)
    with app.app_context():
        put = backups.restore(file.absolute(), database.db.engine, settings, replace=replace)
        click.echo(
            f"Restored {put.backup.many} rows and {put.backup.mails} mails of {put.backup.made_at:%Y-%m-%d %H:%M} UTC."
        )
        if put.other_secret:
            click.echo(
                "SECRET_KEY is another than in the backup: everybody signs in again, and earlier visits do not count."
            )
        _tell_of_the_books()


@portal.command("copy-to")
@click.argument("url")
def copy_to(url: str) -> None:
    """Copy everything into the empty database at URL (postgresql://…). Stop the portal first, then set DATABASE_URL."""
    settings = Settings.from_env()
    try:
        other = settings.with_database(url)
    except BadSetting as bad:
        raise Stop(str(bad).replace("DATABASE_URL:", "URL:", 1)) from bad
    with create_app(settings).app_context():
        engine = database.db.engine
        migrate.must_be_current(engine)
    with create_app(other).app_context():
        try:
            moved = backups.move(engine, database.db.engine)
        except database.Unavailable as error:
            raise Stop(f"URL: the database cannot be used: {_in_short(error)}") from error
        click.echo(f"Copied {moved} rows, each read back and equal.")
        _tell_of_the_books()
        click.echo("Now set DATABASE_URL to it, keep INSTANCE_DIR as it is, and start the portal.")
