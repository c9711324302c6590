"""Races of people: the same sign-up, confirmation, code or terms at once, and orders against their customers."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from passlib.totp import TOTP

from portal import program, terms
from portal.accounts import one_time, two_step
from portal.accounts.one_time import Purpose
from portal.accounts.users import NOWHERE, Surroundings, User, find_by_email
from portal.core.database import session
from portal.core.sealed import Box
from portal.delivery.outbox import Message
from portal.payouts.methods import Kind
from portal.referrals.claims import Claim
from portal.referrals.referrals import Referral
from portal.rewards.conversions import Conversion, Customer, OrderReport
from portal.rewards.kinds import Kind as SignalKind
from portal.rewards.rewards import Reward
from portal.rewards.signals import Signal
from portal.sharing import links
from portal.sharing.invites import Answer, Invite
from tests.domain.racing import (
    NAMES,
    PEOPLE,
    Acts,
    Question,
    Race,
    convert,
    count,
    expect,
    granted,
    lingering,
    newcomer,
    report,
    rewards_for,
    spread,
)
from tests.factories import Scene


def the_same_sign_up(scene: Scene, clients: int) -> tuple[Acts, Question]:
    email, code = f"friend{next(scene._numbers)}@example.com", scene.code(scene.alice)

    def act() -> None:
        program.sign_up(email=email, name="Bob", password="!", seen=NOWHERE, carried=code, at=scene.at)

    def question(outcomes: list[Any]) -> Iterator[str]:
        people = session.scalars(sa.select(User.id).where(sa.func.lower(User.email) == email)).all()
        yield from expect("accounts", len(people), 1)
        yield from expect("referrals", count(Referral, Referral.referee_id.in_(people)), 1)
        yield from expect("links", count(links.Link, links.Link.owner_id.in_(people)), 1)
        yield from expect("told yes", len(granted(outcomes)), clients)

    return [act] * clients, question


def the_same_confirmation(scene: Scene, clients: int) -> tuple[Acts, Question]:
    friend = scene.sign_up(f"Friend {next(scene._numbers)}", carried=scene.code(scene.alice))
    number, secret = friend.id, scene.secret_for(friend)

    def act() -> bool:
        return program.confirm(secret, at=scene.at) is not None

    def question(outcomes: list[Any]) -> Iterator[str]:
        signups = count(Conversion, Conversion.goal == "signup", Conversion.customer_id == number)
        yield from expect("confirmations", granted(outcomes).count(True), 1)
        yield from expect("sign-ups counted", signups, 1)

    return [act] * clients, question


def the_same_reset_link(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """One mailed link for a new password, used by many at once, each with a password of their own."""
    person = scene.person(f"Person {next(scene._numbers)}")
    number = person.id
    scene.do(lambda: program.forgot_password(User.by_id(number).email, at=scene.at))
    secret = scene.secret_for(person, "reset")

    def act(password: str) -> str | None:
        return password if program.set_password(secret, password, at=scene.at) else None

    def question(outcomes: list[Any]) -> Iterator[str]:
        session.expire_all()
        taken = [password for password in granted(outcomes) if password]
        yield from expect("passwords set", len(taken), 1)
        yield from expect("the password", [session.get_one(User, number).password], taken)
        told = Message.kind == "password_changed", Message.to == session.get_one(User, number).email
        yield from expect("mails that say so", count(Message, *told), 1)

    return [lambda word=f"hash {n}": act(word) for n in range(clients)], question


def the_confirmations_of_two_sign_ups(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """Somebody signed up with an address before its owner did, from elsewhere: the mails of both are pressed at once."""
    email, codes = f"twice{next(scene._numbers)}@example.com", (scene.code(scene.carol), scene.code(scene.alice))
    secrets = []
    for place, code in enumerate(codes):
        seen = Surroundings(visitor=f"visitor-{place}", network=f"198.51.{place}.0/24", browser="b")
        scene.do(
            lambda place=place, code=code, seen=seen: program.sign_up(
                email=email, name=f"Bob {place}", password=f"hashed {place}", seen=seen, typed=code, at=scene.at
            )
        )
        made = find_by_email(email)
        assert made is not None
        secrets.append(scene.secret_for(made))

    mine = sa.select(Referral.code)

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("confirmations", granted(outcomes).count(True), 1)
        session.expire_all()
        made = find_by_email(email)
        assert made is not None
        with_it = (made.name, made.password, session.scalar(mine.where(Referral.referee_id == made.id)))
        told = [(f"Bob {place}", f"hashed {place}", code) for place, code in enumerate(codes)]
        yield from expect("all of one sign-up", with_it in told, True)

    def press(secret: str) -> Callable[[], bool]:
        return lambda: program.confirm(secret, at=scene.at) is not None

    return [lingering(press(secrets[number % 2])) for number in range(clients)], question


def a_move_against_the_confirmation_of_who_sits_there(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """Somebody moves to an address while who signed up with it confirms it: one of the two has it."""
    email, number = f"wanted{next(scene._numbers)}@example.com", confirmed(scene, "mover")
    sitter = scene.sign_up("Sitter", email=email)
    there, secret = sitter.id, scene.secret_for(sitter)
    link = scene.do(lambda: one_time.make(Purpose.MOVE, number, carried={"to": email}, at=scene.at))

    def moves() -> bool:
        return program.move(link, at=scene.at) is not None

    def confirms() -> bool:
        return program.confirm(secret, at=scene.at) is not None

    def question(outcomes: list[Any]) -> Iterator[str]:
        session.expire_all()
        mover, left = User.by_id(number), User.by_id(there)
        yield from expect("told yes", granted(outcomes).count(True), 1)
        yield from expect("has it", count(User, User.email == email), 1)
        yield from expect("moved", mover.email == email, left.confirmed_at is None)
        yield from expect("gave way", left.erased_at is not None, mover.email == email)

    return [moves, confirms], question


def orders_against_their_customers_confirmation(scene: Scene, clients: int) -> tuple[Acts, Question]:
    friend = scene.sign_up(f"Friend {next(scene._numbers)}", carried=scene.code(scene.alice))
    number, secret = friend.id, scene.secret_for(friend)
    orders = [convert(scene, report(scene, friend, f"race-{next(scene._numbers)}")) for _ in range(clients - 1)]

    def confirms() -> bool:
        return program.confirm(secret, at=scene.at) is not None

    def question(outcomes: list[Any]) -> Iterator[str]:
        applied = Conversion.customer_id == number, Conversion.goal == "purchase"
        yield from expect("orders applied", count(Conversion, *applied), clients - 1)
        yield from expect("orders waiting", count(Conversion, Conversion.applied_at.is_(None)), 0)
        yield from expect("rewards", rewards_for(number), clients - 1)

    return [confirms, *spread(scene, orders)], question


def orders_against_their_customers_report(scene: Scene, clients: int) -> tuple[Acts, Question]:
    person, external_id = newcomer(scene, "referrer"), f"C-{next(scene._numbers)}"
    code, customer = scene.code(person), Customer(external_id, f"{external_id}@example.com")
    orders = [
        convert(scene, OrderReport("purchase", f"{external_id} {n}", Customer(external_id), scene.at, 6400, "EUR"))
        for n in range(clients - 2)
    ]

    def reports() -> Any:
        return program.report_customer(customer, code=code, at=scene.at)[1]

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("customers made", outcomes[:2].count(True), 1)
        yield from expect("orders waiting", count(Conversion, Conversion.applied_at.is_(None)), 0)
        yield from expect("balance", scene.balance(person), {"pending": 2000 * (clients - 2)})

    return [reports] * 2 + spread(scene, orders), question


def the_same_code(scene: Scene, clients: int) -> tuple[Acts, Question]:
    wanted = f"wanted-{next(scene._numbers)}"
    mine = [links.main_link(newcomer(scene, "referrer").id).id for _ in range(clients)]

    def takes(link_id: int) -> Callable[[], Any]:
        return lambda: links.take_code(session.get_one(links.Link, link_id), wanted, at=scene.at)

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("took it", len(granted(outcomes)), 1)
        yield from expect("codes", count(links.Code, links.Code.folded == wanted), 1)
        current = count(links.Code, links.Code.link_id.in_(mine), links.Code.retired_at.is_(None))
        yield from expect("links with a code", current, clients)

    return [takes(number) for number in mine], question


def the_same_terms(scene: Scene, clients: int) -> tuple[Acts, Question]:
    version, by = terms.in_force().version, scene.olivia.id
    other = 30 + version  # another span each round: what changes nothing makes no version

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("published", len(granted(outcomes)), 1)
        yield from expect("versions", terms.in_force().version, version + 1)
        yield from expect("versions of one number", count(terms.Terms), version + 1)

    def act() -> None:
        program.change_program(version, window_days=other, by=by, at=scene.at)

    return [act] * clients, question


def confirmed(scene: Scene, name: str) -> int:
    """Somebody new who confirmed the address; their row number."""
    number = newcomer(scene, name).id
    scene.do(lambda: setattr(session.get_one(User, number), "confirmed_at", scene.at))
    return number


def the_same_invite(scene: Scene, clients: int) -> tuple[Acts, Question]:
    owner, email = confirmed(scene, "referrer"), f"invited{next(scene._numbers)}@example.com"

    def act() -> Answer:
        (told,) = program.invite(User.by_id(owner), [email], at=scene.at)
        return told.answer

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("invites", count(Invite, Invite.owner_id == owner), 1)
        yield from expect("accepted", outcomes.count(Answer.ACCEPTED), 1)
        yield from expect("told", outcomes.count(Answer.ALREADY), clients - 1)

    return [act] * clients, question


def invites_beyond_the_limit(scene: Scene, clients: int) -> tuple[Acts, Question]:
    owner = confirmed(scene, "referrer")

    def act(number: int) -> list[Answer]:
        typed = [f"friend{number}-{n}@example.com" for n in range(4)]
        return [told.answer for told in program.invite(User.by_id(owner), typed, at=scene.at)]

    def question(outcomes: list[Any]) -> Iterator[str]:
        answers = [answer for outcome in granted(outcomes) for answer in outcome]
        yield from expect("invites", count(Invite, Invite.owner_id == owner), 20)
        yield from expect("accepted", answers.count(Answer.ACCEPTED), 20)

    return [lambda number=number: act(number) for number in range(clients)], question


def the_same_claim(scene: Scene, clients: int) -> tuple[Acts, Question]:
    claimant, code = confirmed(scene, "claimant"), scene.code(scene.alice)

    def act() -> int:
        return program.claim(User.by_id(claimant), code, at=scene.at).id

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("claims", count(Claim, Claim.referee_id == claimant), 1)
        yield from expect("made", len(granted(outcomes)), 1)

    return [act] * clients, question


def a_claim_granted_against_refused(scene: Scene, clients: int) -> tuple[Acts, Question]:
    claimant, code, by = confirmed(scene, "claimant"), scene.code(scene.alice), scene.rita.id
    number = scene.do(lambda: program.claim(User.by_id(claimant), code, at=scene.at).id)

    def act(granting: bool) -> bool:
        program.answer_claim(session.get_one(Claim, number), granted=granting, by=by, at=scene.at)
        return granting

    def question(outcomes: list[Any]) -> Iterator[str]:
        said = granted(outcomes)
        yield from expect("answers", len(said), 1)
        yield from expect("referrals", count(Referral, Referral.referee_id == claimant), int(said == [True]))

    return [lambda yes=yes: act(yes) for yes in [True, False] * (clients // 2)], question


def the_same_details(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """A referrer and a friend name one PayPal address at the same moment: one of the two sees the other."""
    referrer = newcomer(scene, "referrer")
    friend = newcomer(scene, "friend", code=scene.code(referrer))
    referral = scene.referral(friend)
    assert referral is not None
    number, given = referral.id, {"email": f"account{next(scene._numbers)}@example.com"}

    def act(user_id: int) -> None:
        program.choose_method(User.by_id(user_id), Kind.PAYPAL, given, keep=scene.keep, at=scene.at)

    def question(outcomes: list[Any]) -> Iterator[str]:
        raised = count(Signal, Signal.referral_id == number, Signal.kind == SignalKind.SAME_PAYOUT)
        yield from expect("signals", raised, 1)

    return [lambda who=who: act(who) for who in (referrer.id, friend.id)], question


def the_same_second_step(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """One code of an app, and one recovery code, each typed in many browsers at once."""
    person, box = newcomer(scene, "referrer").id, Box("a key", "two-step")
    offered = scene.do(lambda: two_step.begin(person, called="A", issuer="B", keep=box, at=scene.at))
    app = TOTP(key=offered.secret.replace(" ", ""))
    first = app.generate(scene.at).token
    codes = two_step.make_codes(person)
    scene.do(lambda: two_step.turn_on(person, first, codes=codes, keep=box, at=scene.at))
    later = scene.at + timedelta(seconds=30)
    typed = [two_step.read(person, code) for code in (app.generate(later).token, codes.shown[0])]

    def act(typed: two_step.Typed) -> bool:
        return two_step.check(person, typed, keep=box, at=later)

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("codes taken", granted(outcomes).count(True), 2)
        yield from expect("recovery codes left", two_step.codes_left(person), 9)

    return [lambda one=one: act(one) for one in typed * (clients // 2)], question


def an_erasure_against_orders_and_approvals(scene: Scene, clients: int) -> tuple[Acts, Question]:
    """Somebody deletes the account while their friends order and their rewards are approved."""
    person = newcomer(scene, "referrer")
    number, code, by = person.id, scene.code(person), scene.rita.id
    friends = [newcomer(scene, "friend", code=code) for _ in range(clients // 2)]
    for friend in friends:
        scene.order(friend)
    pending = [reward.id for reward in scene.rewards(person)]
    orders = [convert(scene, report(scene, friend, f"race-{next(scene._numbers)}")) for friend in friends]
    approvals = [lambda one=one: program.approve(one, by=by, at=scene.at) and None for one in pending]

    def erases() -> None:
        program.erase(User.by_id(number), gives_up_minor=None, by=None, at=scene.at)

    def question(outcomes: list[Any]) -> Iterator[str]:
        yield from expect("balance", scene.balance(User.by_id(number)), {})
        waits = Reward.person_id == number, Reward.state.in_(("pending", "approved"))
        yield from expect("rewards that wait", count(Reward, *waits), 0)

    return [erases, *spread(scene, [*orders, *approvals])], question


RACES = [
    Race(the_same_second_step,
         drop=("CREATE OR REPLACE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS "
               "$$ BEGIN NEW.last_counter = OLD.last_counter; RETURN NEW; END $$",
               "CREATE TRIGGER stays BEFORE UPDATE ON second_steps FOR EACH ROW EXECUTE FUNCTION stays()")),
    Race(an_erasure_against_orders_and_approvals, offer=({"often": "every"},), locks=(PEOPLE,)),
    Race(the_same_details, clients=2, locks=(NAMES,)),
    Race(the_same_invite, locks=(PEOPLE,)),
    Race(invites_beyond_the_limit, locks=(PEOPLE,)),
    Race(the_same_claim, locks=(PEOPLE,), drop=("DROP INDEX uq_claims_open",)),
    Race(a_claim_granted_against_refused, locks=(PEOPLE,)),
    Race(the_same_sign_up, clients=16, drop=("DROP INDEX uq_users_email_lower",)),
    Race(the_confirmations_of_two_sign_ups, locks=(NAMES,)),
    Race(the_same_confirmation, locks=(NAMES,),
         drop=("CREATE OR REPLACE FUNCTION forgets() RETURNS trigger LANGUAGE plpgsql AS "
               "$$ BEGIN NEW.used_at = NULL; NEW.ended_at = NULL; RETURN NEW; END $$",
               "CREATE TRIGGER forgets BEFORE UPDATE ON one_time_keys FOR EACH ROW EXECUTE FUNCTION forgets()",
               "ALTER TABLE conversions DROP CONSTRAINT uq_conversions_source_external_id")),
    Race(a_move_against_the_confirmation_of_who_sits_there, clients=2, locks=(NAMES,)),
    Race(the_same_reset_link, clients=20,
         drop=("CREATE OR REPLACE FUNCTION forgets() RETURNS trigger LANGUAGE plpgsql AS "
               "$$ BEGIN NEW.used_at = NULL; NEW.ended_at = NULL; RETURN NEW; END $$",
               "CREATE TRIGGER forgets BEFORE UPDATE ON one_time_keys FOR EACH ROW EXECUTE FUNCTION forgets()")),
    Race(orders_against_their_customers_confirmation, offer=({"often": "every"},), locks=(NAMES,)),
    Race(orders_against_their_customers_report, offer=({"often": "every"},), locks=(NAMES,)),
    Race(the_same_code, drop=("ALTER TABLE codes DROP CONSTRAINT uq_codes_folded",)),
    Race(the_same_terms, drop=("ALTER TABLE terms DROP CONSTRAINT uq_terms_version",)),
]  # fmt: skip
