"""`portal doctor`: what works and what does not, each in a sentence; and the mail settings told apart."""

from pathlib import Path

import pytest

from portal import VERSION
from portal.core import clock, database
from portal.delivery import worker
from tests import redisserver
from tests.mailserver import MailServer, certificate, free_port, listening
from tests.web.commands import Said, runner


@pytest.fixture
def with_a_worker(app) -> None:  # type: ignore[no-untyped-def]
    with database.writing():
        worker.note_turn("worker", at=clock.now())


def test_without_a_worker_it_says_so(run) -> None:  # type: ignore[no-untyped-def]
    found = run("doctor")
    assert found.code == 1 and "Worker: NOT WELL. No worker has run" in found.out
    assert f"Version: This is {VERSION}, on Python 3." in found.out


LOOKS = ["Version", "Address", "Database", "Mail", "Limits", "Keys", "Worker"]


@pytest.mark.usefixtures("app")
def test_a_database_without_tables_or_one_that_is_away_is_told_after_all_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for url, trouble in {
        f"sqlite:///{tmp_path / 'new.db'}": "The database has no tables yet: run portal migrate.",
        f"sqlite:///{tmp_path / 'no such folder' / 'x.db'}": "DATABASE_URL: the database cannot be used: unable to",
        f"postgresql://portal:a-password@127.0.0.1:{free_port()}/x": "DATABASE_URL: the database cannot be used: ",
    }.items():
        found = runner(tmp_path, url, monkeypatch, capfd)("doctor")
        assert found.code == 1 and found.err == "To be mended: Database, Keys, Worker.\n", url
        told = dict(line.split(": ", 1) for line in found.out.splitlines())
        assert list(told) == LOOKS and told["Database"].startswith(f"NOT WELL. {trouble}"), url
        assert trouble in told["Keys"] and trouble in told["Worker"] and "a-password" not in found.out, url


@pytest.mark.usefixtures("with_a_worker")
def test_a_missing_a_wrong_and_a_good_mail_setting_are_told_apart(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    def doctor(environ: dict[str, str]) -> Said:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return run("doctor")

    found = run("doctor")
    assert found.code == 0 and "Mails go to files" in found.out
    assert "set MAIL_URL to a mail server" in found.out and "All is well" not in found.out
    found = doctor({"MAIL_URL": "smtp://127.0.0.1:9?security=none"})
    assert found.code == 1 and "Mail: NOT WELL. 127.0.0.1:9: no mail server answers" in found.out
    context, trusted = certificate(tmp_path)
    with listening(MailServer(), tls=context) as server:
        url = f"smtp://127.0.0.1:{server.port}"
        found = doctor({"MAIL_URL": url})
        assert found.code == 1 and "the certificate or encryption is not right" in found.out
        found = doctor({"MAIL_URL": f"{url}?ca={trusted}", "MAIL_FROM": "portal@example.com"})
        assert found.code == 0 and "with STARTTLS. They come from portal@example.com." in found.out
    with listening(MailServer()) as server:
        found = doctor({"MAIL_URL": f"smtp://127.0.0.1:{server.port}"})
        assert found.code == 1 and "offers no STARTTLS" in found.out


@pytest.mark.usefixtures("with_a_worker")
def test_https_on_loopback_without_a_trusted_proxy_is_told(run, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """What speaks https stands in front, and without its word everybody comes from one network."""
    told = "Address: NOT WELL. TRUSTED_PROXIES is 0"
    assert told not in run("doctor").out
    monkeypatch.setenv("BASE_URL", "https://friends.example.com")
    for host in ("127.0.0.1", "localhost", "127.0.0.2"):
        monkeypatch.setenv("HOST", host)
        monkeypatch.setenv("TRUSTED_PROXIES", "0")
        found = run("doctor")
        assert found.code == 1 and told in found.out and "To be mended: Address." in found.err, host
        monkeypatch.setenv("TRUSTED_PROXIES", "1")
        found = run("doctor")
        assert found.code == 0 and "Address: People reach the portal at https://friends.example.com." in found.out
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.setenv("TRUSTED_PROXIES", "0")
    assert told not in run("doctor").out


@pytest.mark.usefixtures("with_a_worker")
def test_redis_is_asked(run, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    port = free_port()
    assert "Limits: Each process counts for itself." in run("doctor").out
    monkeypatch.setenv("REDIS_URL", f"redis://portal:a-password@127.0.0.1:{port}/0")
    found = run("doctor")
    assert found.code == 1 and "Limits: NOT WELL. REDIS_URL: Redis does not answer as it should" in found.out
    assert "refused" in found.out and "each process counts for itself" in found.out
    assert "a-password" not in found.out + found.err
    with redisserver.listening(redisserver.Redis(), port):
        found = run("doctor")
    assert found.code == 0 and "Limits: Redis counts for all processes." in found.out
