"""The rules of the program once more, on plain dicts and whole numbers: what the model test holds the portal to.

Written from the rules and not from the portal's code, of which it knows nothing: no ledger, no transfers, no lines.
Where money lies follows from each reward's state and from the payouts it stands in. A verb that must be refused
raises No and has changed nothing.
"""

from datetime import datetime, timedelta
from typing import Any

DAY = timedelta(hours=24)
LIVE = {"pending", "approved", "paid"}
BUCKETS = ("pending", "approved", "payable", "in_payout", "paid")

Thing = dict[str, Any]


class No(Exception):
    """The rules refuse this."""


def half_up(part: int, whole: int) -> int:
    """part / whole, rounded half up."""
    return (2 * part + whole) // (2 * whole)


class Plain:
    """The program: its people, orders, rewards and payouts, and the moment it is."""

    def __init__(self, offers: list[list[Thing]], settings: list[Thing], *, at: datetime) -> None:
        self.offers, self.settings, self.at = offers, settings, at
        self.version = 0
        self.people: dict[str, Thing] = {}
        self.orders: dict[str, Thing] = {}
        self.refunds: dict[str, Thing] = {}
        self.reinstated: set[str] = set()
        self.rewards: list[Thing] = []
        self.batches: list[Thing] = []
        self.corrections: list[Thing] = []
        self.pool: list[int] = []

    @property
    def today(self) -> Thing:
        """The settings in force."""
        return self.settings[self.version]

    # --- people -----------------------------------------------------------------------------------------------

    def sign_up(self, name: str, code_of: str | None) -> bool:
        """Whether a mail with a key to confirm goes out."""
        credited = self._credited(code_of)
        if name in self.people:
            if self.people[name]["confirmed"]:
                return False
            self.people[name]["keys"].append((self.at, credited))
            return True
        self._add(name)["keys"].append((self.at, None))
        self._refer(name, credited, at=self.at)
        return True

    def confirm(self, name: str, key: int) -> bool:
        """Whether the key was any good."""
        person = self.people[name]
        made, credited = person["keys"][key]
        if person["confirmed"] or self.at > made + 2 * DAY:
            return False
        person["confirmed"] = True
        if made <= person["signed_up"]:  # who was there before a link brought them is no friend
            self._refer(name, credited, at=self.at)
        self._apply_waiting()
        self._order(f"signup {name}", "signup", name, None, occurred=self.at, recorder=None)
        return True

    def report_customer(self, name: str, code_of: str | None, signed_up: datetime) -> None:
        if signed_up > self.at:
            raise No
        if name in self.people:
            person = self.people[name]
            if not person["shop"]:
                person["signed_up"] = min(person["signed_up"], signed_up)
        else:
            person = self._add(name)
            person["signed_up"] = signed_up
            self._refer(name, self._credited(code_of), at=signed_up)
        person["shop"] = True
        self._apply_waiting()

    def suspend(self, name: str) -> None:
        self.people[name]["suspended"] = True
        for payout in self.payouts():
            if payout["person"] == name and payout["state"] == "preparing":
                self._end(payout, "cancelled")

    def readmit(self, name: str) -> None:
        self.people[name]["suspended"] = False

    def set_tier(self, name: str, step: int | None, by: str) -> bool:
        """Puts somebody at a step, or with none takes that off; whether this changed anything."""
        steps = {tier["from"] for rule in self.offers[self.version] for tier in rule.get("tiers", [])}
        if name == by or (step is not None and step not in steps | {1}):
            raise No
        before, self.people[name]["step"] = self.people[name]["step"], step
        return bool(before != step)

    def choose_method(self, name: str, kind: str) -> None:
        changed = self.people[name]["method"] is not None
        wait = 3 * DAY if changed or kind in ("paypal", "bank") else timedelta()
        self.people[name]["method"] = (kind, self.at + wait)

    def _add(self, name: str) -> Thing:
        self.people[name] = {
            "number": len(self.people), "signed_up": self.at, "confirmed": False, "shop": False, "suspended": False,
            "referrer": None, "joined": None, "expires": None, "version": None, "keys": [], "method": None,
            "step": None,
        }  # fmt: skip
        return self.people[name]

    def _credited(self, code_of: str | None) -> str | None:
        return code_of if code_of in self.people and not self.people[code_of]["suspended"] else None

    def _refer(self, name: str, referrer: str | None, *, at: datetime) -> None:
        above = referrer
        while above is not None and above != name:
            above = self.people[above]["referrer"]
        friend = self.people[name]
        if referrer is None or above == name or friend["referrer"] is not None:
            return
        expires = at + self.today["goal_days"] * DAY
        friend |= {"referrer": referrer, "joined": at, "expires": expires, "version": self.version}

    # --- orders -----------------------------------------------------------------------------------------------

    def order(
        self, number: str, name: str, by: str, amount: int, *, occurred: datetime, recorder: str | None = None
    ) -> str:
        """`by`: whether the shop names the customer by "email" or "id". What becomes of the report."""
        if occurred > self.at:
            raise No
        if number in self.orders:
            known = self.orders[number]
            same = (known["amount"], known["customer"]) == (amount, name)
            if known["by"] != by:  # both ways name one customer only where both are known
                same = same and known["applied"] and (by == "email" or self.people[name]["shop"])
            return ("known" if known["applied"] else "waiting") if same else "disagrees"
        self._order(number, "purchase", name, amount, by=by, occurred=occurred, recorder=recorder)
        return "made" if self.orders[number]["applied"] else "waiting"

    def _order(
        self, number: str, goal: str, name: str, amount: int | None, *, by: str = "email", occurred: datetime,
        recorder: str | None,
    ) -> None:  # fmt: skip
        self.orders[number] = {
            "number": number, "goal": goal, "customer": name, "by": by, "amount": amount, "occurred": occurred,
            "recorder": recorder, "applied": False, "counted": False,
        }  # fmt: skip
        self._apply_waiting()

    def _apply_waiting(self) -> None:
        for order in self.orders.values():
            person = self.people.get(order["customer"])
            if person is None or order["applied"] or (order["by"] == "id" and not person["shop"]):
                continue
            if person["confirmed"] or person["shop"]:
                order["applied"] = True
                self._reward(order, person)
                self._level(order)

    def _reward(self, order: Thing, friend: Thing) -> None:
        if friend["referrer"] is None or not self._take_part(order):
            return
        offer = [rule for rule in self.offers[friend["version"]] if rule["goal"] == order["goal"]]
        usual = [rule for rule in offer if "threshold" not in rule]
        before = any(o["counted"] for o in self._orders_of(order["customer"], order["goal"]))
        in_time = friend["joined"] <= order["occurred"] and (before or order["occurred"] <= friend["expires"])
        enough = [rule for rule in usual if (order["amount"] or 0) >= rule.get("minimum", 0)]
        order["counted"] = in_time and bool(enough or not usual)
        for side in ("referrer", "referee"):
            worth = {rule["key"]: self._worth(rule, order, side) for rule in enough if in_time and rule["side"] == side}
            best = max(worth, key=lambda key: worth[key], default=None)  # of equals the first
            if best is not None:
                self._give(next(rule for rule in usual if rule["key"] == best), order, worth[best])
        for rule in [rule for rule in offer if "threshold" in rule and order["counted"]]:
            live = [r for r in self._given(friend["referrer"], rule["key"]) if r["state"] in LIVE]
            if not live and self._friends_counted(friend["referrer"], order["goal"]) >= rule["threshold"]:
                self._give(rule, order, rule["amount"])

    def _worth(self, rule: Thing, order: Thing, side: str) -> int:
        person = self._person(order, side)
        given = self._given(person, rule["key"])
        if not rule.get("every") and self._first_given(person, rule, order):
            return 0
        step = self.people[person]["step"] if side == "referrer" else None
        reached = [tier for tier in rule.get("tiers", []) if tier["from"] <= (step or len(given) + 1)]
        terms = rule | (reached[-1] if reached else {})
        if "share" not in rule:
            return int(terms["amount"])
        return min(half_up(order["amount"] * terms["share"], 10_000), rule.get("most", 10**12))

    def _give(self, rule: Thing, order: Thing, amount: int) -> None:
        person = self._person(order, rule["side"])
        cap = self.today["month_cap"]
        if rule["side"] == "referrer" and cap is not None:
            month = (self.at.year, self.at.month)
            mine = [r for r in self.rewards if r["person"] == person and r["rule"]["side"] == "referrer"]
            used = sum(r["amount"] for r in mine if r["state"] in LIVE and r["month"] == month)
            amount = min(amount, max(0, cap - used))
        if amount:
            self.rewards.append({
                "order": order, "person": person, "rule": rule, "amount": amount, "taken": 0, "state": "pending",
                "ready": False, "hold": order["occurred"] + rule["hold"] * DAY, "month": (self.at.year, self.at.month),
                "stands_in": None, "out": {},
            })  # fmt: skip

    def _take_part(self, order: Thing) -> bool:
        """Whether neither side is suspended."""
        return not any(self.people[self._person(order, side)]["suspended"] for side in ("referrer", "referee"))

    def _person(self, order: Thing, side: str) -> str:
        name: str = order["customer"]
        return name if side == "referee" else str(self.people[name]["referrer"])

    def _given(self, person: str, key: str) -> list[Thing]:
        return [r for r in self.rewards if (r["person"], r["rule"]["key"]) == (person, key)]

    def _first_given(self, person: str, rule: Thing, order: Thing) -> bool:
        """Whether somebody has had something for this friend's first one of a goal, by whichever rule."""
        asked = (person, rule["side"], rule["goal"], order["customer"])
        usual = [r for r in self.rewards if not r["rule"].get("every") and "threshold" not in r["rule"]]
        had = [(r["person"], r["rule"]["side"], r["rule"]["goal"], r["order"]["customer"]) for r in usual]
        return asked in had

    def _orders_of(self, friend: str, goal: str) -> list[Thing]:
        return [o for o in self.orders.values() if (o["customer"], o["goal"]) == (friend, goal)]

    def _friends_counted(self, referrer: str, goal: str) -> int:
        """Friends with an order that counted and of which nothing was rejected or taken back whole."""
        usual = [r for r in self.rewards if "threshold" not in r["rule"]]
        lost = {r["order"]["number"] for r in usual if r["state"] in ("rejected", "reversed")}
        friends = [name for name, person in self.people.items() if person["referrer"] == referrer]
        return sum(any(o["counted"] and o["number"] not in lost for o in self._orders_of(f, goal)) for f in friends)

    # --- refunds ----------------------------------------------------------------------------------------------

    def refund(self, number: str, order: str, amount: int | None, reason: str) -> str:
        """What becomes of the report. No amount: all of the order."""
        if number in self.refunds:
            known = self.refunds[number]
            same = (known["order"], known["amount"], known["reason"]) == (order, amount, reason)
            return ("known" if order in self.orders else "waiting") if same else "disagrees"
        self.refunds[number] = {"order": order, "amount": amount, "reason": reason}
        if order not in self.orders:
            return "waiting"
        self._level(self.orders[order])
        return "made"

    def reinstate(self, number: str) -> str:
        """The money of a refund came again. What becomes of the report."""
        here = number in self.refunds and self.refunds[number]["order"] in self.orders
        if number in self.reinstated:
            return "known" if here else "waiting"
        self.reinstated.add(number)
        if not here:
            return "waiting"
        self._level(self.orders[self.refunds[number]["order"]])
        return "made"

    def _level(self, order: Thing) -> None:
        for r in self.rewards:
            if r["order"] is order:
                self._settle_up(r)

    def _settle_up(self, r: Thing) -> None:
        """Takes back what the refunds that stand ask for of a reward, or gives again what was taken too much."""
        if r["state"] == "rejected" or r["order"]["amount"] is None:
            return
        order, whole = r["order"]["number"], r["order"]["amount"]
        stand = [refund for number, refund in self.refunds.items() if number not in self.reinstated]
        told = [refund["amount"] for refund in stand if refund["order"] == order]
        part = whole if None in told else min(whole, sum(told))
        asked = half_up(r["amount"] * part, whole)
        if "threshold" in r["rule"] and part < whole:
            asked = 0
        more = asked - r["taken"]
        if r["state"] == "reversed":
            again = any(other["state"] in LIVE for other in self._given(r["person"], r["rule"]["key"]))
            if more >= 0 or ("threshold" in r["rule"] and again):
                return  # nothing to give again, or the bonus was earned again since
            r["state"] = r["was"]
        r["taken"] += more
        if more > 0:
            self._take_from_payout(r, more)
            self._reverse(r)

    def _take_from_payout(self, r: Thing, more: int) -> None:
        payout = r["stands_in"]
        if payout is None or payout["state"] != "preparing":
            return
        r["out"][payout["number"]] -= more
        if r["taken"] == r["amount"]:
            self._leave(r, payout)
        self._sum_up(payout)

    def _reverse(self, r: Thing) -> None:
        if r["state"] in ("pending", "approved") and r["taken"] == r["amount"] and not r["out"]:
            r["state"], r["was"] = "reversed", r["state"]

    # --- decisions --------------------------------------------------------------------------------------------

    def approve(self, r: Thing, by: str) -> None:
        if r["state"] != "pending" or self.people[r["person"]]["suspended"] or self.is_own(r, by):
            raise No
        r["state"] = "approved"
        r["ready"] = r["hold"] <= self.at and self._take_part(r["order"])

    def reject(self, r: Thing, by: str) -> None:
        if r["state"] != "pending" or self.is_own(r, by):
            raise No
        r["state"] = "rejected"

    def undo(self, r: Thing, by: str) -> None:
        sent = any(payout["number"] in r["out"] and payout["state"] != "preparing" for payout in self.payouts())
        if r["state"] not in ("approved", "rejected") or sent or self.is_own(r, by):
            raise No
        again = any(other["state"] in LIVE for other in self._given(r["person"], r["rule"]["key"]))
        if r["state"] == "rejected" and "threshold" in r["rule"] and again:
            raise No  # the bonus was earned again since
        for payout in self.payouts():
            if payout["number"] in r["out"]:
                self._leave(r, payout)
                self._sum_up(payout)
        r["state"], r["ready"] = "pending", False
        self._settle_up(r)
        self._reverse(r)

    def is_own(self, r: Thing, by: str) -> bool:
        friend = r["order"]["customer"]
        return by in (r["person"], friend, self.people[friend]["referrer"], r["order"]["recorder"])

    def approve_by_terms(self) -> None:
        below = self.today["auto_below"]
        for r in self.rewards:
            due = r["state"] == "pending" and r["hold"] <= self.at and self._take_part(r["order"])
            if below is not None and r["amount"] < below and due:
                r["state"], r["ready"] = "approved", True

    def release(self) -> list[Thing]:
        """Those made ready to pay."""
        held = [r for r in self.rewards if r["state"] == "approved" and not r["ready"]]
        due = [r for r in held if r["hold"] <= self.at and self._take_part(r["order"])]
        for r in due:
            r["ready"] = True
        return due

    # --- payouts ----------------------------------------------------------------------------------------------

    def correct(self, name: str, amount: int, form: str, by: str) -> bool:
        """Whether the balance is another now: a form that is sent again changes nothing, or is refused."""
        known = [c for c in self.corrections if c["form"] == form]
        if name == by or amount == 0 or (known and (known[0]["person"], known[0]["amount"]) != (name, amount)):
            raise No
        if not known:
            self.corrections.append({"person": name, "amount": amount, "form": form, "stands_in": None})
        return not known

    def draw(self, by: str) -> None:
        released = self.release()
        ready = [name for name in self.people if self._is_ready(name, by)]
        ready.sort(key=lambda name: (-self.balance(name)["payable"], self.people[name]["number"]))
        batch: Thing = {"by": by, "state": "draft", "payouts": []}
        for name in ready:
            amount = self.balance(name)["payable"]
            kind = self.people[name]["method"][0]
            vouchers = self._choose(amount) if kind == "voucher" else []
            if vouchers is None:
                continue
            for value in vouchers:
                self.pool.remove(value)
            number = sum(len(b["payouts"]) for b in self.batches) + len(batch["payouts"])
            payout = {
                "number": number, "person": name, "batch": batch, "kind": kind, "amount": amount,
                "state": "preparing", "vouchers": vouchers,
            }  # fmt: skip
            batch["payouts"].append(payout)
            for r in self.rewards:
                if r["person"] == name and (share := self.lies(r)["payable"]):
                    r["out"][number] = share
                    if r["stands_in"] is None:
                        r["stands_in"] = payout
            for c in self.corrections:
                if c["person"] == name and c["stands_in"] is None:
                    c["stands_in"] = payout
        if not batch["payouts"]:
            for r in released:
                r["ready"] = False
            raise No
        self.batches.append(batch)

    def _is_ready(self, name: str, by: str) -> bool:
        person, amount = self.people[name], self.balance(name)["payable"]
        if person["suspended"] or not person["confirmed"] or person["method"] is None or name == by:
            return False
        kind, usable = person["method"]
        if amount < max(1, self.today["minimum"]) or usable > self.at:
            return False
        return kind != "voucher" or self._choose(amount) is not None

    def _choose(self, amount: int) -> list[int] | None:
        return self._make_up(amount, sorted(set(self.pool), reverse=True))

    def _make_up(self, amount: int, values: list[int]) -> list[int] | None:
        if amount == 0:
            return []
        if not values:
            return None
        first, *others = values
        for many in range(min(self.pool.count(first), amount // first), -1, -1):
            rest = self._make_up(amount - many * first, others)
            if rest is not None:
                return [first] * many + rest
        return None

    def approve_batch(self, batch: Thing, by: str) -> None:
        going = [payout for payout in batch["payouts"] if payout["state"] == "preparing"]
        limit = self.today["second_above"]
        above = limit is not None and sum(payout["amount"] for payout in going) > limit
        if batch["state"] != "draft" or any(p["person"] == by for p in going) or (above and by == batch["by"]):
            raise No
        batch["state"] = "approved"

    def export_batch(self, batch: Thing) -> None:
        if batch["state"] in ("exported", "paid", "partly_paid"):
            return
        if batch["state"] != "approved":
            raise No
        batch["state"] = "exported"
        for payout in batch["payouts"]:
            payout["state"] = "sent" if payout["state"] == "preparing" else payout["state"]

    def cancel_batch(self, batch: Thing) -> None:
        if batch["state"] not in ("draft", "approved"):
            raise No
        for payout in batch["payouts"]:
            if payout["state"] == "preparing":
                self._end(payout, "cancelled")

    def pay_batch(self, batch: Thing) -> int:
        sent = [payout for payout in batch["payouts"] if payout["state"] == "sent"]
        if not sent and batch["state"] not in ("paid", "partly_paid"):
            raise No
        return sum(self.pay(payout) for payout in sent)

    def pay(self, payout: Thing) -> bool:
        if payout["state"] not in ("sent", "paid"):
            raise No
        if payout["state"] == "paid":
            return False
        payout["state"] = "paid"
        for r in self.rewards:
            if r["stands_in"] is payout:
                r["state"] = "paid"
        self._settle(payout["batch"])
        return True

    def fail(self, payout: Thing) -> bool:
        if payout["state"] not in ("sent", "failed"):
            raise No
        if payout["state"] == "failed":
            return False
        self._end(payout, "failed")
        return True

    def _leave(self, r: Thing, payout: Thing) -> None:
        del r["out"][payout["number"]]
        if r["stands_in"] is payout:
            r["stands_in"] = None

    def _sum_up(self, payout: Thing) -> None:
        amount = sum(r["out"].get(payout["number"], 0) for r in self.rewards)
        amount += sum(c["amount"] for c in self.corrections if c["stands_in"] is payout)
        if amount <= 0 or (payout["kind"] == "voucher" and amount != payout["amount"]):
            self._end(payout, "cancelled")
        payout["amount"] = amount

    def _end(self, payout: Thing, state: str) -> None:
        payout["state"] = state
        self.pool += payout["vouchers"]
        for r in self.rewards:
            if payout["number"] in r["out"]:
                self._leave(r, payout)
                self._reverse(r)
        for c in self.corrections:
            if c["stands_in"] is payout:
                c["stands_in"] = None
        self._settle(payout["batch"])

    def _settle(self, batch: Thing) -> None:
        states = {payout["state"] for payout in batch["payouts"]}
        if not states & {"preparing", "sent"}:
            batch["state"] = ("partly_paid" if "failed" in states else "paid") if "paid" in states else "cancelled"

    def payouts(self) -> list[Thing]:
        return [payout for batch in self.batches for payout in batch["payouts"]]

    # --- where money lies -------------------------------------------------------------------------------------

    def lies(self, r: Thing) -> dict[str, int]:
        """Where the money of one reward lies."""
        buckets = dict.fromkeys(BUCKETS, 0)
        paid = {payout["number"] for payout in self.payouts() if payout["state"] == "paid"}
        for number, amount in r["out"].items():
            buckets["paid" if number in paid else "in_payout"] += amount
        left = r["amount"] - r["taken"]
        if r["state"] == "pending" or (r["state"] == "approved" and not r["ready"]):
            buckets[r["state"]] = left
        elif r["state"] in LIVE:
            buckets["payable"] = left - sum(r["out"].values())
        return buckets

    def balance(self, name: str) -> dict[str, int]:
        """Where somebody's money lies."""
        mine = [self.lies(r) for r in self.rewards if r["person"] == name]
        for c in self.corrections:
            if c["person"] == name:
                stands = {None: "payable", "paid": "paid"}.get(c["stands_in"] and c["stands_in"]["state"], "in_payout")
                mine.append(dict.fromkeys(BUCKETS, 0) | {stands: c["amount"]})
        return {bucket: sum(lies[bucket] for lies in mine) for bucket in BUCKETS}
