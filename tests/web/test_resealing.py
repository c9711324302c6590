"""Keys of what is kept encrypted: a new one, every row written anew under it while the portal works, the older gone."""

import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from passlib.totp import TOTP

from portal import resealing, sweeps
from portal.accounts import two_step
from portal.accounts.two_step import SecondStep
from portal.config import BadSetting, Settings, add_details_key
from portal.core import at_work, database
from portal.core.database import session
from portal.core.sealed import Box, NotOurs
from portal.delivery import endpoints
from portal.delivery.endpoints import Endpoint
from portal.payouts import methods
from portal.payouts.methods import Details, Method
from portal.web import serving
from tests.factories import IBAN
from tests.web.second_step import half, two_step_on

NEW, NEWER = (f"{letter * 43}= 2026-11-2{letter_day}" for letter, letter_day in (("b", 1), ("c", 2)))


@pytest.fixture
def key_file(app, scene, tmp_path) -> Path:
    """The file with the keys, as the command finds it: that of this test's app, of before keys said their day."""
    path = tmp_path / "instance" / "details_key"
    path.parent.mkdir(exist_ok=True)
    path.write_text(app.extensions["settings"].details_key)
    return path


def fill(scene):
    """Something sealed of each kind; gives the app's secret and the secrets by which a webhook is signed."""
    for who in ("Alice", "Bob", "Carol"):
        scene.method(scene.person(who, email=f"{who}@example.net".lower()))
    box, alice = Box(scene.keep.box.keys[0].secret, two_step.PURPOSE), scene.alice.id
    offered = scene.do(lambda: two_step.begin(alice, called="Alice", issuer="Friends", keep=box, at=scene.at))
    endpoint, first = scene.webhook()
    second = scene.do(lambda: endpoints.renew(endpoint, keep=scene.keep_secrets, at=scene.at))
    return offered.secret.replace(" ", ""), [second, first]


def all_opens(scene, keys, app_secret, secrets):
    """Whether everything that `fill` made can be read with these keys."""
    session.rollback()
    session.expire_all()
    details, apps, webhooks = Details(keys), Box(keys, two_step.PURPOSE), Box(keys, endpoints.PURPOSE)
    try:
        shown = [details.open(method)["iban"] for method in session.scalars(sa.select(Method))]
        step, endpoint = session.scalars(sa.select(SecondStep)).one(), session.scalars(sa.select(Endpoint)).one()
        return (
            shown == [IBAN] * 3
            and apps.open(step.secret) == app_secret
            and endpoints.signing(endpoint, keep=webhooks, at=scene.at) == secrets
        )
    except NotOurs:
        return False


@pytest.mark.both_databases
def test_a_new_key_is_made_and_everything_is_written_anew_under_it(app, scene, run, key_file):
    """ASVS 11.1.1, 11.2.2: from the first key to the next, told by `portal doctor` at each step."""
    app_secret, secrets = fill(scene)
    old = key_file.read_text()
    said = run("doctor").out
    assert "Keys: The newest says no day" in said and "portal new-key" in said
    assert run("new-key").code == 0
    keys = key_file.read_text()
    assert keys.splitlines()[1:] == [old] and stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert "The newest is 0 days old. 5 of 5 rows are under an older one: `portal reseal`." in run("doctor").out
    assert all_opens(scene, keys, app_secret, secrets)
    with at_work.with_others(database.db.engine):
        done = run("reseal")
        assert done.code == 0 and "5 rows were written under the newest key." in done.out
        again = run("reseal", "--drop-older")
        assert again.code == 1 and "at work" in again.err and key_file.read_text() == keys
    assert "All that is kept encrypted (5 rows) is under it." in run("doctor").out
    assert "0 rows were written" in run("reseal").out
    assert "The older keys are gone." in run("reseal", "--drop-older").out
    assert key_file.read_text() == keys.splitlines()[0]
    assert all_opens(scene, key_file.read_text(), app_secret, secrets) and not all_opens(
        scene, old, app_secret, secrets
    )
    keep, (first, *others) = Details(keys), session.scalars(sa.select(Method)).all()
    assert {method.mark for method in others} == {first.mark} == {keep.mark("bank", {"iban": IBAN, "holder": "x"})}


@pytest.mark.both_databases
@pytest.mark.parametrize("turns", range(6))
def test_one_that_is_killed_leaves_every_row_readable_and_the_next_goes_on(app, scene, key_file, turns, monkeypatch):
    app_secret, secrets = fill(scene)
    keys = f"{NEW}\n{key_file.read_text()}"
    monkeypatch.setattr(resealing, "MOST", 1)
    going = resealing.all_rows(keys)
    for _ in range(turns):
        next(going, None)
    going.close()
    assert all_opens(scene, keys, app_secret, secrets) and resealing.state(keys).older == 5 - turns
    assert sum(turn.anew for turn in resealing.all_rows(keys)) == 5 - turns
    assert all_opens(scene, NEW, app_secret, secrets)
    assert resealing.state(keys) == resealing.State(rows=5, older=0, strangers=0)


def test_what_no_key_opens_is_counted_and_stays_as_it_is(app, scene, run, key_file):
    fill(scene)
    method = methods.in_force(scene.person("Dora").id) or scene.method(scene.person("Dora"))
    lost = Details(NEWER).seal({"holder": "Dora", "iban": IBAN})
    scene.do(lambda: setattr(method, "details", lost))
    key_file.write_text(f"{NEW}\n{key_file.read_text()}")
    said = run("reseal", "--drop-older")
    assert said.code == 1 and "1 rows are under a key that is not in details_key" in said.err
    assert "5 rows were written" in said.out and len(key_file.read_text().splitlines()) == 2
    session.rollback()
    assert session.get(Method, method.id).details == lost
    scene.do(lambda: setattr(session.get(Method, method.id), "key_id", Details(NEWER).key_id))
    said = run("doctor")
    assert said.code == 1 and "Keys: NOT WELL. 1 of 6 rows that are kept encrypted name a key" in said.out


def test_an_account_is_known_again_before_its_row_was_written_anew(app, scene, key_file):
    """The same bank account under the old key and the new one: the mark follows at once."""
    scene.method(scene.alice)
    scene.keep = Details(f"{NEW}\n{key_file.read_text()}")
    scene.method(scene.bob)
    assert methods.sharing_details_with(scene.bob.id) == [scene.alice.id]
    assert {method.key_id for method in session.scalars(sa.select(Method))} == {scene.keep.key_id}


def test_a_second_step_goes_on_working_under_the_new_key(app, scene, key_file):
    alice, old = scene.alice.id, key_file.read_text()
    box = Box(old, two_step.PURPOSE)
    offered = scene.do(lambda: two_step.begin(alice, called="A", issuer="F", keep=box, at=scene.at))
    phone, both = TOTP(key=offered.secret.replace(" ", "")), Box(f"{NEW}\n{old}", two_step.PURPOSE)
    codes = two_step.make_codes(alice)
    code = phone.generate(scene.at).token
    scene.do(lambda: two_step.turn_on(alice, code, codes=codes, keep=both, at=scene.at))
    list(resealing.all_rows(f"{NEW}\n{old}"))
    later = scene.later(seconds=60)
    typed = two_step.read(alice, phone.generate(later).token)
    assert scene.do(lambda: two_step.check(alice, typed, keep=Box(NEW, two_step.PURPOSE), at=later))


def test_what_runs_with_the_older_keys_reads_what_was_written_anew_meanwhile(app, scene, run, monkeypatch):
    """`portal new-key` and `portal reseal` beside a server and a worker that nobody restarts."""
    settings = app.extensions["settings"]
    monkeypatch.setenv("INSTANCE_DIR", str(settings.instance_dir))
    (settings.instance_dir / "details_key").write_text(settings.details_key)
    phone = two_step_on(scene, scene.alice)
    endpoint, secret = scene.webhook()
    assert run("new-key").code == 0 and run("reseal").code == 0
    assert session.scalars(sa.select(SecondStep)).one().key_id != Box(settings.details_key, two_step.PURPOSE).key_id
    tab = half(scene, scene.alice)
    tab.press("/login/code", code=phone.generate(scene.at).token)
    assert tab.is_signed_in()
    made = {}
    monkeypatch.setattr(sweeps, "send_webhooks", lambda caller, *, keep: made.update(keep=keep))
    next(job for job in serving.jobs(app, settings) if job.name == "send webhooks").run()
    assert endpoints.signing(session.get(Endpoint, endpoint.id), keep=made["keep"], at=scene.at) == [secret]


def test_where_no_key_opens_the_apps_secret_a_recovery_code_signs_in(scene):
    alice = scene.alice.id
    phone = two_step_on(scene, scene.alice)
    codes = two_step.make_codes(alice)
    scene.do(lambda: two_step.renew_codes(alice, codes, at=scene.at))

    def lose(*, on: bool) -> None:
        step = session.scalars(sa.select(SecondStep)).one()
        step.secret, step.on_at = Box(NEWER, two_step.PURPOSE).seal("x"), scene.at if on else None

    scene.do(lambda: lose(on=True))
    tab = half(scene, scene.alice)
    refused = tab.press("/login/code", code=phone.generate(scene.at).token)
    assert refused.status == 422 and not tab.is_signed_in()
    tab.press("/login/code", code=codes.shown[0])
    assert tab.is_signed_in()
    scene.do(lambda: lose(on=False))
    assert tab.get("/account/two-step").location.endswith("/account/security")
    assert tab.get("/account/two-step/qr.svg").status == 404


def test_of_two_new_keys_at_once_the_second_is_refused_and_none_is_lost(tmp_path):
    folder = tmp_path / "instance"
    before = Settings.from_env({"INSTANCE_DIR": str(folder)}).details_key
    left = folder / ".details_key.new"
    left.touch()
    with pytest.raises(BadSetting, match="another command is at it"):
        add_details_key(folder)
    assert (folder / "details_key").read_text() == before
    left.unlink()
    add_details_key(folder)
    assert Settings.from_env({"INSTANCE_DIR": str(folder)}).details_key.splitlines()[1:] == [before]
