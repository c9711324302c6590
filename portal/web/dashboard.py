"""The referrer's pages: the link first, then the money, then every friend and every reward with its reason."""

import re

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import program, terms
from portal.config import Settings
from portal.core import clock, database
from portal.payouts import methods, payouts, vouchers
from portal.payouts.methods import Details, Kind, MethodRefused
from portal.referrals import referrals
from portal.reports import referrer, status
from portal.sharing import links, pictures
from portal.web import access, inputs, words
from portal.web.public import offer, url_of

blueprint = Blueprint("dashboard", __name__)


@blueprint.get("/dashboard")
@access.signed_in
def home() -> ResponseReturnValue:
    user, at = access.me(), clock.now()
    friends, _ = referrer.friends(user.id, at=at, most=5)
    return render_template(
        "dashboard/home.html",
        offer=offer(),
        code=my_code(user.id),
        url=url_of(my_code(user.id)),
        credits=referrer.credits(user.id, terms.in_force().currency, at=clock.now()),
        numbers=referrer.numbers(user.id),
        friends=friends,
        gift=gift(user.id),
        method=methods.in_force(user.id),
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
    user = access.me()
    listed, older = referrer.friends(user.id, at=clock.now(), before=page_key("before"))
    return render_template("dashboard/friends.html", friends=listed, older=older, url=url_of(my_code(user.id)))


@blueprint.get("/friends/<wanted>")
@access.signed_in
def friend(wanted: str) -> ResponseReturnValue:
    user = access.me()
    referral = referrals.find_of_referrer(wanted, referrer_id=user.id)
    if referral is None:
        abort(404)
    story = referrer.story(referral, of=user.id)
    rewards = referrer.earned([event.reward for event in story if event.kind == "reward_made" and event.reward])
    return render_template(
        "dashboard/friend.html",
        referral=referral,
        story=story,
        rewards=rewards,
        status=status.of_friend(referral, rewards[-1].status if rewards else None, at=clock.now()),
    )


@blueprint.get("/rewards")
@access.signed_in
def rewards() -> ResponseReturnValue:
    user = access.me()
    listed, older = referrer.rewards_of(user.id, before=page_key("before"))
    return render_template(
        "dashboard/rewards.html",
        rewards=referrer.earned(listed),
        older=older,
        credits=referrer.credits(user.id, terms.in_force().currency, at=clock.now()),
        method=methods.in_force(user.id),
    )


@blueprint.get("/payouts")
@access.signed_in
def payout_list() -> ResponseReturnValue:
    user = access.me()
    method = methods.in_force(user.id)
    form = inputs.PayoutMethod(formdata=None, kind=method.kind if method else None)
    return _payouts_page(form)


def _payouts_page(form: inputs.PayoutMethod) -> str:
    user = access.me()
    return render_template(
        "dashboard/payouts.html",
        payouts=referrer.payouts_of(user.id),
        credits=referrer.credits(user.id, terms.in_force().currency, at=clock.now()),
        method=methods.in_force(user.id),
        now=clock.now(),
        form=form,
    )


@blueprint.post("/payouts/method")
@access.signed_in
def method() -> ResponseReturnValue:
    """How one is paid. New details hold the next payout, and the owner of the account is told by mail."""
    form = inputs.PayoutMethod()
    if not form.validate():
        return _payouts_page(form), 422
    given = {"email": form.email.data or "", "holder": form.holder.data or "", "iban": form.iban.data or ""}
    settings: Settings = current_app.extensions["settings"]
    try:
        with database.writing():
            program.choose_method(
                access.me(), Kind(form.kind.data), given, keep=Details(settings.details_key), at=clock.now()
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
