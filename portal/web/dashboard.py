"""The referrer's pages: the link first, then the money, then every friend and every reward with its reason."""

import re
from enum import StrEnum
from typing import TypeVar

from flask import Blueprint, Response, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import program
from portal.config import Settings
from portal.core import clock, database
from portal.core.text import Refusal, one_line
from portal.payouts import methods, payouts, vouchers
from portal.payouts.methods import Details, Kind, MethodRefused
from portal.referrals import claims, referrals
from portal.referrals.referrals import Referral
from portal.reports import referrer, sharing, status
from portal.rewards import appeals, corrections, tier_locks
from portal.rewards import rewards as rewards_
from portal.sharing import invites, links, pictures
from portal.web import access, inputs, limits, words
from portal.web.acting import act
from portal.web.public import offer, url_of

blueprint = Blueprint("dashboard", __name__)


@blueprint.get("/dashboard")
@access.signed_in
def home() -> ResponseReturnValue:
    """A1: the link, its QR code, the invite form and the credits first; then one next step, and what came of it."""
    return home_page(inputs.sharing.Invites(formdata=None), inputs.sharing.Claim(formdata=None))


def home_page(inviting: inputs.sharing.Invites, claiming: inputs.sharing.Claim) -> str:
    user, at, current = access.me(), clock.now(), words.in_force()
    period = one_of(sharing.Period, request.args.get("range"), sharing.Period.DAYS)
    friends, _ = referrer.friends(user.id, at=at, most=5)
    code, credits = my_code(user.id), referrer.credits(user.id, current.currency, at=at)
    since = at - period.span if period.span else None
    begun = None if friends else sharing.begun(user.id, current)
    return render_template(
        "dashboard/home.html",
        offer=offer(),
        code=code,
        url=url_of(code),
        credits=credits,
        capped=referrer.capped(user.id, current, at=at),
        period=period,
        periods=list(sharing.Period),
        numbers=sharing.numbers(user.id, current.currency, since=since),
        ever=begun is None or begun.opened,
        begun=begun,
        series=sharing.joined_series(user.id, at=at, zone=current.time_zone, period=period),
        friends=friends,
        first=referrer.first_reward(user.id, at=at),
        expiring=referrer.next_to_expire(user.id, at=at, within=clock.days(7)),
        gift=gift(user.id),
        method=methods.in_force(user.id),
        inviting=inviting,
        claiming=claiming
        if claiming.errors or (claims.may_claim(user, current, at=at) and user.confirmed_at)
        else None,
        claim_until=claims.ends_at(user, current),
        my_claims=claims.of_referee(user.id)[:1],
        asked=claims.asked_of(user.id),
        only=inputs.fields.Only(),
        now=at,
    )


Choice = TypeVar("Choice", bound=StrEnum)


def one_of(kind: type[Choice], word: str | None, usual: Choice) -> Choice:
    """The choice that stands in the address; anything else is the usual one."""
    return kind(word) if word in list(kind) else usual


@blueprint.post("/claims")
@access.signed_in
@limits.own_forms
def claim() -> ResponseReturnValue:
    """*Who invited you?* by somebody who came without a code."""
    form = inputs.sharing.Claim()
    if not form.validate():
        return home_page(inputs.sharing.Invites(formdata=None), form), 422
    try:
        with database.writing():
            program.claim(access.me(), form.named.data or "", at=clock.now())
    except Refusal as refusal:
        form.named.errors = [words.say(refusal)]
        return home_page(inputs.sharing.Invites(formdata=None), form), 422
    flash(gettext("Thank you. We ask them, and the answer shows here."), "ok")
    return redirect(url_for(".home"))


@blueprint.post("/claims/<wanted>/answer")
@access.signed_in
def claim_answer(wanted: str) -> ResponseReturnValue:
    """Whoever was named says whether it is so."""
    user = access.me()
    found = claims.find(wanted)
    if found is None or found.referrer_id != user.id:
        abort(404)
    granted = request.form.get("answer") == "yes"
    return act(
        lambda: program.answer_claim(found, granted=granted, by=user.id, at=clock.now()),
        done=gettext("Thank you. They count as your friend from the day they joined.")
        if granted
        else gettext("Thank you. Nothing changes."),
        back=url_for(".home"),
    )


@blueprint.post("/rewards/<wanted>/appeal")
@access.signed_in
def appeal(wanted: str) -> ResponseReturnValue:
    """*Ask us to look again*, once, about a reward of one's own that was turned down."""
    user, form = access.me(), inputs.sharing.Appeal()
    reward = rewards_.find(wanted)
    if reward is None or reward.person_id != user.id:
        abort(404)
    mine = reward.beneficiary == "referrer"
    back = url_for(".friend", wanted=reward.referral.public_id) if mine else url_for(".rewards")
    if not appeals.of_rewards([reward.id]) and not form.validate():
        return friend_page(reward.referral, form) if mine else rewards_page(form), 422
    return act(
        lambda: program.appeal(reward, form.text.data or "", by=user.id, at=clock.now()),
        done=gettext("Thank you. We look at it again and answer here."),
        back=back,
    )


@blueprint.get("/welcome")
@access.signed_in
def welcome() -> ResponseReturnValue:
    """After the confirmation: the gift in the words of its true state, and a link of one's own."""
    user = access.me()
    return render_template(
        "dashboard/welcome.html", gift=gift(user.id), offer=offer(), url=url_of(my_code(user.id)), code=my_code(user.id)
    )


def gift(user_id: int) -> dict[str, object] | None:
    """What somebody who was brought gets for it themselves: their referral and their own rewards by it."""
    referral = referrals.of_referee(user_id)
    if referral is None:
        return None
    mine = [reward for reward in referrer.rewards_of(user_id)[0] if reward.referral_id == referral.id]
    return {
        "referral": referral,
        "status": status.of_friend(referral, None, at=clock.now()),
        "offer": offer(referral.terms),
        "rewards": referrer.earned(mine),
    }


def my_code(user_id: int) -> str:
    return links.current_code(links.main_link(user_id).id)


@blueprint.get("/links/<code>/qr.<kind>")
@access.signed_in
def picture(code: str, kind: str) -> ResponseReturnValue:
    """The QR code of one of one's own links, as SVG or PNG."""
    link = links.by_code(code)
    if link is None or link.owner_id != access.me().id or kind not in ("svg", "png"):
        abort(404)
    address = url_of(links.current_code(link.id))
    body, mimetype = (pictures.svg(address), "image/svg+xml") if kind == "svg" else (pictures.png(address), "image/png")
    response = Response(body, mimetype=mimetype)
    response.headers["Cache-Control"] = "private, max-age=3600"
    if request.args.get("save"):
        response.headers["Content-Disposition"] = f'attachment; filename="{links.current_code(link.id)}.{kind}"'
    return response


@blueprint.get("/friends")
@access.signed_in
def friends() -> ResponseReturnValue:
    """A2: everybody who joined, by group and name."""
    user, at = access.me(), clock.now()
    group = one_of(referrer.Group, request.args.get("show"), referrer.Group.ALL)
    search = one_line(request.args.get("q", ""), 80)
    listed, older = referrer.friends(user.id, at=at, group=group, search=search, before=page_key("before"))
    return render_template(
        "dashboard/friends.html",
        friends=listed,
        older=older,
        group=group,
        groups=referrer.counts(user.id, at=at),
        search=search,
        url=url_of(my_code(user.id)),
    )


@blueprint.get("/friends/<wanted>")
@access.signed_in
def friend(wanted: str) -> ResponseReturnValue:
    user = access.me()
    referral = referrals.find_of_referrer(wanted, referrer_id=user.id)
    if referral is None:
        abort(404)
    return friend_page(referral, inputs.sharing.Appeal(formdata=None))


def friend_page(referral: Referral, appealing: inputs.sharing.Appeal) -> str:
    """A3: the receipt: everything that happened, how each reward was computed, and what is ahead."""
    user = access.me()
    story = referrer.story(referral, of=user.id)
    rewards = referrer.earned([event.reward for event in story if event.kind == "reward_made" and event.reward])
    return render_template(
        "dashboard/friend.html",
        referral=referral,
        story=story,
        rewards=rewards,
        status=status.of_friend(referral, rewards[-1].status if rewards else None, at=clock.now()),
        invite=invites.of_link(referral.link_id) if referral.link.addressed else None,
        appeals=appeals.of_rewards([one.reward.id for one in rewards]),
        appealing=appealing,
    )


@blueprint.get("/rewards")
@access.signed_in
def rewards() -> ResponseReturnValue:
    """A4: every reward with its computation, why it waits and until when."""
    return rewards_page(inputs.sharing.Appeal(formdata=None))


def rewards_page(appealing: inputs.sharing.Appeal) -> str:
    user, at = access.me(), clock.now()
    listed, older = referrer.rewards_of(user.id, before=page_key("before"))
    return render_template(
        "dashboard/rewards.html",
        rewards=referrer.earned(listed),
        older=older,
        tier_lock=tier_locks.of_person(user.id),
        credits=referrer.credits(user.id, words.in_force().currency, at=at),
        clearing=referrer.clearing(user.id, words.in_force(), at=at),
        appeals=appeals.of_rewards([reward.id for reward in listed]),
        appealing=appealing,
        corrections=corrections.of_person(user.id),
        method=methods.in_force(user.id),
    )


@blueprint.get("/payouts")
@access.signed_in
def payout_list() -> ResponseReturnValue:
    user = access.me()
    method = methods.in_force(user.id)
    form = inputs.sharing.PayoutMethod(formdata=None, kind=method.kind if method else None)
    return _payouts_page(form)


def _payouts_page(form: inputs.sharing.PayoutMethod) -> str:
    user = access.me()
    return render_template(
        "dashboard/payouts.html",
        payouts=referrer.payouts_of(user.id),
        credits=referrer.credits(user.id, words.in_force().currency, at=clock.now()),
        clearing=referrer.clearing(user.id, words.in_force(), at=clock.now()),
        method=methods.in_force(user.id),
        now=clock.now(),
        form=form,
    )


@blueprint.post("/payouts/method")
@access.signed_in
def method() -> ResponseReturnValue:
    """How one is paid. New details hold the next payout, and the owner of the account is told by mail."""
    form = inputs.sharing.PayoutMethod()
    if not form.validate():
        return _payouts_page(form), 422
    given = {"email": form.email.data or "", "holder": form.holder.data or "", "iban": form.iban.data or ""}
    settings: Settings = current_app.extensions["settings"]
    try:
        with database.writing():
            program.choose_method(
                access.me(), Kind(form.kind.data), given, keep=Details(settings.details_keys), at=clock.now()
            )
    except MethodRefused as refusal:
        form[refusal.field].errors = [words.say(refusal)]
        return _payouts_page(form), 422
    return redirect(url_for(".payout_list"))


@blueprint.get("/payouts/<wanted>")
@access.signed_in
def payout(wanted: str) -> ResponseReturnValue:
    user = access.me()
    found = payouts.find_of_user(wanted, user_id=user.id)
    if found is None:
        abort(404)
    given = vouchers.of_payout(found.id) if found.state == payouts.State.PAID else []
    return render_template("dashboard/payout.html", payout=found, lines=payouts.shown_lines(found), vouchers=given)


def page_key(name: str) -> int | None:
    """The key of a page of a list, as it stands in the address; anything else is the first page."""
    text = request.args.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) else None
