"""Languages: whoever reads German reads German, in pages, refusals, amounts, days and mails; and nothing is left out."""

import re

import pytest
import sqlalchemy as sa
from flask_babel import format_timedelta, ngettext

from portal import program, sweeps, terms
from portal.accounts.users import User
from portal.core import clock, database, language
from portal.core.database import session
from portal.delivery import calls
from portal.delivery.calls import Caller
from portal.delivery.outbox import Message
from tests.mailserver import free_port
from tests.receiver import Receiver, receiving
from tests.web.client import Tab
from tests.web.keys import Shop
from tests.web.routes import READ
from translations import update

TRANSLATED = [one for one in language.LANGUAGES if one != "en"]

ENGLISH = re.compile(r"\b(the|and|of|is|are|you|your|with|for|not|this|it|its|to|from|by|on|no)\b", re.IGNORECASE)
"""Words that no German sentence has."""

ITS_OWN = re.compile(
    r"[\w.-]+@[\w.•-]+|https?://\S+|/\S+|external_id|BASE_URL|next_cursor|^Friends$|^purchase$|^signup$|For a good reason|Cheats|the shop|Not this time|550 nobody of this name|They roast on Tuesdays"
)
"""What stands in German pages as it is: addresses, names for machines, what people of the scene wrote."""


class German(Tab):
    """A tab of a browser that asks for German."""

    asks = "de-AT,de;q=0.9,en;q=0.5"

    def open(self, path, **given):
        given["headers"] = {"Accept-Language": self.asks} | dict(given.get("headers", {}))
        return super().open(path, **given)


class Unsure(German):
    """One that asks for what the portal does not speak."""

    asks = "fr-FR,fr;q=0.9,*;q=0.1"


@pytest.fixture
def visitor(app):
    return German(app)


@pytest.fixture
def german_of(app, tab_of):
    """The German tab of somebody who is signed in."""

    def make(person):
        made = German(app)
        made.client = tab_of(person).client
        return made

    return make


def lang(page):
    return page.tree.all("html")[0].get("lang")


def speaks(scene, person, chosen):
    number = person.id
    scene.do(lambda: program.choose_language(User.by_id(number), chosen))


# --- the catalogue --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def extracted():
    return update.extracted()


@pytest.mark.parametrize("name", TRANSLATED)
def test_the_catalogue_has_every_sentence_of_the_code_and_no_other(name, extracted):
    """If this fails: python translations/update.py, then fill in what is empty."""
    assert {one.id for one in update.read(name) if one.id} == {one.id for one in extracted if one.id}


@pytest.mark.parametrize("name", TRANSLATED)
def test_every_sentence_is_translated_with_its_places(name):
    for one in update.read(name):
        if not one.id:
            continue
        said = one.string if one.pluralizable else (one.string,)
        assert all(said) and not one.fuzzy, one.id
        asked = one.id if one.pluralizable else (one.id,)
        for theirs, ours in zip(asked, said, strict=True):
            assert marks(theirs) == marks(ours), one.id
            assert (theirs[0] == " ", theirs[-1] == " ") == (ours[0] == " ", ours[-1] == " "), one.id
            assert theirs[-1] not in ".:…" or ours[-1] == theirs[-1], one.id


def marks(sentence):
    """What must stand in a translation too: places and the markup around words."""
    return sorted(re.findall(r"%\(\w+\)s|</?\w+[^>]*>", sentence))


@pytest.mark.parametrize("name", TRANSLATED)
def test_what_is_compiled_is_what_is_written(name):
    compiled = language.catalogue(name)
    for one in update.read(name):
        if one.pluralizable:
            assert (compiled.ungettext(*one.id, 1), compiled.ungettext(*one.id, 2)) == one.string
        elif one.id:
            assert compiled.ugettext(one.id) == one.string


def test_mails_say_nothing_that_cannot_be_translated():
    for path in sorted((language.ROOT / "templates" / "mail").glob("*.txt")):
        text = re.sub(r"{{.*?}}|{%.*?%}", "", path.read_text(encoding="utf-8").removeprefix("Subject:"))
        assert not re.findall(r"[^\W\d_]{2,}", re.sub(r"/\S+", "", text)), path.name


# --- which language -------------------------------------------------------------------------------------------


def test_a_visitor_reads_what_the_browser_asks_for(app, scene, visitor):
    page = visitor.get("/signup")
    assert lang(page) == "de" and "Konto anlegen" in page.main and "Create" not in page.main
    assert lang(Tab(app).get("/signup")) == lang(Unsure(app).get("/signup")) == "en"


def test_the_switch_at_the_foot_beats_the_browser_and_leads_back(scene, visitor):
    page = visitor.get("/terms")
    english = visitor.submit(page.form("/language"), language="en")
    assert (english.path, lang(english)) == ("/terms", "en")
    assert lang(visitor.get("/signup")) == "en"
    (pressed,) = [
        one for one in english.tree.all("button") if one.get("name") == "language" and one.get("aria-pressed")
    ]
    assert (pressed.get("value"), pressed.get("lang"), pressed.text) == ("en", "en", "English")


@pytest.mark.parametrize("chosen", ["fr", "", "de\r\nSet-Cookie: a=b", "../../etc"])
def test_a_language_that_is_not_spoken_is_not_chosen(scene, tab, chosen):
    page = tab.post("/language", {"language": chosen, "next": "https://evil.example/"})
    assert page.location == "/" and tab.cookie("language") is None
    tab.set_cookie("language", "xx")
    assert lang(tab.get("/terms")) == "en"


def test_the_account_beats_the_cookie_and_the_browser(scene, app, german_of):
    alice = german_of(scene.alice)
    page = alice.press("/account", "/account/language", language="en")
    assert lang(page) == "en" and "Saved." in page.text
    alice.set_cookie("language", "de")
    assert lang(alice.get("/dashboard")) == "en"
    page = alice.press("/account", "/account/language", language="de")
    assert lang(page) == "de" and "Gespeichert." in page.text and page.kept("language") == ["de"]


def test_an_account_may_follow_the_browser_again(scene, german_of):
    alice = german_of(scene.alice)
    alice.press("/account", "/account/language", language="en")
    page = alice.press("/account", "/account/language", language="")
    assert lang(page) == "de" and alice.cookie("language") is None
    assert alice.post("/account/language", {"language": "fr"}).status == 302  # nobody gets there by the form


def test_the_switch_changes_the_account_of_whoever_is_signed_in(scene, german_of):
    alice = german_of(scene.alice)
    speaks(scene, scene.alice, "de")
    page = alice.submit(alice.get("/dashboard").form("/language"), language="en")
    assert (page.path, lang(page)) == ("/dashboard", "en")
    assert User.by_id(scene.alice.id).language == "en"


def test_the_api_answers_in_english(app, scene):
    shop = Shop(app)
    said = shop.open("POST", "/api/v1/refunds", json={}, headers={"Accept-Language": "de"}).get_json()
    assert not re.search(r"[äöüß]|\bist\b|\bnicht\b", str(said)), said


# --- pages ----------------------------------------------------------------------------------------------------


def test_errors_of_forms_are_german(scene, visitor):
    form = visitor.get("/signup").form("/signup$")
    page = visitor.submit(form, email="nobody", password="short", terms=None, code="x")
    assert page.error("email") == "Gib eine E-Mail-Adresse wie name@example.com ein."
    assert page.error("password") == "Nimm mindestens 12 Zeichen."
    assert page.error("terms") == "Akzeptiere die Bedingungen, um weiterzumachen."
    assert "Sachen brauchen deine Aufmerksamkeit" in page.main


@pytest.mark.parametrize("password", ["", "not the password", "x" * 200])
def test_signing_in_is_refused_in_german(scene, visitor, german_of, password):
    page = visitor.try_to_sign_in(scene.alice.email, password)
    assert page.main.startswith("Anmelden Das hat nicht geklappt E-Mail und Passwort passen nicht zusammen.")
    page = german_of(scene.alice).press("/verify", password=password)
    assert page.error("password") in ("Dieses Passwort stimmt nicht.", "Gib dein Passwort ein.")


def test_a_referrer_reads_german_amounts_and_days(scene, german_of):
    reward = scene.approved_reward()
    alice = german_of(scene.alice)
    page = alice.get("/dashboard")
    assert lang(page) == "de" and "20,00 €" in page.main and "€20.00" not in page.main
    day = language.day(reward.hold_until.date(), "de")
    assert re.fullmatch(r"\d\d\.\d\d\.\d{4}", day) and f"Wartet bis {day}" in page.main
    assert re.search(r"01\.09\.2026, \d\d:\d\d UTC", alice.get("/rewards").html)
    assert "1 Oct 2026" in Tab.get(alice, "/rewards", headers={"Accept-Language": "en"}).main


def test_amounts_are_taken_as_they_are_typed_in_german(scene, german_of):
    olivia = german_of(scene.olivia)
    page = olivia.get("/admin/program")
    form = page.form("/admin/program$")
    assert form.fields["minimum_payout"] == ["20,00"]
    olivia.submit(form, minimum_payout="12,50")
    assert terms.in_force().minimum_payout_minor == 1250
    olivia.get("/admin/program")
    page = olivia.submit(form, minimum_payout="1.234,50")
    assert page.error("minimum_payout") == "Schreib einen Betrag wie 12,50."
    page = olivia.submit(form, window_days="900")
    assert page.error("window_days") == "Zahl muss zwischen 1 und 365 liegen."
    rule = olivia.get("/admin/program").form("/admin/program/rules$")
    olivia.submit(
        rule, goal="purchase", beneficiary="referee", kind="share", share="2,5", often="first", hold_days="14"
    )
    assert "2,5 %" in olivia.get("/terms").main


def test_english_takes_no_comma_for_a_point(scene, tab_of):
    olivia = tab_of(scene.olivia)
    page = olivia.submit(olivia.get("/admin/program").form("/admin/program$"), minimum_payout="12,50")
    assert page.error("minimum_payout") == "Write an amount like 12.50."


OPENED = {endpoint: (needs, at) for endpoint, (needs, at) in READ.items() if needs != "key" and "readyz" not in at}


def test_no_page_has_english_left_in_it(app, things, tab_of, german_of, subtests):
    people = {
        "anyone": German(app),
        "self": german_of(things.person("referrer")),
        "alice": german_of(things.person("referrer")),
    }
    owner = german_of(things.person("owner"))
    with database.writing():
        program.choose_language(things.person("referrer"), "de")  # in which mails are shown as they would come
    patterns, subjects = english_sentences(), {mail.subject for mail in session.scalars(sa.select(Message))}
    for endpoint, (needs, address) in OPENED.items():
        with subtests.test(endpoint):
            page = people.get(needs, owner).get(things.fill(address))
            if page.is_html and not page.location:
                assert lang(page) == "de"
                found = [text for text in spoken(page) if text not in subjects and is_english(text, patterns)]
                assert not found


def english_sentences():
    """The sentences of the code as patterns, without those that look the same in German."""
    whole, places = set(), []
    german = {said for one in update.read("de") for said in (one.string if one.pluralizable else [one.string])}
    for one in update.read("de"):
        for sentence in (one.id if one.pluralizable else [one.id]) if one.id else []:
            if "%(" not in sentence and sentence not in german:
                whole.add(sentence.strip())
            elif len(re.findall(r"[a-z]{2,}", re.sub(r"%\(\w+\)s", "", sentence))) > 2:
                places.append(re.sub(r"%\\\(\w+\\\)s", ".+", re.escape(sentence)))
    return whole, re.compile("|".join(places))


def is_english(text, patterns):
    whole, places = patterns
    bare = ITS_OWN.sub("", text)
    return bare in whole or places.search(bare) or (len(bare.split()) > 1 and ENGLISH.search(bare))


def spoken(page):
    """Everything that is read out on a page: texts, and what stands in attributes."""
    for element in page.tree.walk():
        if element.tag in ("script", "style", "code", "pre", "textarea") or element.get("lang") not in ("", "de"):
            continue
        yield from (element.get(name) for name in ("title", "aria-label", "alt", "placeholder") if element.get(name))
        yield from (" ".join(text.split()) for text in element.children if isinstance(text, str) and text.strip())
        if element.tag == "meta" and element.get("property") == "og:title":
            yield element.get("content")


def test_everything_in_the_audit_list_has_words():
    code = "\n".join(path.read_text(encoding="utf-8") for path in (language.ROOT / "portal").rglob("*.py"))
    verbs = set(re.findall(r'audit\.write\(\s*"(\w+)"', code))
    parts = (language.ROOT / "templates" / "admin" / "_parts.html").read_text(encoding="utf-8")
    assert verbs and not {verb for verb in verbs if f'"{verb}": _("' not in parts}


def test_a_ready_text_is_said_in_the_language_of_whoever_reads_it(scene, german_of, tab_of):
    reward = scene.pending_reward()
    speaks(scene, scene.alice, "de")
    rita, ready = german_of(scene.rita), "Diese Bestellung wurde für eine andere Prämie gezählt."
    form = rita.get("/admin/rewards").form("rejection")
    assert form.fields["told"] == ["Eine Empfehlung zählt für jemand Neues, nicht für ein weiteres eigenes Konto."]
    page = rita.submit(form, reason="duplicate")
    assert "abgelehnt" in page.main
    assert ready in tab_of(scene.alice).get("/rewards").main
    assert ready in scene.mails("reward_rejected")[0].text
    speaks(scene, scene.alice, "en")
    assert "This order was counted for another reward." in tab_of(scene.alice).get("/rewards").main
    page = rita.post(f"/admin/rewards/{reward.public_id}/approval", {}, follow=True)
    assert re.search(r"Abgelehnt durch Rita am 01\.09\.2026, \d\d:\d\d UTC\.", page.main)


def test_states_in_refusals_are_german(scene, german_of):
    reward = scene.paid_reward()
    page = german_of(scene.rita).post(f"/admin/rewards/{reward.public_id}/approval", {}, follow=True)
    assert "Diese Prämie ist schon ausgezahlt." in page.main


@pytest.mark.parametrize(
    ("asks", "said"),
    [("de", ("1 Tag", "2 Tage", "vor 1 Tag")), ("en", ("1 day", "2 days", "1 day ago"))],
)
def test_one_and_many(app, asks, said):
    with app.test_request_context(headers={"Accept-Language": asks}):
        days = [ngettext("%(num)s day", "%(num)s days", number) for number in (1, 2)]
        ago = format_timedelta(-clock.days(1), add_direction=True)
    assert (*days, ago) == said


# --- mails ----------------------------------------------------------------------------------------------------


def test_mails_are_in_the_language_of_whoever_gets_them(scene):
    speaks(scene, scene.alice, "de")
    reward = scene.approved_reward()
    (mail,) = scene.mails("reward_approved", to=scene.alice)
    assert mail.subject == "20,00 € sind unterwegs: bereit am 1. Oktober 2026"
    assert mail.text.startswith("Hallo Alice,\n\ndeine Prämie von 20,00\N{NO-BREAK SPACE}€ ist freigegeben.")
    scene.reject(scene.undo(reward), told="Leider nicht.")
    for mail in scene.mails(to=scene.alice):
        if mail.kind not in ("confirm",):  # written before the choice
            assert not ENGLISH.search(ITS_OWN.sub("", mail.text)), mail.text
    scene.friend("Dora", of=scene.bob)
    (mail,) = scene.mails("friend_joined", to=scene.bob)
    assert mail.subject == "Dora joined with your link" and mail.text.startswith("Hello Bob,")


def test_who_signs_up_on_a_german_page_gets_a_german_mail(scene, visitor, app):
    visitor.sign_up("neu@example.com", name="Anna")
    (mail,) = [one for one in scene.mails("confirm") if one.to == "neu@example.com"]
    assert mail.subject == "Bestätige deine E-Mail-Adresse für Friends" and mail.text.startswith("Hallo,")
    Tab(app).sign_up("new@example.com")
    (mail,) = [one for one in scene.mails("confirm") if one.to == "new@example.com"]
    assert mail.subject == "Confirm your e-mail for Friends"
    assert {one.email: one.language for one in session.scalars(sa.select(User))} == {
        "neu@example.com": "de",
        "new@example.com": "",
    }


def test_every_language_is_offered_in_its_own_words(scene, tab_of):
    page = tab_of(scene.alice).get("/account")
    offered = {
        one.get("value"): one.text for one in page.tree.all("option") if one.within("select").get("name") == "language"
    }
    assert offered == {"": "What my browser asks for", **language.NAMES}
    assert set(update.languages()) == set(TRANSLATED)


def test_a_hold_has_one_name_in_german():
    said = update.said(update.read("de"))
    texts = [one for told in said.values() for one in ([told] if isinstance(told, str) else told)]
    assert not [one for one in texts if re.search("Haltefrist|Haltezeit|Wartezeit", one)]
    assert any("Wartefrist" in one for one in texts)


# --- what other programs did wrong ----------------------------------------------------------------------------


TROUBLES = {
    calls.ANSWERED: "Die Antwort war 500.", calls.ELSEWHERE: "Die Antwort war 302, und dem wird nicht gefolgt.",
    calls.LATE: "Keine Antwort innerhalb von 0.2 Sekunden.", calls.REFUSED: "Die Verbindung wurde abgelehnt.",
    calls.CUT_OFF: "Die Verbindung brach ab, bevor eine Antwort kam.",
}  # fmt: skip


@pytest.mark.parametrize("what", TROUBLES, ids=lambda sentence: sentence[:20])
def test_what_was_wrong_with_a_webhook_is_said_in_german(scene, german_of, what):
    with receiving(Receiver()) as receiver:
        receiver.says = {calls.ANSWERED: 500, calls.ELSEWHERE: 302}.get(what, 204)
        receiver.delay_s, receiver.drops_before = (1.0 if what == calls.LATE else 0.0), what == calls.CUT_OFF
        url = f"http://127.0.0.1:{free_port()}/" if what == calls.REFUSED else receiver.url
        scene.webhook(url, "reward.created")
        scene.pending_reward()
        assert sweeps.send_webhooks(Caller(local=True, timeout_s=0.2), keep=scene.keep_secrets) == 0
    (told,) = scene.told()
    page = german_of(scene.olivia).get(f"/admin/developers/deliveries/{told.public_id}")
    assert TROUBLES[what] in page.main and not ENGLISH.search(TROUBLES[what])


def test_what_was_noted_before_the_sentences_had_places_is_shown_as_it_was(scene, german_of):
    scene.webhook("http://127.0.0.1:9/", "reward.created")
    scene.pending_reward()
    (told,) = scene.told()
    scene.do(lambda: setattr(told, "trouble", "No answer: 100% %(busy)s."))
    page = german_of(scene.olivia).get(f"/admin/developers/deliveries/{told.public_id}")
    assert "No answer: 100% %(busy)s." in page.main
