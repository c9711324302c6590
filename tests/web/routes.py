"""Every route of the portal: who may open it, at which address, with which form. One table, kept complete by a test.

`anyone`: also who is not signed in. `self`: whoever is signed in, about themselves. `alice`: a thing of Alice's,
which nobody else finds. `metrics`: whoever brings the operator's token. `read`, `decide`, `pay`, `own`: colleagues, by the permissions of their roles. `key`: a
shop's program. Words in braces are filled in from the things of a furnished scene.
"""

import base64
import io
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flask import Flask
from passlib.totp import TOTP
from werkzeug.routing import Rule as Route

from portal import images, program, terms
from portal.accounts import api_keys, one_time, sign_ins, two_step, users
from portal.accounts.one_time import Purpose
from portal.accounts.passkeys import Passkey
from portal.accounts.roles import Role
from portal.accounts.users import NOWHERE, User
from portal.core import database
from portal.core.database import session
from portal.core.sealed import Box
from portal.delivery import calls, outbox, stops, webhooks
from portal.delivery.calls import NotCalled, Outcome
from portal.notices.writing import Office
from portal.reports import queue
from portal.reports.queue import Filters
from portal.rewards import decisions, rules, signals
from portal.rewards.rewards import Reward
from portal.rewards.signals import Assessment
from portal.sharing import links
from portal.web import uploads
from tests.factories import PASSWORD, Scene, fixed

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAHgAAABkAQAAAABlC8mfAAAAHElEQVR42mP8z4ACmBhG+aP8Uf4of5Q/yifMBwCweQHHAQTcqAAA"
    "AABJRU5ErkJggg=="
)
"""A white PNG of 120 by 100 points."""

EVERYBODY = ("anonymous", "referrer", "viewer", "reviewer", "finance", "owner")
COLLEAGUES = {"read": {"viewer", "reviewer", "finance"}, "decide": {"reviewer"}, "pay": {"finance"}, "own": set()}

READ: dict[str, tuple[str, str]] = {
    "public.home": ("anyone", "/"),
    "public.start": ("anyone", "/home"),
    "public.follow": ("anyone", "/r/{code}"),
    "public.sign_up": ("anyone", "/signup?ref={code}"),
    "public.check_your_email": ("anyone", "/check-your-email"),
    "public.confirm": ("anyone", "/confirm/{confirm}"),
    "public.ask_again": ("anyone", "/confirm"),
    "public.reset": ("anyone", "/reset"),
    "public.new_password": ("anyone", "/reset/{reset}"),
    "public.set_up": ("anyone", "/setup/{set_up}"),
    "public.set_up_elsewhere": ("anyone", "/setup"),
    "public.terms": ("anyone", "/terms"),
    "public.privacy": ("anyone", "/privacy"),
    "public.help": ("anyone", "/help"),
    "public.robots": ("anyone", "/robots.txt"),
    "public.favicon": ("anyone", "/favicon.ico"),
    "public.healthz": ("anyone", "/healthz"),
    "public.readyz": ("anyone", "/readyz"),
    "metrics.metrics": ("metrics", "/metrics"),
    "assets.show": ("anyone", "/assets/any/portal.css"),
    "security.login": ("anyone", "/login"),
    "security.verify": ("self", "/verify"),
    "account.account": ("self", "/account"),
    "account.name_shown": ("self", "/account/name/shown?name=Alicia&shows_name=y"),
    "account.mail": ("self", "/account/mails/rewards"),
    "safety.page": ("self", "/account/security"),
    "safety.two_step_page": ("self", "/account/two-step"),
    "safety.two_step_picture": ("self", "/account/two-step/qr.svg"),
    "safety.moving": ("anyone", "/address/{move}"),
    "safety.moving_back": ("anyone", "/address-back/{move_back}"),
    "signing_in.code": ("anyone", "/login/code"),
    "leaving.page": ("self", "/account/data"),
    "leaving.download": ("self", "/account/data.json"),
    "dashboard.home": ("self", "/dashboard"),
    "dashboard.welcome": ("self", "/welcome"),
    "dashboard.friends": ("self", "/friends"),
    "dashboard.rewards": ("self", "/rewards"),
    "dashboard.payout_list": ("self", "/payouts"),
    "dashboard.picture": ("alice", "/links/{code}/qr.svg"),
    "poster.poster": ("alice", "/links/{code}/poster"),
    "sharing.invite_list": ("self", "/invites"),
    "sharing.link_list": ("self", "/links"),
    "sharing.edit": ("alice", "/links/{link}/edit"),
    "sharing.test": ("alice", "/links/{code}/test"),
    "exports.friends": ("self", "/friends.csv"),
    "exports.invites": ("self", "/invites.csv"),
    "exports.rewards": ("self", "/rewards.xlsx"),
    "exports.payouts": ("self", "/payouts.csv"),
    "dashboard.friend": ("alice", "/friends/{referral}"),
    "dashboard.payout": ("alice", "/payouts/{payout}"),
    "admin.overview": ("read", "/admin"),
    "admin.opened": ("own", "/admin/opened"),
    "admin.rewards": ("read", "/admin/rewards"),
    "admin.decided": ("read", "/admin/rewards/decided?shown={approved}&shown={pending}"),
    "admin.clear": ("decide", "/admin/rewards/clear"),
    "admin.referrals": ("read", "/admin/referrals"),
    "admin.referral": ("read", "/admin/referrals/{referral}"),
    "admin.payout_list": ("read", "/admin/payouts"),
    "admin.batch": ("read", "/admin/payouts/{exported}"),
    "admin.people": ("read", "/admin/people?q=bob"),
    "look.style": ("anyone", "/look/4538cf.css"),
    "look.image": ("anyone", "/look/{logo}.png"),
    "admin.program_history": ("read", "/admin/program/history"),
    "admin.rule": ("own", "/admin/program/rules/{rule}"),
    "admin.rule_removal": ("own", "/admin/program/rules/{rule}/removal"),
    "admin.person": ("read", "/admin/people/{bob}"),
    "admin.colleagues": ("own", "/admin/colleagues"),
    "admin.correction": ("pay", "/admin/people/{bob}/correction"),
    "admin.order": ("own", "/admin/orders?person={bob}"),
    "admin.refund": ("own", "/admin/refunds"),
    "admin.tier": ("own", "/admin/people/{bob}/tier"),
    "admin.imports": ("own", "/admin/imports"),
    "admin.referrer": ("own", "/admin/referrals/{unpaid}/referrer"),
    "admin.first_referrer": ("own", "/admin/people/{viewer}/referrer"),
    "joining.join": ("anyone", "/join/{join}"),
    "admin.program": ("read", "/admin/program"),
    "admin.signals": ("read", "/admin/signals"),
    "admin.outbox_list": ("read", "/admin/outbox"),
    "admin.mail_list": ("read", "/admin/mails"),
    "admin.mail_wording": ("read", "/admin/mails/invite/de"),
    "stopping.unsubscribe": ("anyone", "/unsubscribe/{stop_invite}"),
    "admin.audit_list": ("read", "/admin/audit?who=portal&what=user&about=bob@example.com"),
    "admin.reports": ("read", "/admin/reports"),
    "admin.report_referrers": ("read", "/admin/reports/referrers"),
    "admin.report_links": ("read", "/admin/reports/links?by=clicks"),
    "admin.report_cohorts": ("read", "/admin/reports/cohorts?range=90"),
    "admin.report_money": ("read", "/admin/reports/money?range=90"),
    "admin.report_list": ("read", "/admin/reports/lists/rewards?range=90"),
    "admin.report_file": ("read", "/admin/reports/performance.csv"),
    "admin.report_list_file": ("read", "/admin/reports/lists/joined.xlsx"),
    "admin.developers": ("own", "/admin/developers"),
    "admin.health": ("own", "/admin/developers/health"),
    "admin.test_conversion": ("own", "/admin/developers/test"),
    "admin.webhook": ("own", "/admin/developers/webhooks/{webhook}"),
    "admin.sent_webhook": ("own", "/admin/developers/deliveries/{sent_webhook}"),
    "reference.document": ("anyone", "/api/v1/openapi.json"),
    "reference.page": ("anyone", "/api/docs"),
    "api.list_referrals": ("key", "/api/v1/referrals"),
    "api.list_rewards": ("key", "/api/v1/rewards"),
    "api.list_payouts": ("key", "/api/v1/payouts"),
    "api.balance": ("key", "/api/v1/users/{alice}/balance"),
}
"""Endpoint -> who may read it, and where."""

ONCE_MORE = {"current": PASSWORD}
NOTE = {"note": "For a good reason."}

ACT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "public.sign_up": (
        "anyone", "/signup", {"email": "new@example.com", "password": PASSWORD, "terms": "y", "ref": "{code}"},
    ),
    "public.confirmation": ("anyone", "/confirm/{confirm}", {"password": PASSWORD}),
    "public.asked_again": ("anyone", "/confirm", {"email": "ula@example.com"}),
    "public.reset_asked": ("anyone", "/reset", {"email": "bob@example.com"}),
    "public.new_password_set": ("anyone", "/reset/{reset}", {"password": "quite another password"}),
    "public.set_up_done": (
        "anyone", "/setup/{set_up}",
        {"email": "boss@example.com", "password": PASSWORD, "program_name": "Ours", "currency": "EUR",
         "time_zone": "Europe/Berlin", "referee_amount": "10", "hold_days": "14"},
    ),
    "public.not_this_person": ("anyone", "/signup/not-this-person", {"sent_by": "{invite_code}"}),
    "sharing.invite": ("self", "/invites", {"addresses": "somebody.new@example.com"}),
    "sharing.preview": ("self", "/invites/preview", {"note": "Try the dark one."}),
    "sharing.remind": ("alice", "/invites/{old_invite}/reminder", {}),
    "stopping.stop": ("anyone", "/unsubscribe/{stop_invite}", {"List-Unsubscribe": "One-Click"}),
    "stopping.delete_address": ("anyone", "/unsubscribe/{stop_invite}/address", {}),
    "stopping.not_this_person": ("anyone", "/unsubscribe/{stop_invite}/sender", {}),
    "account.mails": ("self", "/account/mails", {"friends": "y"}),
    "admin.send_again": ("own", "/admin/outbox/{mail}/sending", {}),
    "admin.word_mail": ("own", "/admin/mails/invite/de", {"subject": "Hello", "body": "Have a look. {text}"}),
    "admin.restore_mail": ("own", "/admin/mails/reset/en/restoration", {}),
    "admin.try_mail": ("own", "/admin/mails/invite/de/test", {}),
    "sharing.withdraw": ("alice", "/invites/{invite}/withdrawal", {}),
    "sharing.make": ("self", "/links", {"label": "Newsletter"}),
    "sharing.name": ("alice", "/links/{link}/name", {"label": "Another name"}),
    "sharing.archive": ("alice", "/links/{link}/archive", {"archived": "yes"}),
    "sharing.code": ("alice", "/links/{link}/code", {"code": "a-code-for-this-link"}),
    "sharing.test": ("alice", "/links/{code}/test", {"email": "a@example.com", "password": PASSWORD, "terms": "y"}),
    "dashboard.claim": ("self", "/claims", {"named": "rita@example.com"}),
    "dashboard.claim_answer": ("alice", "/claims/{claim}/answer", {"answer": "yes"}),
    "dashboard.appeal": ("alice", "/rewards/{rejected}/appeal", {"text": "Please look again."}),
    "admin.claim_answer": ("decide", "/admin/claims/{claim}/answer", {"answer": "yes"}),
    "admin.appeal_answer": ("decide", "/admin/appeals/{appeal}/answer", {"answer": "We looked again."}),
    "public.theme": ("anyone", "/theme", {"theme": "dark", "next": "/terms"}),
    "languages.choose": ("anyone", "/language", {"language": "de", "next": "/terms"}),
    "security.login": ("anyone", "/login", {"email": "alice@example.com", "password": PASSWORD}),
    "security.logout": ("anyone", "/logout", {}),
    "security.verify": ("self", "/verify", {"password": PASSWORD}),
    "account.name": ("self", "/account/name", {"name": "Somebody Else"}),
    "account.language": ("self", "/account/language", {"language": "de"}),
    "account.code": ("self", "/account/code", {"code": "a-code-of-my-own"}),
    "account.time_zone": ("self", "/account/time-zone", {"time_zone": "Asia/Tokyo"}),
    "safety.address": ("self", "/account/address", {"address-email": "another@example.com", "address-current": PASSWORD}),
    "safety.staying": ("self", "/account/move/cancellation", {}),
    "safety.moved": ("anyone", "/address/{move}", {}),
    "safety.moved_back": ("anyone", "/address-back/{move_back}", {}),
    "safety.password": ("self", "/account/password", {"password-password": "quite another password", "password-current": PASSWORD}),
    "safety.two_step_begun": ("self", "/account/two-step", {"two-step-current": PASSWORD}),
    "safety.two_step_on": ("self", "/account/two-step/code", {"code": "{first_code}"}),
    "safety.new_codes": ("self", "/account/two-step/codes", {"codes-current": PASSWORD}),
    "safety.two_step_off": ("self", "/account/two-step/end", {"off-current": PASSWORD}),
    "safety.passkey_question": ("self", "/account/passkeys/question", {"passkey-name": "My phone", "passkey-current": PASSWORD}),
    "safety.passkey": ("self", "/account/passkeys", {"passkey-answer": "{{}}"}),
    "safety.passkey_removed": ("alice", "/account/passkeys/{passkey}/removal", {"removal-current": PASSWORD}),
    "safety.sign_out_others": ("self", "/account/sign-outs", {}),
    "safety.sign_out_one": ("alice", "/account/sign-outs/{sign_in}", {}),
    "signing_in.code_given": ("anyone", "/login/code", {"code": "123456"}),
    "signing_in.passkey_question": ("anyone", "/passkey/question", {}),
    "signing_in.passkey": ("anyone", "/passkey", {"answer": "{{}}"}),
    "leaving.deletion": ("self", "/account/deletion", {"gives_up": "0", "sure": "y"} | ONCE_MORE),
    "admin.erasure": ("own", "/admin/people/{bob}/erasure", {"gives_up": "{gives_up}", "sure": "y"} | ONCE_MORE),
    "dashboard.method": ("self", "/payouts/method", {"kind": "credit"}),
    "admin.approval": ("decide", "/admin/rewards/{pending}/approval", {}),
    "admin.rejection": (
        "decide", "/admin/rewards/{pending}/rejection", {"reason": "duplicate", "told": "Counted already."},
    ),
    "admin.undo": ("decide", "/admin/rewards/{approved}/undo", NOTE),
    "admin.approvals": ("decide", "/admin/rewards/approvals", {"reward": "{pending}"}),
    "admin.rejections": (
        "decide", "/admin/rewards/rejections", {"reward": "{pending}", "reason": "duplicate", "told": "Counted already."},
    ),
    "admin.hold": ("decide", "/admin/rewards/{pending}/hold", {"until": "{in_two_months}"} | NOTE),
    "admin.holds": ("decide", "/admin/rewards/holds", {"reward": "{pending}", "until": "{in_two_months}"} | NOTE),
    "admin.approve_clear": ("decide", "/admin/rewards/clear", {"mark": "{clear_mark}"}),
    "admin.undo_at_once": ("decide", "/admin/rewards/undo", {"decided_at": "{just_decided}"}),
    "admin.make_note": ("decide", "/admin/referrals/{referral}/notes", {"text": "They wrote to us."}),
    "admin.dismissal": (
        "decide", "/admin/referrals/{raised}/signals/disposable/dismissal", {"reason": "The family's mail."}
    ),
    "admin.draw": ("pay", "/admin/payouts", {"everybody": "yes"}),
    "admin.signal_return": ("decide", "/admin/referrals/{dismissed}/signals/disposable/return", {}),
    "admin.reminder": ("pay", "/admin/payouts/reminders/{lacking}", {}),
    "admin.add_vouchers": ("pay", "/admin/vouchers", {"value": "5.00", "codes": "GIFT-1\nGIFT-2"}),
    "admin.batch_approval": ("pay", "/admin/payouts/{draft}/approval", {}),
    "admin.batch_cancellation": ("pay", "/admin/payouts/{draft}/cancellation", {}),
    "admin.batch_export": ("pay", "/admin/payouts/{ready}/export", {}),
    "admin.batch_payment": ("pay", "/admin/payouts/{exported}/payment", {"bank_reference": "B-17"}),
    "admin.batch_results": (
        "pay", "/admin/payouts/{exported}/results", {"text": "reference,status\n{reference},paid", "take": "yes"},
    ),
    "admin.payout_payment": ("pay", "/admin/payouts/lines/{payout}/payment", {}),
    "admin.payout_failure": ("pay", "/admin/payouts/lines/{payout}/failure", {"failure": "Account closed."}),
    "admin.own_data": ("own", "/admin/people/{alice}/data.json", {}),
    "admin.second_step_end": ("own", "/admin/people/{two_step}/second-step/end", NOTE | ONCE_MORE),
    "admin.grant": ("own", "/admin/people/{bob}/roles", {"role": "viewer"}),
    "admin.withdraw": ("own", "/admin/people/{viewer}/roles/viewer/withdrawal", {}),
    "admin.suspension": ("own", "/admin/people/{bob}/suspension", NOTE),
    "admin.readmission": ("own", "/admin/people/{suspended}/readmission", NOTE),
    "admin.shut_out": ("own", "/admin/people/{bob}/shut-out", NOTE),
    "admin.let_in": ("own", "/admin/people/{shut_out}/letting-in", NOTE),
    "admin.mail_reset": ("own", "/admin/people/{bob}/reset", {}),
    "admin.invite_colleague": ("own", "/admin/colleagues", {"email": "colleague@example.com", "role": "viewer"}),
    "admin.correct": (
        "pay", "/admin/people/{bob}/correction",
        {"form_key": "a-one-time-key-of-the-form", "way": "minus", "amount": "5.00", "reason": "Counted twice."},
    ),
    "admin.record_order": (
        "own", "/admin/orders",
        {"customer_email": "bob@example.com", "customer_external_id": "", "goal": "purchase", "external_id": "B-77",
         "amount": "64.00", "occurred_at": "2026-09-05T10:00"},
    ),
    "admin.record_refund": (
        "own", "/admin/refunds", {"conversion_external_id": "order-1", "external_id": "R-77", "amount": "1.00"},
    ),
    "admin.set_tier": ("own", "/admin/people/{bob}/tier", {"counts_as": "5"} | NOTE),
    "admin.free_tier": ("own", "/admin/people/{at_a_step}/tier/removal", {}),
    "admin.reinstate": ("own", "/admin/refunds/{charged_back}/reinstatement", {}),
    "admin.check_import": (
        "own", "/admin/imports", {"kind": "customers", "rows": "external_id,email\nC-77,seven@example.com"},
    ),
    "admin.confirm_import": ("own", "/admin/imports/{upload}/confirmation", {}),
    "admin.correct_referrer": (
        "own", "/admin/referrals/{unpaid}/referrer", {"named": "rita@example.com"} | NOTE,
    ),
    "admin.give_referrer": ("own", "/admin/people/{viewer}/referrer", {"named": "rita@example.com"} | NOTE),
    "joining.joined": ("anyone", "/join/{join}", {"password": "quite another password"}),
    "admin.publish": (
        "own", "/admin/program",
        {"program_name": "Friends", "state": "paused", "goal": "purchase", "touch": "last", "window_days": "30",
         "currency": "EUR", "claim_days": "7", "goal_days": "90", "minimum_payout": "20.00", "time_zone": "UTC",
         "mails_invites": "y", "invites_a_day": "20", "invites_an_address": "3", "pay_day": "1", "review_days": "5",
         "product_text": "Coffee.", "privacy_text": "Ours.", "version": "{version}"},
    ),
    "admin.show_product": ("own", "/admin/program/product", {"image_text": "A tin", "version": "{version}"}),
    "admin.choose_look": ("own", "/admin/program/look", {"accent": "#0a7d5a", "version": "{version}"}),
    "admin.add_rule": (
        "own", "/admin/program/rules",
        {"goal": "purchase", "beneficiary": "referee", "kind": "fixed", "amount": "5.00", "often": "first",
         "hold_days": "14", "version": "{version}"},
    ),
    "admin.change_rule": (
        "own", "/admin/program/rules/{rule}",
        {"goal": "purchase", "beneficiary": "referrer", "kind": "fixed", "amount": "5.00", "often": "first",
         "hold_days": "14", "version": "{version}"},
    ),
    "admin.remove_rule": ("own", "/admin/program/rules/{rule}/removal", {"version": "{version}"}),
    "admin.add_goal": ("own", "/admin/program/goals", {"name": "visit", "label": "Visit"}),
    "admin.weigh": ("own", "/admin/signals/disposable", {"weight": "55", "is_on": "y"}),
    "admin.make_key": ("own", "/admin/developers/keys", {"name": "The other shop", "scopes": "read", "form_key": "abcdefghjkmnpqrs"}),
    "admin.rotate_key": ("own", "/admin/developers/keys/{key}/rotation", {}),
    "admin.revoke_key": ("own", "/admin/developers/keys/{key}/revocation", {}),
    "admin.make_webhook": (
        "own", "/admin/developers/webhooks", {"url": "http://127.0.0.1:9/others", "events": "reward.created"},
    ),
    "admin.change_webhook": ("own", "/admin/developers/webhooks/{webhook}/events", {"events": "payout.paid"}),
    "admin.renew_webhook": ("own", "/admin/developers/webhooks/{webhook}/secret", {}),
    "admin.try_webhook": ("own", "/admin/developers/webhooks/{webhook}/test", {}),
    "admin.switch_webhook_on": ("own", "/admin/developers/webhooks/{webhook_off}/return", {}),
    "admin.remove_webhook": ("own", "/admin/developers/webhooks/{webhook}/removal", {}),
    "admin.try_conversion": (
        "own", "/admin/developers/test", {"customer_email": "bob@example.com", "goal": "purchase", "amount": "64.00"},
    ),
    "admin.send_given_up_again": ("own", "/admin/developers/webhooks/{webhook_gave_up}/sending", {}),
    "admin.send_webhook_again": ("own", "/admin/developers/deliveries/{sent_webhook}/sending", {}),
    "api.customers": ("key", "/api/v1/customers", {}),
    "api.convert": ("key", "/api/v1/conversions", {}),
    "api.refund": ("key", "/api/v1/refunds", {}),
    "api.reinstate": ("key", "/api/v1/reinstatements", {}),
}  # fmt: skip
"""Endpoint -> who may do it, where, and a form that does it."""

WITHOUT_EFFECT = {
    "public.theme",
    "sharing.test",
    "sharing.preview",
    "languages.choose",
    "admin.check_import",
    "admin.try_conversion",
    "safety.passkey",
    "signing_in.code_given",
    "signing_in.passkey_question",
    "signing_in.passkey",
}
"""Actions that leave nothing in the database: a cookie, a fresher session."""


ACTORS = {"safety.new_codes": "two-step", "safety.two_step_off": "two-step", "leaving.deletion": "two-step"}
"""Who does what of one's own is for somebody else than Alice to do."""


def of_map(app: Flask, method: str) -> dict[str, Route]:
    """The routes that the application answers for a method."""
    return {rule.endpoint: rule for rule in app.url_map.iter_rules() if method in (rule.methods or ())}


def may(who: str, needs: str) -> bool:
    """Whether somebody of the matrix may what a route needs. (A key nobody of them has.)"""
    if needs in ("anyone", "key", "metrics"):
        return needs == "anyone"
    if needs in ("self", "alice"):
        return who != "anonymous" if needs == "self" else who == "referrer"
    return who == "owner" or who in COLLEAGUES[needs]


@dataclass
class Things:
    """A furnished scene: one thing of each kind and state, by the word that stands for it in the table."""

    at: datetime
    words: dict[str, str] = field(default_factory=dict)
    emails: dict[str, str] = field(default_factory=dict)

    def person(self, who: str) -> User:
        """Somebody of the matrix."""
        found = users.find_by_email(self.emails[who])
        assert found is not None
        return found

    def fill(self, text: Any) -> Any:
        """A text of the table with the words in braces filled in."""
        if isinstance(text, dict):
            return {name: self.fill(value) for name, value in text.items()}
        if text == "{version}":  # the program moves on while it is tried
            session.rollback()
            return str(terms.in_force().version)
        return re.sub(r"\{(\w+)\}", lambda found: self.words[found[1]], text).replace("{{}}", "{}")


def furnish(scene: Scene) -> Things:
    """Carries things through the house until there is one of each kind and state; takes a second, so do it once."""
    alice = scene.alice
    vera = scene.colleague("Vera", Role.VIEWER)
    people = {"referrer": alice, "viewer": vera, "reviewer": scene.rita, "finance": scene.finn, "owner": scene.olivia}
    words = {"code": scene.code(alice), "alice": alice.public_id, "viewer": vera.public_id}
    scene.method(alice)
    scene.later(days=4)  # new payout details hold for three days
    for name, word in (("Bob", "exported"), ("Carol", "ready"), ("Dora", "draft")):
        words |= _batch(scene, scene.friend(name, of=alice), word)
    lena = scene.person("Lena")
    scene.order(scene.friend("Leo", of=lena))
    scene.approve(scene.rewards(lena)[-1])
    _payable_reward(scene, scene.friend("Eve", of=alice))
    words["lacking"] = lena.public_id
    words["approved"] = scene.approve(_pending_reward(scene, scene.friend("Ada", of=alice))).public_id
    words["pending"] = _pending_reward(scene, scene.friend("Pia", of=alice)).public_id
    words |= _asked(scene)
    scene.suspend(scene.mallory)
    words["suspended"] = scene.mallory.public_id
    words |= _at_the_owners(scene)
    words["confirm"] = scene.secret_for(scene.sign_up("Ula"))
    words["rule"] = rules.of_terms(terms.in_force().id)[0].rule_key
    with database.writing():
        api_keys.make("the shop", by=None, at=scene.at)
        words["reset"] = one_time.make(Purpose.RESET, people["referrer"].id, at=scene.at)
        words["set_up"] = one_time.make(Purpose.SET_UP, None, at=scene.at)
        sign_ins.start(people["referrer"].id, surroundings=NOWHERE, at=scene.at)  # on another device
    words["key"] = api_keys.listed()[0].public_id
    just = scene.approve(_pending_reward(scene, scene.friend("Una", of=alice)))
    words["just_decided"] = decisions.of_reward(just.id)[0].at.isoformat()
    words["in_two_months"] = f"{scene.at + timedelta(days=60):%Y-%m-%d}"
    words["clear_mark"] = queue.tally(Filters(assessment=Assessment.CLEAR), for_id=scene.rita.id, at=scene.at).mark
    words |= _of_accounts(scene, people)
    bob = users.find_by_public_id(words["bob"])
    assert bob is not None
    words["gives_up"] = str(program.given_up(bob).total_minor)
    words |= _told(scene)
    words["logo"] = scene.do(lambda: images.keep(images.drawn(PICTURE, images.LOGO), at=scene.at))
    return Things(scene.at, words, {who: person.email for who, person in people.items()})


def _of_accounts(scene: Scene, people: dict[str, User]) -> dict[str, str]:
    """A second step that waits for its first code for everybody, and one that is on; a passkey; changes of address."""
    tess = people["two-step"] = scene.person("Tess")
    box = Box(scene.app.extensions["settings"].details_key, "two-step")
    offered = {}
    for who, person in people.items():
        number = person.id
        with database.writing():
            offered[who] = two_step.begin(number, called=who, issuer="Friends", keep=box, at=scene.at).secret
    codes = {who: TOTP(key=secret.replace(" ", "")).generate(scene.at).token for who, secret in offered.items()}
    recovery = two_step.make_codes(tess.id)
    scene.do(lambda: two_step.turn_on(tess.id, codes["two-step"], codes=recovery, keep=box, at=scene.at))
    alice, lena = people["referrer"], scene.person("Luz")
    here = scene.do(lambda: sign_ins.start(alice.id, surroundings=NOWHERE, at=scene.at))
    sign_in = sign_ins.find(here, at=scene.at)
    key = Passkey(user_id=alice.id, credential="Y3JlZGVudGlhbA", public_key="a2V5", name="My key", made_at=scene.at)
    scene.do(lambda: session.add(key))
    with database.writing():
        for person in people.values():  # so that there is a move to call off
            one_time.make(Purpose.MOVE, person.id, carried={"to": f"new.{person.email}"}, at=scene.at)
        made = {
            "move": one_time.make(Purpose.MOVE, lena.id, carried={"to": "luz.new@example.com"}, at=scene.at),
            "move_back": one_time.make(Purpose.MOVE_BACK, lena.id, carried={"to": "luz.old@example.com"}, at=scene.at),
        }
    assert sign_in is not None
    return made | {
        "two_step": tess.public_id,
        "first_code": codes["referrer"],
        "passkey": key.public_id,
        "sign_in": sign_in.public_id,
    }


def _at_the_owners(scene: Scene) -> dict[str, str]:
    """What only the owner works on: somebody shut out, a colleague invited, a file sent, a friend of the wrong one."""
    olivia = scene.olivia
    number, name = olivia.id, olivia.public_id
    paul = scene.friend("Paul", of=scene.finn)
    referral = scene.referral(paul)
    assert referral is not None
    unpaid, zed = referral.public_id, scene.person("Zed")
    flagged, looked_at = (
        scene.referral(scene.friend(name, of=scene.finn, email=f"{name.lower()}@mailinator.com"))
        for name in ("Mila", "Mona")
    )
    assert flagged is not None and looked_at is not None
    scene.do(lambda: program.set_tier(zed, 5, note="A partner.", by=number, at=scene.at))
    charged_back = scene.charge_back(scene.order(paul), 1600).refund.public_id
    signal, by = signals.find(looked_at.public_id, "disposable"), scene.rita.id
    assert signal is not None
    scene.do(lambda: program.dismiss(looked_at, signal, reason="Looked at.", by=by, at=scene.at))
    scene.do(lambda: program.shut_out(zed, by=number, note="Cheats.", at=scene.at))
    invited = scene.do(
        lambda: program.invite_colleague("jo@example.com", Role.VIEWER, name="Jo", by=number, at=scene.at)
    )
    sent = io.BytesIO(b"external_id,email\nC-78,eight@example.com\n")
    return {
        "shut_out": zed.public_id, "unpaid": unpaid, "charged_back": charged_back, "at_a_step": zed.public_id, "raised": flagged.public_id, "dismissed": looked_at.public_id, "join": scene.secret_for(invited, "join"),
        "upload": uploads.keep(sent, "customers", by=name),
    }  # fmt: skip


def _told(scene: Scene) -> dict[str, str]:
    """A webhook that was tried in vain, one that is gone, and one for which something was given up."""
    by, words = scene.olivia.id, {}
    for word, status in (("webhook", 500), ("webhook_off", 410)):
        endpoint, _ = scene.webhook(f"http://127.0.0.1:9/{word}")
        scene.do(lambda endpoint=endpoint: program.try_webhook(endpoint, by=by, at=scene.at))
        (one,) = scene.do(lambda: webhooks.claim(at=scene.at))
        outcome = Outcome(12, status=status, text="<b>Not today.</b>", trouble=NotCalled(calls.ANSWERED, status=status))
        scene.do(lambda one=one, outcome=outcome: program.note_webhook(one.id, outcome, at=scene.at))
        words |= {word: endpoint.public_id, f"sent_{word}": one.public_id}
    endpoint, _ = scene.webhook()
    scene.do(lambda: program.try_webhook(endpoint, by=by, at=scene.at))
    scene.do(lambda: webhooks.give_up(endpoint))
    return words | {"webhook_gave_up": endpoint.public_id}


def _asked(scene: Scene) -> dict[str, str]:
    """What people ask for: invites, a link, a claim, a reward that was turned down and one that is asked about."""
    alice = scene.alice
    invited = scene.do(lambda: program.invite(alice, ["ina@example.com", "ivy@example.com"], at=scene.at))
    first, second = (one.invite for one in invited)
    two_days_ago = scene.at - timedelta(days=2)
    (older,) = scene.do(lambda: program.invite(alice, ["ole@example.com"], at=two_days_ago))
    assert first is not None and second is not None and older.invite is not None
    failed = scene.do(lambda: outbox.claim(at=scene.at, most=1))[0]
    scene.do(lambda: outbox.failed(failed.id, "550 nobody of this name", at=scene.at, for_good=True))
    by = scene.olivia.id
    scene.do(lambda: program.write_mail("reset", "en", "{subject}", "Dear friend: {link}", by=by, at=scene.at))
    key = Office.hash_key
    link = scene.do(
        lambda: program.make_link(alice, label="Blog", destination=None, wanted="", own_host="", at=scene.at)
    )
    tin = scene.do(lambda: images.keep(images.drawn(PICTURE, images.PRODUCT), at=scene.at))
    scene.publish(
        fixed(2000, tiers=[{"from": 5, "amount_minor": 2500}]), product_image=tin, product_image_text="Eine Dose Kaffee",
        claim_days=365, product_text="Kaffee aus sechs Gärten.\nKein Abo.", privacy_text="Fernhill Coffee, Mühlgasse 4.",
        pay_day=1, review_days=5,
    )  # fmt: skip
    nina = scene.person("Nina")
    claim = scene.do(lambda: program.claim(nina, scene.code(alice), at=scene.at))
    turned_down = [scene.reject(_pending_reward(scene, scene.friend(name, of=alice))) for name in ("Rex", "Roy")]
    appeal = scene.do(lambda: program.appeal(turned_down[1], "Please.", by=alice.id, at=scene.at))
    return {
        "invite": first.public_id, "invite_code": links.current_code(second.link_id), "link": link.public_id,
        "claim": claim.public_id, "rejected": turned_down[0].public_id, "appeal": appeal.public_id,
        "text": "{text}", "old_invite": older.invite.public_id, "mail": failed.public_id,
        "stop": stops.token(key, "user", alice.public_id, "friends"),
        "stop_invite": stops.token(key, "invite", second.public_id),
    }  # fmt: skip


def _pending_reward(scene: Scene, friend: User) -> Reward:
    scene.later(minutes=1)
    scene.order(friend)
    return scene.rewards(scene.alice)[-1]


def _payable_reward(scene: Scene, friend: User) -> None:
    scene.approve(_pending_reward(scene, friend))
    scene.later(days=31)
    scene.release()


def _batch(scene: Scene, friend: User, state: str) -> dict[str, str]:
    """A batch in a state, with the words for what is in it."""
    _payable_reward(scene, friend)
    batch = scene.batch()
    words = {state: batch.public_id}
    if state == "draft":
        return words
    scene.approve_batch(batch)
    if state == "exported":
        referral = scene.referral(friend)
        assert referral is not None
        words |= {"bob": friend.public_id, "referral": referral.public_id}
        payout = scene.export(batch).payouts[0]
        words |= {"payout": payout.public_id, "reference": payout.reference}
    return words
