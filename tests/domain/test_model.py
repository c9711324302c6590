"""The portal against a plain model of its rules: random sign-ups, orders, refunds, decisions and payouts, step by step.

After every step each person's balances, each reward's state and each payout are what `plain_model` says; every few
steps the transfers are sealed and the books are checked. `PORTAL_TEST_LONG=1` walks a million steps, or
`PORTAL_TEST_STEPS`, and prints the seed of each walk, which `PORTAL_TEST_SEED` walks again.
"""

import os
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from portal import program
from portal.accounts.users import NOWHERE, User
from portal.core import database
from portal.core.database import session
from portal.core.text import Refusal
from portal.payouts.methods import Kind
from portal.payouts.payouts import Batch, Payout
from portal.reports import books
from portal.rewards import kinds, ledger, rules
from portal.rewards.conversions import Customer, OrderReport
from portal.rewards.decisions import Reason
from portal.rewards.refunds import RefundReason, RefundReport, ReinstatementReport
from portal.rewards.rules import Often, Rule
from tests import invariants
from tests.conftest import close
from tests.domain.plain_model import No, Plain, Thing
from tests.factories import IBAN, Scene
from tests.postgres import Postgres

LONG = os.environ.get("PORTAL_TEST_LONG") == "1"
SEED = os.environ.get("PORTAL_TEST_SEED") if LONG else None
ALL_STEPS = int(os.environ.get("PORTAL_TEST_STEPS") or 1_000_000) if LONG else 10_000
STEPS_A_WALK = 100
WALKS = 8
"""From one seed at most."""
PARTS = 4

STAFF = ("Olivia", "Rita", "Finn")
NAMES = ("Alice", "Bob", "Carol", "Mallory", "Dora", *STAFF)
AT_FIRST = dict.fromkeys(STAFF) | {"Alice": None, "Bob": "Alice"}
"""Who is there when a walk begins: person -> referrer."""
BUCKETS = ("pending", "approved", "payable", "in_payout", "paid")

OFFERS: list[list[Thing]] = [
    [
        {"key": "first", "goal": "purchase", "side": "referrer", "amount": 2000, "minimum": 3000, "hold": 7,
         "tiers": [{"from": 2, "amount": 2500}, {"from": 4, "amount": 2600}]},
        {"key": "early", "goal": "purchase", "side": "referrer", "amount": 900, "hold": 7},
        {"key": "share", "goal": "purchase", "side": "referrer", "share": 1000, "most": 1500, "every": True, "hold": 3},
        {"key": "gift", "goal": "purchase", "side": "referee", "amount": 700, "hold": 0},
        {"key": "hello", "goal": "signup", "side": "referee", "amount": 300, "hold": 0},
        {"key": "bonus", "goal": "purchase", "side": "referrer", "amount": 1500, "threshold": 2, "hold": 3},
    ],
    [
        {"key": "share", "goal": "purchase", "side": "referrer", "share": 333, "minimum": 3000, "every": True,
         "hold": 1, "tiers": [{"from": 4, "share": 1250}]},
        {"key": "gift", "goal": "purchase", "side": "referee", "share": 150, "every": True, "hold": 1},
        {"key": "penny", "goal": "purchase", "side": "referee", "amount": 7, "every": True, "hold": 0},
        {"key": "hello", "goal": "signup", "side": "referrer", "amount": 3, "hold": 0},
        {"key": "bonus", "goal": "purchase", "side": "referrer", "amount": 1900, "threshold": 2, "hold": 3},
    ],
]  # fmt: skip
"""What two versions of the terms offer, in the plain model's words."""

SETTINGS: list[Thing] = [
    {"minimum": 1200, "auto_below": 400, "second_above": 4000, "month_cap": 9000, "goal_days": 90},
    {"minimum": 500, "auto_below": None, "second_above": None, "month_cap": None, "goal_days": 20},
]


def offered(version: int) -> list[Rule]:
    """The rules of a version, for the portal."""
    return [
        Rule(
            rule_key=plain["key"], goal=plain["goal"], beneficiary=plain["side"],
            kind=rules.Kind.SHARE if "share" in plain else rules.Kind.FIXED,
            amount_minor=plain.get("amount"), share_bp=plain.get("share"), most_minor=plain.get("most"),
            minimum_order_minor=plain.get("minimum"), often=Often.EVERY if plain.get("every") else Often.FIRST,
            hold_days=plain["hold"], threshold=plain.get("threshold"),
            tiers=[{"share_bp" if k == "share" else "amount_minor" if k == "amount" else k: v for k, v in tier.items()}
                   for tier in plain.get("tiers", [])],
        )
        for plain in OFFERS[version]
    ]  # fmt: skip


def settings_of(version: int) -> Thing:
    """The settings of a version, for the portal."""
    today = SETTINGS[version]
    return {
        "minimum_payout_minor": today["minimum"], "auto_approve_below_minor": today["auto_below"],
        "second_person_above_minor": today["second_above"], "referrer_month_cap_minor": today["month_cap"],
        "goal_days": today["goal_days"],
    }  # fmt: skip


# --- the world ------------------------------------------------------------------------------------------------


class World:
    """One app on a database that is put back to its beginning for every walk; and what was done in all walks."""

    def __init__(self, app: Flask, postgres: Postgres | None, folder: Path) -> None:
        self.app, self.postgres = app, postgres
        self.done: Counter[str] = Counter()
        engine = database.db.engine
        scene = Scene(app, *offered(0), **settings_of(0))
        self.keep, self.start = scene.keep, scene.at
        self.ids = {user.name: user.id for user in (scene.olivia, scene.rita, scene.finn, scene.alice, scene.bob)}
        assert list(self.ids) == list(AT_FIRST)
        for user in (scene.olivia, scene.rita, scene.finn, scene.alice, scene.bob):
            scene.method(user, Kind.BANK if user is scene.alice else Kind.CREDIT)
        for kind in kinds.ABOUT:  # the plain model knows no signals: all it approves by itself is Clear
            scene.do(lambda kind=kind: kinds.change(kind, weight=0, is_on=False, by=scene.olivia.id, at=scene.at))
        close(app)
        self.here = str(engine.url.database)
        self.beginning = f"{self.here}_beginning" if postgres else str(folder / "beginning.db")
        if postgres:
            postgres.create(self.beginning, template=self.here)
        else:
            shutil.copy(self.here, self.beginning)

    def begin_again(self) -> None:
        """Everything is as it was after the set-up."""
        close(self.app)
        if self.postgres:
            self.postgres.create(self.here, template=self.beginning)
            return
        for left in (f"{self.here}-wal", f"{self.here}-shm"):
            Path(left).unlink(missing_ok=True)
        shutil.copy(self.beginning, self.here)

    def end(self) -> None:
        if self.postgres:
            close(self.app)
            self.postgres.drop(self.beginning)

    @property
    def steps(self) -> int:
        return self.done["steps"]


@pytest.fixture
def world(app: Flask, database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = World(app, request.getfixturevalue("postgres") if database_kind == "postgresql" else None, tmp_path)
    yield made
    made.end()


# --- the walk -------------------------------------------------------------------------------------------------

names = st.sampled_from(NAMES)
anything = st.integers(0, 59)
reasons = st.sampled_from(RefundReason)
who = st.sampled_from(["Rita", "Rita", "Olivia", *NAMES])
spans = st.sampled_from(
    [timedelta(hours=1), timedelta(days=1), timedelta(days=3), timedelta(days=8), timedelta(days=30)]
)
ago = st.sampled_from([timedelta(0), timedelta(0), timedelta(hours=2), timedelta(days=40), -timedelta(hours=1)])


def chance(weight: int, **facts: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a method a step that a walk takes `weight` times as often as one of weight 1, with these facts.

    Not rules of Hypothesis's: of those it switches most off in most walks, and then nobody is ever paid.
    """

    def add(method: Callable[..., None]) -> Callable[..., None]:
        CHANCES.extend([(method.__name__, facts)] * weight)
        return method

    return add


CHANCES: list[tuple[str, dict[str, st.SearchStrategy[Any]]]] = []


def step_of(index: int) -> st.SearchStrategy[tuple[str, Thing]]:
    # Hypothesis likes small numbers: they should stand for something that leads on.
    verb, facts = sorted(CHANCES, key=lambda chance: chance[0] != "order_of_a_friend")[index]
    return st.tuples(st.just(verb), st.fixed_dictionaries(facts))


steps = st.deferred(lambda: st.integers(0, len(CHANCES) - 1).flatmap(step_of))


class Walk(RuleBasedStateMachine):
    """Each step does one thing to the portal and to the model, and both must agree on whether it may be done."""

    def __init__(self, world: World) -> None:
        super().__init__()
        world.begin_again()
        self.world, self.ids = world, dict(world.ids)
        self.plain = Plain(OFFERS, SETTINGS, at=world.start)
        self.secrets: dict[str, list[str]] = {}
        for name, referrer in AT_FIRST.items():
            self.plain.sign_up(name, referrer)
            self.plain.confirm(name, 0)
            self.secrets[name] = ["used-up"]
            self.plain.choose_method(name, "bank" if name == "Alice" else "credit")
        self.reward_ids: dict[int, int] = {}
        self.batch_ids: list[int] = []
        self.payout_ids: list[int] = []
        self.compare()

    def both(self, what: str, ours: Callable[[], Any], plain: Callable[[], Any]) -> tuple[Any, Any]:
        """One step: done by both or refused by both; afterwards the same things are so."""
        self.world.done["steps"] += 1
        try:
            expected, refused = plain(), False
        except No:
            expected, refused = None, True
        try:
            with database.writing():
                got = ours()
        except Refusal as refusal:
            assert refused, f"{what}: the portal refuses ({refusal}), the rules do not"
            self.world.done[f"{what} refused"] += 1
            got = None
        else:
            assert not refused, f"{what}: the rules refuse, the portal did it"
            self.world.done[what] += 1
        self.compare()
        if self.world.steps % 20 == 0:
            self.check_books()
        return got, expected

    def compare(self) -> None:
        """Balances, rewards and payouts against the model's."""
        ours = {(row.number, row.person_id, row.rule_key): row for row in session.execute(REWARDS)}
        told = {}
        for index, r in enumerate(self.plain.rewards):
            key = (self.number(r["order"]), self.id_of(r["person"]), r["rule"]["key"])
            told[key] = (r["amount"], r["state"], r["ready"])
            if key in ours:
                self.reward_ids[index] = ours[key].id
        assert {key: (row.amount_minor, row.state, row.ready) for key, row in ours.items()} == told
        sums: dict[int, Counter[str]] = {}
        for user_id, left, entered, amount in session.execute(SUMS):
            sums.setdefault(user_id, Counter())[entered] += int(amount)
            sums[user_id][left] -= int(amount)
        for name in self.plain.people:
            balance = sums.get(self.id_of(name), Counter())
            assert {bucket: balance[bucket] for bucket in BUCKETS} == self.plain.balance(name), name
        ended = ("failed", "cancelled")
        made = [(row.user_id, row.state, row.state in ended or row.amount_minor) for row in session.execute(PAYOUTS)]
        assert made == [
            (self.id_of(p["person"]), p["state"], p["state"] in ended or p["amount"]) for p in self.plain.payouts()
        ]
        session.rollback()

    def check_books(self) -> None:
        with database.writing():
            ledger.seal()
        assert list(books.faults()) == []
        session.rollback()

    def id_of(self, name: str) -> int:
        if name not in self.ids:
            self.ids[name] = session.scalars(sa.text("SELECT id FROM users WHERE email = :e"), {"e": email(name)}).one()
        return self.ids[name]

    def user(self, name: str) -> User:
        return User.by_id(self.id_of(name))

    def somebody(self, which: int) -> str:
        return list(self.plain.people)[which % len(self.plain.people)]

    def number(self, order: Thing) -> str:
        """An order's outside id; a sign-up's is made of the person's."""
        return f"of {self.id_of(order['customer'])}" if order["goal"] == "signup" else str(order["number"])

    @rule(step=steps)
    def step(self, step: tuple[str, Thing]) -> None:
        verb, facts = step
        getattr(self, verb)(**facts)

    # --- people -----------------------------------------------------------------------------------------------

    @chance(2, name=names, code_of=names, way=st.sampled_from(["typed", "carried", "none"]))
    def sign_up(self, name: str, code_of: str, way: str) -> None:
        code = self.code(code_of)
        credited = None if way == "none" else code_of
        _, mailed = self.both(
            "sign_up",
            lambda: program.sign_up(
                email=email(name), name=name, password="!", seen=NOWHERE, at=self.plain.at,
                typed=code if way == "typed" else "", carried=code if way == "carried" else "",
            ),
            lambda: self.plain.sign_up(name, credited),
        )  # fmt: skip
        if mailed:
            text = session.scalars(LATEST_KEY, {"to": email(name)}).one()
            session.rollback()
            found = re.search(r"/confirm/(\S+)", text)
            assert found
            self.secrets.setdefault(name, []).append(found[1])

    @chance(2, which=anything, key=anything)
    def confirm(self, which: int, key: int) -> None:
        waiting = [name for name in self.secrets if not self.plain.people[name]["confirmed"]]
        name = (waiting or list(self.secrets))[which % len(waiting or self.secrets)]
        number = key % len(self.secrets[name])
        secret = self.secrets[name][number]
        got, good = self.both(
            "confirm",
            lambda: program.confirm(secret, at=self.plain.at),
            lambda: self.plain.confirm(name, number),
        )
        assert (got is not None) == good

    @chance(2, name=names, code_of=st.sampled_from([None, *NAMES]), before=ago)
    def report_customer(self, name: str, code_of: str | None, before: timedelta) -> None:
        code, when = self.code(code_of), self.plain.at - before
        self.both(
            "report_customer",
            lambda: program.report_customer(
                Customer(f"c-{name}", email(name)), name=name, code=code, signed_up_at=when, at=self.plain.at
            ),
            lambda: self.plain.report_customer(name, code_of, when),
        )

    def code(self, name: str | None) -> str:
        """Somebody's code, or one that nobody has."""
        if name not in self.plain.people:
            return "" if name is None else "nobody-has-it"
        query = "SELECT c.text FROM codes c JOIN links l ON l.id = c.link_id WHERE l.owner_id = :id"
        found = session.scalars(sa.text(query), {"id": self.id_of(name)}).one()
        session.rollback()
        return str(found)

    @chance(2, which=anything)
    def suspend(self, which: int) -> None:
        """Suspends somebody, or readmits who is."""
        by = self.ids["Olivia"]
        out = [name for name, person in self.plain.people.items() if person["suspended"]]
        if out:
            name = out[which % len(out)]
            self.both(
                "readmit",
                lambda: program.readmit(self.user(name), by=by, note="Seen.", at=self.plain.at),
                lambda: self.plain.readmit(name),
            )
        else:
            name = self.somebody(which)
            self.both(
                "suspend",
                lambda: program.suspend(self.user(name), by=by, note="Seen.", at=self.plain.at),
                lambda: self.plain.suspend(name),
            )

    @chance(2, which=anything, kind=st.sampled_from(Kind))
    def choose_method(self, which: int, kind: Kind) -> None:
        name = self.somebody(which)
        given = {"holder": name, "iban": IBAN, "email": email(name)}
        self.both(
            "choose_method",
            lambda: program.choose_method(self.user(name), kind, given, keep=self.world.keep, at=self.plain.at),
            lambda: self.plain.choose_method(name, kind),
        )

    @chance(
        1, which=anything, step=st.sampled_from([None, 1, 2, 4, 3]), by=st.sampled_from(["Olivia", "Olivia", "Rita"])
    )
    def set_tier(self, which: int, step: int | None, by: str) -> None:
        """Puts somebody at a step of the tiers, or takes that off."""
        name, who = self.somebody(which), self.ids[by]
        self.both(
            "set_tier" if step else "free_tier",
            lambda: (
                program.set_tier(self.user(name), step, note="Agreed.", by=who, at=self.plain.at)
                if step
                else program.free_tier(self.user(name), by=who, at=self.plain.at)
            ),
            lambda: self.plain.set_tier(name, step, by),
        )

    @chance(2, what=st.sampled_from(["publish", 1, 100, 500, 1000, 2000]), many=st.integers(1, 5))
    def change_the_program(self, what: Any, many: int) -> None:
        """The other terms are published, or the pool gets so many vouchers of a value."""
        by = self.ids["Finn"]
        if what == "publish":
            version = 1 - self.plain.version
            self.both(
                "publish",
                lambda: program.open_program(offered(version), by=by, at=self.plain.at, **settings_of(version)),
                lambda: setattr(self.plain, "version", version),
            )
            return
        texts = [f"V{self.world.steps}-{number}" for number in range(many)]
        self.both(
            "add_vouchers",
            lambda: program.add_vouchers(texts, value_minor=what, currency="EUR", by=by, at=self.plain.at),
            lambda: self.plain.pool.extend([what] * many),
        )

    # --- orders -----------------------------------------------------------------------------------------------

    @chance(
        4, number=st.integers(0, 11), name=names, by=st.sampled_from(["email", "email", "id"]), before=ago,
        amount=st.sampled_from([1, 33, 2999, 3000, 6400, 12_345, 20_000]),
        recorder=st.sampled_from([None, None, None, *STAFF]),
    )  # fmt: skip
    def order(self, number: int, name: str, by: str, amount: int, before: timedelta, recorder: str | None) -> None:
        self.report_order(f"o{number}", name, by, amount, self.plain.at - before, recorder)

    @chance(4, which=anything, amount=st.sampled_from([3000, 6400, 9999, 12_345]))
    def order_of_a_friend(self, which: int, amount: int) -> None:
        friends = [name for name, person in self.plain.people.items() if person["referrer"]]
        name = friends[which % len(friends)]
        self.report_order(f"f{len(self.plain.orders)}", name, "email", amount, self.plain.at, None)

    @chance(1, which=anything, by=st.sampled_from(["email", "id"]))
    def repeat_an_order(self, which: int, by: str) -> None:
        known = self.purchases()
        if known:
            told = known[which % len(known)]
            self.report_order(told["number"], told["customer"], by, told["amount"], told["occurred"], told["recorder"])

    def report_order(self, number: str, name: str, by: str, amount: int, occurred: Any, recorder: str | None) -> None:
        customer = Customer(email=email(name)) if by == "email" else Customer(external_id=f"c-{name}")
        recorded_by = self.ids[recorder] if recorder else None
        report = OrderReport("purchase", number, customer, occurred, amount, "EUR", recorded_by=recorded_by)
        got, expected = self.both(
            "order",
            lambda: program.convert(report, at=self.plain.at).answer,
            lambda: self.plain.order(number, name, by, amount, occurred=occurred, recorder=recorder),
        )
        assert got == expected
        self.world.done[f"order {expected}"] += 1

    @chance(
        2, number=anything, order=st.integers(0, 11), amount=st.sampled_from([None, 1, 33, 1500, 3000, 6399, 99_999]),
        reason=reasons,
    )  # fmt: skip
    def refund(self, number: int, order: int, amount: int | None, reason: RefundReason) -> None:
        self.report_refund(f"r{number % 20}", f"o{order}", amount, reason)

    @chance(4, which=anything, tenths=st.sampled_from([1, 3, 5, 9, 10]), reason=reasons)
    def refund_a_known_order(self, which: int, tenths: int, reason: RefundReason) -> None:
        known = self.purchases()
        if known:
            told = known[which % len(known)]
            part = max(1, told["amount"] * tenths // 10)
            self.report_refund(f"k{len(self.plain.refunds)}", told["number"], part, reason)

    def report_refund(self, number: str, order: str, amount: int | None, reason: RefundReason) -> None:
        report = RefundReport(number, order, amount, reason=reason)
        got, expected = self.both(
            "refund",
            lambda: program.refund(report, at=self.plain.at).answer,
            lambda: self.plain.refund(number, order, amount, reason),
        )
        assert got == expected
        self.world.done[f"refund {expected}"] += 1

    @chance(3, which=anything)
    def reinstate(self, which: int) -> None:
        """The money of a refund came again, mostly of one that was told."""
        known = list(self.plain.refunds)
        number = known[which % len(known)] if known and which % 8 else f"r{which % 20}"
        got, expected = self.both(
            "reinstate",
            lambda: program.reinstate(ReinstatementReport(number), at=self.plain.at).answer,
            lambda: self.plain.reinstate(number),
        )
        assert got == expected
        self.world.done[f"reinstate {expected}"] += 1

    def purchases(self) -> list[Thing]:
        return [order for order in self.plain.orders.values() if order["goal"] == "purchase"]

    # --- decisions --------------------------------------------------------------------------------------------

    @chance(5, which=anything, verb=st.sampled_from(["approve", "reject", "undo"]), by=who)
    def decide(self, which: int, verb: str, by: str) -> None:
        fitting = {"undo": ("approved", "rejected")}.get(verb, ("pending",))
        index = likely(which, self.plain.rewards, lambda r: r["state"] in fitting)
        if by in self.plain.people and index is not None:
            self.decide_on(index, verb, by)

    @chance(3)
    def approve_what_waits(self) -> None:
        """Rita and Olivia work through the queue."""
        for index, r in enumerate(self.plain.rewards):
            if r["state"] == "pending":
                self.decide_on(index, "approve", "Olivia" if self.plain.is_own(r, "Rita") else "Rita")

    def decide_on(self, index: int, verb: str, by: str) -> None:
        number, r = self.reward_ids[index], self.plain.rewards[index]
        facts: Thing = {
            "approve": {},
            "reject": {"reason": Reason.OTHER, "told": "Not this time."},
            "undo": {"note": "A mistake."},
        }[verb]
        self.both(
            verb,
            lambda: getattr(program, verb)(number, by=self.id_of(by), at=self.plain.at, **facts),
            lambda: getattr(self.plain, verb)(r, by),
        )

    # --- time -------------------------------------------------------------------------------------------------

    @chance(4, span=spans)
    def wait(self, span: timedelta) -> None:
        """Time passes, and the worker has its turn."""
        self.plain.at += span
        self.both("approve_clear", lambda: program.approve_by_terms(at=self.plain.at), self.plain.approve_by_terms)
        self.both("release", lambda: program.release_due(at=self.plain.at), self.plain.release)

    # --- payouts ----------------------------------------------------------------------------------------------

    @chance(
        2, which=anything, amount=st.sampled_from([-2500, -300, -1, 0, 1, 250, 1200, 4000]), form=st.integers(0, 60),
        by=st.sampled_from(["Finn", "Finn", "Olivia"]),
    )  # fmt: skip
    def correct(self, which: int, amount: int, form: int, by: str) -> None:
        name, key = self.somebody(which), f"form {form}"
        made, expected = self.both(
            "correct",
            lambda: program.correct_balance(
                self.user(name), amount, reason="A mistake.", form_key=key, by=self.ids[by], at=self.plain.at
            ),
            lambda: self.plain.correct(name, amount, key, by),
        )
        assert (made is not None) == bool(expected)

    @chance(4, by=st.sampled_from(["Finn", "Olivia"]))
    def draw(self, by: str) -> None:
        if all(self.plain.balance(name)["payable"] < 500 for name in self.plain.people):
            return
        batch, _ = self.both(
            "draw", lambda: program.draw_batch(by=self.ids[by], at=self.plain.at).id, lambda: self.plain.draw(by)
        )
        if batch is not None:
            self.batch_ids.append(batch)
            self.payout_ids = [row.id for row in session.execute(PAYOUTS)]
            session.rollback()

    @chance(
        4, which=anything, by=st.sampled_from(["Finn", "Olivia"]),
        verb=st.sampled_from(["approve_batch", "export_batch", "cancel_batch", "pay_batch"]),
    )  # fmt: skip
    def batch(self, which: int, verb: str, by: str) -> None:
        fitting = {"approve_batch": ("draft",), "export_batch": ("approved",), "pay_batch": ("exported",)}
        states = fitting.get(verb, ("draft", "approved"))
        index = likely(which, self.plain.batches, lambda batch: batch["state"] in states)
        if index is not None:
            self.on_batch(index, verb, by)

    @chance(2, paid=st.booleans())
    def send_the_latest_batch(self, paid: bool) -> None:
        """A colleague approves it and takes its file out; it may all be paid at once."""
        latest = len(self.plain.batches) - 1
        if latest < 0 or self.plain.batches[latest]["state"] not in ("draft", "approved"):
            return
        by = "Finn" if self.plain.batches[latest]["by"] == "Olivia" else "Olivia"
        self.on_batch(latest, "approve_batch", by)
        self.on_batch(latest, "export_batch", by)
        if paid:
            self.on_batch(latest, "pay_batch", by)

    @chance(5, which=anything, by=st.sampled_from(["Finn", "Olivia"]), until=st.sampled_from(["draft", "sent", "paid"]))
    def pay_round(self, which: int, by: str, until: str) -> None:
        """What takes weeks, in one go: a friend orders, all that waits is approved, holds pass, a batch is made."""
        self.order_of_a_friend(which, 12_345)
        self.approve_what_waits()
        self.wait(timedelta(days=8))
        self.draw(by)
        if until != "draft":
            self.send_the_latest_batch(until == "paid")

    def on_batch(self, index: int, verb: str, by: str) -> None:
        number, batch = self.batch_ids[index], self.plain.batches[index]
        got, expected = self.both(
            verb,
            lambda: getattr(program, verb)(session.get_one(Batch, number), by=self.ids[by], at=self.plain.at),
            lambda: getattr(self.plain, verb)(batch, *([by] if verb == "approve_batch" else [])),
        )
        assert got == expected

    @chance(3, which=anything, verb=st.sampled_from(["pay", "fail"]))
    def payout(self, which: int, verb: str) -> None:
        index = likely(which, self.plain.payouts(), lambda payout: payout["state"] == "sent")
        if index is None:
            return
        number, payout = self.payout_ids[index], self.plain.payouts()[index]
        facts: Thing = {"failure": "Account closed."} if verb == "fail" else {}
        got, expected = self.both(
            verb,
            lambda: getattr(program, verb)(
                session.get_one(Payout, number), by=self.ids["Finn"], at=self.plain.at, **facts
            ),
            lambda: getattr(self.plain, verb)(payout),
        )
        assert got == expected

    def teardown(self) -> None:
        if session.info.get("writing") is None and sys.exc_info()[0] is None:
            self.check_books()
            found = list(invariants.faults())
            session.rollback()
            assert found == []


def likely(which: int, things: list[Thing], fits: Callable[[Thing], bool]) -> int | None:
    """Which of the things: three times of four one that fits, if there is one."""
    fitting = [index for index, thing in enumerate(things) if fits(thing)] if which % 4 else []
    among = fitting or list(range(len(things)))
    return among[which % len(among)] if among else None


def email(name: str) -> str:
    return f"{name.lower()}@example.com"


LATEST_KEY = sa.text("SELECT text FROM outbox WHERE kind = 'confirm' AND \"to\" = :to ORDER BY id DESC LIMIT 1")
REWARDS = sa.text("""
    SELECT r.id, r.person_id, r.rule_key, r.amount_minor, r.state, r.released_at IS NOT NULL AS ready,
           CASE WHEN c.goal = 'signup' THEN 'of ' || c.customer_id ELSE c.external_id END AS number
    FROM rewards r JOIN conversions c ON c.id = r.conversion_id
""").columns(ready=sa.Boolean)
SUMS = sa.text("SELECT user_id, from_bucket, to_bucket, sum(amount_minor) FROM transfers GROUP BY 1, 2, 3")
PAYOUTS = sa.text("SELECT id, user_id, state, amount_minor FROM payouts ORDER BY id")


# --- the tests ------------------------------------------------------------------------------------------------


def walk(world: World, number: int, *, walks: int) -> None:
    """So many walks from one seed."""
    machine = seed(number)(lambda: Walk(world))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=walks,
            stateful_step_count=STEPS_A_WALK,
            deadline=None,  # a step's time says nothing on a busy machine
            database=None,  # a seed says it all
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),  # long walks with much data are what is wanted here
            print_blob=False,
        ),
    )


HAPPENS = """sign_up confirm report_customer suspend readmit choose_method add_vouchers publish order refund
    reinstate set_tier free_tier approve
    correct reject undo approve_clear release draw approve_batch export_batch cancel_batch pay_batch pay fail""".split()
REFUSED = "report_customer order approve correct reject undo draw approve_batch export_batch pay_batch pay fail".split()


@pytest.mark.timeout(0 if LONG else 1800)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_portal_does_what_the_rules_say(part: int, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """In parts, so that several processes can share the work."""
    walk_on(world, 1000 + part, steps=ALL_STEPS // PARTS, capsys=capsys)
    never = HAPPENS + [f"{what} refused" for what in REFUSED]
    assert [what for what in never if not world.done[what] and not SEED] == []


@pytest.mark.timeout(0 if LONG else 1800)
@pytest.mark.on_postgresql
def test_the_portal_does_what_the_rules_say_on_postgresql(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Fewer steps: they take the same verbs, and the races have tests of their own."""
    walk_on(world, 2000, steps=20_000 if LONG else 200, capsys=capsys)


def walk_on(world: World, number: int, *, steps: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Walks from one seed after the other until so many steps were made, by the count of the steps themselves.

    The ordinary suite walks the same ways every time, so that a failure is its author's; the long one new ways.
    """
    while world.steps < steps:
        if LONG:
            number = int(SEED) if SEED else random.SystemRandom().randrange(10**9)
            with capsys.disabled():
                print(f"\n{world.steps} of {steps} steps; PORTAL_TEST_SEED={number}", flush=True)
        walk(world, number, walks=min(WALKS, -(-(steps - world.steps) // STEPS_A_WALK)))
        number += PARTS
        if SEED:
            break
    print(dict(world.done))
    assert world.steps >= steps or SEED
