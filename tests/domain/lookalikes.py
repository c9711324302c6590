"""Look-alikes and cheats: small stories of honest people who look odd, and of people who cheat in the usual ways.

They are data: each story has a name, a side, and steps that `tests/domain/telling.py` tells through the verbs of the
program. They were written from how such households and such frauds look, before the signals that judge them; some
cheats stay uncaught and some honest people are raised, because that is the truth.

How to read a step. `after` is how long nothing happens before it ("40m", "3h", "2d"). `on` is a browser:
"Ann/iphone" is Ann's own, with its cookie; "Ann/iphone?" the same device in a private window, so without. `at` is a
network of this story ("home"); one with a star ("*telco") is shared by all stories, as that of a phone company is.
`takes` is the time between the click and the sign-up. Who has no address named has an ordinary one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.domain.telling import Teller

Step = Callable[["Teller"], None]


class Side(StrEnum):
    HONEST = "honest"
    CHEAT = "cheat"


@dataclass(frozen=True)
class Story:
    """One story. Everybody who is brought in it is of its side."""

    side: Side
    name: str
    steps: tuple[Step, ...]


def joins(name: str, *, on: str = "", at: str = "", email: str = "", after: str = "1d") -> Step:
    """Somebody joins on their own and confirms the address."""
    return lambda tell: tell.joins(name, on=on, at=at, email=email, after=after)


def brings(
    who: str, name: str, *, on: str = "", at: str = "", email: str = "", after: str = "1d", takes: str = "4m",
    typed: bool = False, query: str = "", referer: str = "",
) -> Step:  # fmt: skip
    """Somebody's friend opens the link and signs up; `typed`: without a click, by typing the code."""
    return lambda tell: tell.brings(
        who, name, on=on, at=at, email=email, after=after, takes=takes, typed=typed, query=query, referer=referer
    )


def orders(name: str, minor: int = 5480, *, after: str = "2d") -> Step:
    return lambda tell: tell.orders(name, minor, after=after)


def refunds(name: str, minor: int | None = None, *, after: str = "5d") -> Step:
    """Money is given back for somebody's latest order: all of it, if no amount is named."""
    return lambda tell: tell.refunds(name, minor, after=after)


def is_paid(name: str, *, iban: str = "", paypal: str = "", after: str = "1d") -> Step:
    """Somebody says how they want to be paid."""
    return lambda tell: tell.is_paid(name, iban=iban, paypal=paypal, after=after)


def is_rejected(name: str, *, after: str = "1d") -> Step:
    """A reviewer rejects what somebody's order earned."""
    return lambda tell: tell.is_rejected(name, after=after)


def is_suspended(name: str, *, after: str = "1d") -> Step:
    return lambda tell: tell.is_suspended(name, after=after)


def regulars(many: int, *, at: str, device: str) -> tuple[Step, ...]:
    """People who have long been there from a network, with devices of a kind: it is a place where many come and go."""
    return (lambda tell: tell.regulars(many, at=at, device=device),)


def honest(name: str, *steps: Step) -> Story:
    return Story(Side.HONEST, name, steps)


def cheat(name: str, *steps: Step) -> Story:
    return Story(Side.CHEAT, name, steps)


GERMAN, DUTCH, FRENCH = "DE89370400440532013000", "NL91ABNA0417164300", "FR1420041010050500013M02606"
AUSTRIAN, BELGIAN, SPANISH = "AT611904300234573201", "BE68539007547034", "ES9121000418450200051332"
IRISH, POLISH, SWISS = "IE29AIBK93115212345678", "PL61109010140000071219812874", "CH9300762011623852957"


# --- honest: households ---------------------------------------------------------------------------------------

HOUSEHOLDS = (
    honest("a couple with two kinds of phone behind one router",
           joins("Ann", on="Ann/iphone", at="home"), brings("Ann", "Ben", on="Ben/android", at="home"), orders("Ben")),
    honest("a couple with the same phone and the same system behind one router",
           joins("Ida", on="Ida/iphone", at="home"), brings("Ida", "Jon", on="Jon/iphone", at="home"), orders("Jon")),
    honest("a mother helps her son to join on the family's tablet",
           joins("Mara", on="family/ipad", at="home"), brings("Mara", "Timo", on="family/ipad", at="home"), orders("Timo")),
    honest("father and daughter with one surname",
           joins("Paul Winter", on="Paul/windows", at="home"),
           brings("Paul Winter", "Lena Winter", on="Lena/android", at="home"), orders("Lena Winter")),
    honest("a flat of four joins over an evening, each on an own device",
           joins("Kim", on="Kim/mac", at="flat"), brings("Kim", "Leo", on="Leo/android", at="flat"),
           brings("Kim", "Nils", on="Nils/windows", at="flat", after="70m"),
           brings("Kim", "Oda", on="Oda/iphone", at="flat", after="80m"), orders("Leo"), orders("Nils", 3210), orders("Oda", 4100)),
    honest("grandmother's tablet, at her home, with the grandson beside her",
           joins("Finn", on="Finn/android", at="town"), brings("Finn", "Gerda", on="Gerda/ipad", at="village", takes="25m"),
           orders("Gerda", 8900, after="1h")),
    honest("friends who move in together months later",
           joins("Rosa", on="Rosa/mac", at="north"), brings("Rosa", "Sven", on="Sven/windows", at="south"), orders("Sven"),
           joins("Olaf", on="Olaf/iphone", at="north", after="60d")),
    honest("two of one surname in different towns",
           joins("Eva Schmidt", on="Eva/iphone", at="bremen"),
           brings("Eva Schmidt", "Uwe Schmidt", on="Uwe/iphone", at="ulm"), orders("Uwe Schmidt")),
    honest("father and son of the very same name",
           joins("Karl Huber", on="Karl/windows", at="home", email="karl.huber@t-online.de"),
           brings("Karl Huber", "Karl Huber", on="Junior/android", at="dorm", email="charly2001@gmx.de"), orders("Karl Huber")),
    honest("sisters with addresses that differ by a letter",
           joins("Jana Holm", on="Jana/iphone", at="home", email="jana.holm@web.de"),
           brings("Jana Holm", "Hanna Holm", on="Hanna/android", at="home", email="hanna.holm@web.de"), orders("Hanna Holm")),
    honest("a family on its own domain",
           joins("Otto Brandt", on="Otto/windows", at="home", email="otto@brandt-family.example"),
           brings("Otto Brandt", "Emma Brandt", on="Emma/iphone", at="home", email="emma@brandt-family.example"),
           brings("Otto Brandt", "Max Brandt", on="Max/android", at="dorm", email="max@brandt-family.example", after="9d"),
           orders("Emma Brandt"), orders("Max Brandt")),
    honest("husband and wife have one PayPal account",
           joins("Hans", on="Hans/windows", at="home"), brings("Hans", "Inge", on="Inge/android", at="home"), orders("Inge"),
           is_paid("Hans", paypal="familie.lorenz@gmx.de"), is_paid("Inge", paypal="familie.lorenz@gmx.de", after="3d")),
    honest("a couple with one bank account, both brought by a friend",
           joins("Gina", on="Gina/mac", at="elsewhere"), brings("Gina", "Udo", on="Udo/android", at="home"),
           brings("Gina", "Vera", on="Vera/iphone", at="home", after="3d"), orders("Udo"), orders("Vera"),
           is_paid("Udo", iban=DUTCH), is_paid("Vera", iban=DUTCH, after="2d")),
    honest("wife tells husband at once and he orders the same hour",
           joins("Mona", on="Mona/iphone", at="home"), brings("Mona", "Nick", on="Nick/windows", at="home", after="20m"),
           orders("Nick", 7300, after="25m")),
    honest("a phone passed on to the younger brother, months ago",
           joins("Ole", on="old phone/android", at="home"),
           brings("Ole", "Piet", on="old phone/android", at="home", after="200d"), orders("Piet")),
    honest("a guest on the wireless of a friend's home",
           joins("Tara", on="Tara/mac", at="home"), brings("Tara", "Ulf", on="Ulf/android", at="home", after="4h"),
           orders("Ulf", after="6d")),
    honest("a couple, laptop and phone, he types the code",
           joins("Wim", on="Wim/firefox", at="home"), brings("Wim", "Xara", on="Xara/android", at="home", typed=True), orders("Xara")),
    honest("three siblings, three devices, within a week",
           joins("Abel", on="Abel/windows", at="home"), brings("Abel", "Bela", on="Bela/iphone", at="home"),
           brings("Abel", "Cleo", on="Cleo/android", at="home", after="3d"), orders("Bela"), orders("Cleo", 3990)),
    honest("neighbours on one masked network of a small provider",
           joins("Dirk", on="Dirk/windows", at="village"), brings("Dirk", "Elke", on="Elke/ipad", at="village"), orders("Elke")),
    honest("daughter sets her father's account up on a visit, on his own computer",
           joins("Fee", on="Fee/iphone", at="city"), brings("Fee", "Georg", on="Georg/edge", at="country", takes="40m"),
           orders("Georg", 12900, after="2h")),
)  # fmt: skip

# --- honest: offices ------------------------------------------------------------------------------------------

OFFICES = (
    honest("colleagues at identical computers in an office from which many came before",
           *regulars(6, at="office", device="windows"), joins("Hella", on="Hella/windows", at="office"),
           brings("Hella", "Ingo", on="Ingo/windows", at="office"), brings("Hella", "Jule", on="Jule/windows", at="office", after="3d"),
           brings("Hella", "Kurt", on="Kurt/windows", at="office", after="5d"), orders("Ingo"), orders("Jule", 3400), orders("Kurt", 9900)),
    honest("three in a small new office with identical computers",
           joins("Lars", on="Lars/windows", at="office"), brings("Lars", "Mia", on="Mia/windows", at="office"),
           brings("Lars", "Noa", on="Noa/windows", at="office", after="4d"), orders("Mia"), orders("Noa")),
    honest("colleagues with addresses of their company, each on an own device",
           joins("Olga", on="Olga/mac", at="office", email="olga.berg@nordwerk-gmbh.de"),
           brings("Olga", "Pia", on="Pia/windows", at="office", email="pia.sand@nordwerk-gmbh.de"),
           brings("Olga", "Quin", on="Quin/edge", at="office", email="quin.roth@nordwerk-gmbh.de", after="4d"),
           orders("Pia"), orders("Quin", 3600)),
    honest("colleagues of one company at home, on different days",
           joins("Ralf", on="Ralf/windows", at="home1", email="r.voss@hafenlogistik.de"),
           brings("Ralf", "Sina", on="Sina/iphone", at="home2", email="s.kern@hafenlogistik.de"),
           brings("Ralf", "Theo", on="Theo/android", at="home3", email="t.lux@hafenlogistik.de", after="8d"), orders("Sina"), orders("Theo")),
    honest("the boss recommends it in a meeting: five join within half an hour on the office's wireless",
           joins("Ute", on="Ute/mac", at="office"),
           *(brings("Ute", name, on=f"{name}/{kind}", at="office", after="6m", takes="2m")
             for name, kind in (("Vito", "iphone"), ("Wanda", "android"), ("Xeno", "iphone17"), ("Yara", "android2"), ("Zeno", "mac"))),
           orders("Vito"), orders("Wanda")),
    honest("strangers in a coworking space, both with the same laptop",
           *regulars(8, at="space", device="mac"), joins("Arne", on="Arne/mac", at="space"),
           brings("Arne", "Bine", on="Bine/mac", at="space"), orders("Bine")),
    honest("a team behind the exit of its company's VPN",
           *regulars(5, at="vpn", device="mac"), joins("Cora", on="Cora/mac", at="vpn"),
           brings("Cora", "Dora", on="Dora/mac", at="vpn"), brings("Cora", "Emil", on="Emil/windows", at="vpn", after="2d"), orders("Dora"), orders("Emil")),
    honest("two shops of one street with info@ addresses",
           joins("Flora", on="Flora/windows", at="shop1", email="info@blumen-flora.de"),
           brings("Flora", "Gero", on="Gero/windows", at="shop2", email="info@gero-buecher.de"), orders("Gero", 15000)),
    honest("a doctor's practice: the reception's computer is shared by two",
           joins("Heike", on="Heike/iphone", at="practice"), brings("Heike", "Ilse", on="reception/windows", at="practice"),
           brings("Heike", "Jens", on="reception/windows", at="practice", after="6d"), orders("Ilse"), orders("Jens")),
    honest("a works council recommends it: eight colleagues over two weeks, from the plant's network",
           *regulars(3, at="plant", device="edge"), joins("Kalle", on="Kalle/edge", at="plant"),
           *(brings("Kalle", name, on=f"{name}/{kind}", at="plant", after="40h")
             for name, kind in (("Lutz", "android"), ("Mirko", "iphone"), ("Nadja", "edge"), ("Otti", "windows"),
                                ("Petra", "android2"), ("Rudi", "iphone17"), ("Silke", "edge"), ("Tilo", "firefox"))),
           orders("Lutz"), orders("Nadja"), orders("Tilo")),
)  # fmt: skip

# --- honest: students, clubs, fairs ---------------------------------------------------------------------------

CROWDS = (
    honest("a hall of students on one network, some with the same phone",
           *regulars(12, at="hall", device="iphone"), joins("Ugo", on="Ugo/iphone", at="hall"),
           brings("Ugo", "Vala", on="Vala/iphone", at="hall"), brings("Ugo", "Wolf", on="Wolf/android", at="hall", after="2h"),
           brings("Ugo", "Yann", on="Yann/iphone", at="hall", after="2d"), orders("Vala", 3050), orders("Wolf", 3300)),
    honest("students with numbers as addresses",
           *regulars(4, at="campus", device="android"), joins("Zoe", on="Zoe/mac", at="campus", email="s183422@students.uni-nord.de"),
           brings("Zoe", "Adam", on="Adam/android", at="campus", email="s183977@students.uni-nord.de"),
           brings("Zoe", "Beth", on="Beth/windows", at="campus", email="s184102@students.uni-nord.de", after="2d"), orders("Adam"), orders("Beth")),
    honest("one tells the next on the same evening, in a hall where many live",
           *regulars(10, at="hall", device="android"), joins("Cem", on="Cem/iphone", at="hall"),
           brings("Cem", "Dana", on="Dana/android", at="hall", after="2h"), brings("Dana", "Enno", on="Enno/windows", at="hall", after="90m"), orders("Dana"), orders("Enno")),
    honest("at a party one tells the next, four times, everybody on an own phone",
           joins("Filip", on="Filip/iphone", at="*telco1"), brings("Filip", "Gabi", on="Gabi/android", at="*telco2", after="1h"),
           brings("Gabi", "Hugo", on="Hugo/iphone17", at="*telco3", after="40m"), brings("Hugo", "Irma", on="Irma/android2", at="*telco1", after="40m"),
           brings("Irma", "Jost", on="Jost/iphone", at="*telco2", after="50m"), orders("Gabi"), orders("Jost")),
    honest("a code on the slide of a lecture: twelve from the campus within a quarter of an hour",
           *regulars(14, at="campus", device="windows"), joins("Kara", on="Kara/mac", at="campus"),
           *(brings("Kara", f"Student{n}", on=f"Student{n}/{kind}", at="campus", after="20s", takes="40s")
             for n, kind in enumerate(["iphone", "android", "windows", "mac", "iphone17", "android2"] * 2))),
    honest("a stand at a fair: six sign up on the tablet of the one who shares the link",
           joins("Liv", on="stand/ipad", at="fair"),
           *(brings("Liv", f"Visitor{n}", on="stand/ipad", at="fair", after="9m", takes="3m") for n in range(6)), orders("Visitor1")),
    honest("a fair: eight scan the poster with their own phones within an hour",
           joins("Milan", on="Milan/iphone", at="office"),
           *(brings("Milan", f"Guest{n}", on=f"Guest{n}/{kind}", at=f"*telco{1 + n % 4}", after="6m", takes="2m")
             for n, kind in enumerate(["iphone", "android", "android2", "iphone17"] * 2)), orders("Guest2"), orders("Guest5")),
    honest("a coach shares it in the chat of the club: nine within a day, at their homes",
           joins("Nora", on="Nora/iphone", at="home"),
           *(brings("Nora", f"Member{n}", on=f"Member{n}/{kind}", at=f"home{n}", after="2h") for n, kind in enumerate(["iphone", "android", "mac"] * 3)),
           orders("Member1"), orders("Member2"), orders("Member7")),
    honest("a teacher of yoga with a flyer, one friend a week",
           joins("Ona", on="Ona/iphone", at="studio"),
           *(brings("Ona", f"Yogi{n}", on=f"Yogi{n}/{kind}", at=f"home{n}", after="7d") for n, kind in enumerate(["android", "iphone", "windows", "ipad"])),
           orders("Yogi0"), orders("Yogi3")),
    honest("parents of a class in a chat: twelve within an evening",
           joins("Pola", on="Pola/android", at="home"),
           *(brings("Pola", f"Parent{n}", on=f"Parent{n}/{kind}", at=f"home{n}", after="14m") for n, kind in enumerate(["iphone", "android", "windows", "iphone17"] * 3)),
           orders("Parent3"), orders("Parent8")),
    honest("two strangers at the same computer of a library, brought by different people",
           joins("Rolf", on="Rolf/mac", at="home1"), joins("Sara", on="Sara/windows", at="home2"),
           brings("Rolf", "Tess", on="library/firefox", at="library"), brings("Sara", "Ural", on="library/firefox", at="library", after="3h"), orders("Tess"), orders("Ural")),
    honest("a café: she tells him over coffee, both on its wireless",
           *regulars(4, at="café", device="iphone"), joins("Vicky", on="Vicky/android", at="café", after="1d"),
           brings("Vicky", "Willi", on="Willi/iphone", at="café", after="15m"), orders("Willi", after="1d")),
    honest("a choir travels by coach: five on one phone company's network, different phones, over two days",
           joins("Xenia", on="Xenia/iphone", at="*telco1"),
           *(brings("Xenia", f"Singer{n}", on=f"Singer{n}/{kind}", at="*telco1", after="7h") for n, kind in enumerate(["android", "iphone17", "android2", "windows", "ipad"])),
           orders("Singer2")),
    honest("two who met at a conference, on the wireless of its hotel",
           joins("Berit", on="Berit/mac", at="hotel"), brings("Berit", "Caspar", on="Caspar/windows", at="hotel", after="3h"), orders("Caspar")),
    honest("a nurse helps three in a home for the old, on the home's tablets, over a month",
           joins("Dunja", on="Dunja/android", at="*telco2"),
           *(brings("Dunja", name, on=f"tablet{n}/ipad", at="home for the old", after="9d", takes="20m") for n, name in enumerate(("Erna", "Friedel", "Gustav"))),
           orders("Erna", 3900, after="1h"), orders("Gustav")),
    honest("a theatre group on tour: four on a train's wireless, their own devices",
           joins("Hedda", on="Hedda/iphone", at="train"),
           *(brings("Hedda", f"Player{n}", on=f"Player{n}/{kind}", at="train", after="35m") for n, kind in enumerate(["android", "mac", "iphone17", "windows"])),
           orders("Player0"), orders("Player3")),
    honest("a refugee centre's public terminal, two people in one week",
           joins("Yusuf", on="Yusuf/android", at="*telco3"), brings("Yusuf", "Zara", on="terminal/firefox", at="centre"),
           brings("Yusuf", "Amir", on="terminal/firefox", at="centre", after="4d"), orders("Zara", 3100)),
)  # fmt: skip

# --- honest: on their own way ---------------------------------------------------------------------------------

ON_THEIR_WAY = (
    honest("a blogger's post: fifteen in an afternoon, from everywhere",
           joins("Bea", on="Bea/mac", at="home"),
           *(brings("Bea", f"Reader{n}", on=f"Reader{n}/{kind}", at=f"place{n}", after="14m", referer="https://bea-bakes.blog/post/7")
             for n, kind in enumerate(["iphone", "android", "windows", "mac", "edge"] * 3)),
           orders("Reader1"), orders("Reader2", 8800), orders("Reader9")),
    honest("a newsletter with a campaign's name in its links",
           joins("Carl", on="Carl/windows", at="home"),
           brings("Carl", "Dina", on="Dina/iphone", at="home1", query="utm_source=carls-letter&utm_medium=email"), orders("Dina"),
           brings("Carl", "Eddy", on="Eddy/mac", at="home2", query="utm_source=carls-letter&utm_medium=email", after="2h"), orders("Eddy")),
    honest("a podcast: listeners type the code at the checkout and order within a minute",
           joins("Fritz", on="Fritz/mac", at="home"),
           *(step for n in range(3) for step in (
               brings("Fritz", f"Listener{n}", on=f"Listener{n}/windows", at=f"home{n}", typed=True, after="5h"), orders(f"Listener{n}", after="1m")))),
    honest("a post among friends, with the network's own tag in the address",
           joins("Gwen", on="Gwen/iphone", at="home"),
           brings("Gwen", "Hank", on="Hank/android", at="*telco2", query="fbclid=IwAR2x", referer="https://l.facebook.com/"), orders("Hank")),
    honest("a friend with a full basket, told by telephone, orders six minutes after the click",
           joins("Ines", on="Ines/iphone", at="home"), brings("Ines", "Jack", on="Jack/windows", at="home2", takes="3m"), orders("Jack", 8450, after="1m")),
    honest("clicked two weeks ago, signs up at the checkout, orders a minute later",
           joins("Kate", on="Kate/mac", at="home"), brings("Kate", "Lou", on="Lou/mac", at="home2", takes="14d"), orders("Lou", after="1m")),
    honest("a browser fills the form in: fifteen seconds from the click to the sign-up",
           joins("Mats", on="Mats/windows", at="home"), brings("Mats", "Nele", on="Nele/iphone", at="home2", takes="15s"), orders("Nele")),
    honest("clothes: six friends keep one of two sizes and send the other back",
           joins("Olli", on="Olli/mac", at="home"),
           *(step for n in range(6) for step in (
               brings("Olli", f"Wearer{n}", on=f"Wearer{n}/iphone", at=f"home{n}", after="20h"), orders(f"Wearer{n}", 9980), refunds(f"Wearer{n}", 4490)))),
    honest("one of five friends gives the order back",
           joins("Pam", on="Pam/android", at="home"),
           *(step for n in range(5) for step in (brings("Pam", f"Buyer{n}", on=f"Buyer{n}/android2", at=f"home{n}", after="30h"), orders(f"Buyer{n}"))),
           refunds("Buyer2")),
    honest("the only friend so far gives the order back",
           joins("Rex", on="Rex/mac", at="home"), brings("Rex", "Suse", on="Suse/iphone", at="home2"), orders("Suse"), refunds("Suse")),
    honest("two friends who change a size: all goes back, and they order again",
           joins("Lotte", on="Lotte/mac", at="home"),
           *(step for n in range(2) for step in (
               brings("Lotte", f"Changer{n}", on=f"Changer{n}/iphone", at=f"home{n}"), orders(f"Changer{n}", 7900), refunds(f"Changer{n}"), orders(f"Changer{n}", 7900, after="1h")))),
    honest("somebody who tags addresses for order in the mailbox",
           joins("Tina", on="Tina/mac", at="home"), brings("Tina", "Udo", on="Udo/android", at="home2", email="udo.lang+friends@gmail.com"), orders("Udo")),
    honest("two who hide their addresses with their phones' maker",
           joins("Vlad", on="Vlad/iphone", at="home", email="x7kq2m9@privaterelay.appleid.com"),
           brings("Vlad", "Wera", on="Wera/iphone17", at="home2", email="p03jd81@privaterelay.appleid.com"), orders("Wera")),
    honest("Anna brings Anna",
           joins("Anna", on="Anna/iphone", at="home", email="anna@posteo.de"), brings("Anna", "Anna", on="Other Anna/android", at="home2", email="anna.b@web.de"), orders("Anna")),
    honest("two who have the same phone at the same phone company, from which many come",
           *regulars(6, at="*telco4", device="iphone"), joins("Xaver", on="Xaver/iphone", at="*telco4"),
           brings("Xaver", "Yvo", on="Yvo/iphone", at="*telco4"), orders("Yvo")),
    honest("two who have the same phone at a phone company nobody came from yet",
           joins("Zack", on="Zack/iphone", at="telco"), brings("Zack", "Alma", on="Alma/iphone", at="telco"), orders("Alma")),
    honest("a friend abroad behind a VPN that strangers use",
           *regulars(3, at="exit", device="firefox"), joins("Basti", on="Basti/mac", at="home"),
           brings("Basti", "Chloe", on="Chloe/firefox?", at="exit"), orders("Chloe")),
    honest("a friend without cookies, on a private window",
           joins("Doro", on="Doro/windows", at="home"), brings("Doro", "Eike", on="Eike/firefox?", at="home2"), orders("Eike", after="2h")),
    honest("a friend orders just what the gift asks for",
           joins("Fabi", on="Fabi/iphone", at="home"), brings("Fabi", "Gesa", on="Gesa/android", at="home2"), orders("Gesa", 3000, after="3h")),
    honest("a new customer is so glad that she tells two friends in her first hour",
           joins("Hilde", on="Hilde/iphone", at="home"), brings("Hilde", "Ivan", on="Ivan/android", at="home2", after="10m"),
           brings("Hilde", "Jara", on="Jara/mac", at="home3", after="20m"), orders("Ivan"), orders("Jara")),
    honest("a friend of the house changes to the bank account of his employer's former colleague's bank",
           joins("Knut", on="Knut/mac", at="home"), brings("Knut", "Lisa", on="Lisa/iphone", at="home2"), orders("Lisa"),
           is_paid("Knut", iban=AUSTRIAN), is_paid("Lisa", iban=BELGIAN), is_paid("Knut", paypal="knut.sund@outlook.com", after="30d")),
    honest("a friend whose first reward was rejected by mistake brings another",
           joins("Moni", on="Moni/mac", at="home"), brings("Moni", "Nate", on="Nate/windows", at="home2"), orders("Nate"), is_rejected("Nate"),
           brings("Moni", "Oskar", on="Oskar/iphone", at="home3", after="8d"), orders("Oskar")),
    honest("the daughter of a customer, on the family's computer, invited by a friend from school",
           joins("Petra", on="family/windows", at="home"), joins("Runa", on="Runa/iphone", at="home2"),
           brings("Runa", "Stella", on="family/windows", at="home"), orders("Stella")),
)  # fmt: skip

# --- cheats: one person, two accounts -------------------------------------------------------------------------

OWN_ACCOUNTS = (
    *(cheat(f"the own mailbox, spelled otherwise: {other}",
            joins(f"Mallory{n}", on=f"M{n}/windows", at="home", email=own),
            brings(f"Mallory{n}", f"Twin{n}", on=f"M{n} phone/android", at=f"*telco{1 + n % 4}", email=other), orders(f"Twin{n}", 3000))
      for n, (own, other) in enumerate((
          ("mal.lory1@gmail.com", "mallory.1@gmail.com"), ("mallory.b@gmail.com", "mallory.b+gift@gmail.com"),
          ("mallory.c@googlemail.com", "mal.lory.c@gmail.com"), ("mallory.d@outlook.com", "mallory.d+2@outlook.com"),
          ("mallory.e@proton.me", "mallory.e+shop@proton.me"), ("mallory.f@icloud.com", "mallory.f+friend@icloud.com")))),
    cheat("the same browser, another address",
          joins("Moe", on="Moe/windows", at="home"), brings("Moe", "Moritz", on="Moe/windows", at="home", after="10m"), orders("Moritz", 3000, after="20m")),
    cheat("the same browser a week later, at work",
          joins("Mick", on="Mick/mac", at="home"), brings("Mick", "Micha", on="Mick/mac", at="work", after="7d"), orders("Micha")),
    cheat("the same phone, by its phone company this time",
          joins("Milo", on="Milo/iphone", at="home"), brings("Milo", "Milly", on="Milo/iphone", at="*telco1"), orders("Milly")),
    cheat("the same browser three times over",
          joins("Merle", on="Merle/edge", at="home"), *(brings("Merle", f"Merlin{n}", on="Merle/edge", at="home", after="3d") for n in range(3)), orders("Merlin0", 3000)),
    *(cheat(f"a private window on the own {device}",
            joins(f"Max{device}", on=f"own/{device}", at="home"), brings(f"Max{device}", f"Moritz{device}", on=f"own/{device}?", at="home", after="15m"),
            orders(f"Moritz{device}", 3000, after="1h"))
      for device in ("windows", "mac", "iphone", "android", "firefox")),
    cheat("a private window, a week later",
          joins("Mine", on="Mine/windows", at="home"), brings("Mine", "Minna", on="Mine/windows?", at="home", after="7d"), orders("Minna")),
    cheat("private windows, four accounts within a month",
          joins("Mats", on="Mats/mac", at="home"), *(brings("Mats", f"Matti{n}", on="Mats/mac?", at="home", after="6d") for n in range(4)), orders("Matti1", 3000)),
    cheat("own phone and own computer at home, and ordered at once",
          joins("Mika", on="Mika/windows", at="home"), brings("Mika", "Mikke", on="Mika/android", at="home", after="5m", takes="60s"), orders("Mikke", 3000, after="30s")),
    cheat("own phone on the phone company's network, another name and mailbox, order next day",  # nothing to see
          joins("Mare", on="Mare/windows", at="home"), brings("Mare", "Tilda", on="Mare/android", at="*telco2"), orders("Tilda", 4200)),
    cheat("the same name at another provider",
          joins("Lukas Mahler", on="Lukas/windows", at="home", email="lukas.mahler@gmail.com"),
          brings("Lukas Mahler", "Lukas Mahler", on="Lukas/android", at="*telco3", email="lukas.mahler@web.de"), orders("Lukas Mahler", 3000)),
    cheat("the same name with a number at another provider, from work",
          joins("Sandra Maurer", on="Sandra/mac", at="home", email="sandra.maurer@gmx.de"),
          brings("Sandra Maurer", "Sandra M", on="Sandra/edge", at="work", email="sandramaurer84@outlook.com"), orders("Sandra M")),
    cheat("numbered mailboxes of one name, each from another network",
          joins("Moll", on="Moll/windows", at="home", email="jo.moll@gmail.com"),
          *(brings("Moll", f"Tester{n}", on=f"t{n}/android", at=f"*telco{n}", email=f"billigfuchs{n}{n}@gmx.de", after="5h") for n in (1, 2, 3)), orders("Tester1", 3000)),
    cheat("a customer for years signs up again through a colleague's link, for the gift, in the same browser",
          joins("Kolja", on="Kolja/mac", at="home1"), joins("Old customer", on="Oc/windows", at="home2", after="100d"),
          brings("Kolja", "New customer", on="Oc/windows", at="home2"), orders("New customer", 3000)),
    cheat("a customer signs up again with a tag, by the link of a friend who did so before",
          joins("Mascha", on="Mascha/mac", at="home"), brings("Mascha", "Gift1", on="g/windows", at="home2", email="gift.hunter@gmail.com"), orders("Gift1"),
          brings("Mascha", "Gift2", on="g2/android", at="*telco4", email="gift.hunter+2@gmail.com"), orders("Gift2")),
)  # fmt: skip

# --- cheats: many accounts ------------------------------------------------------------------------------------

FARMS = (
    *(cheat(f"a throw-away address at {domain}",
            joins(f"Thrower{n}", on=f"Thrower{n}/mac", at="home"),
            brings(f"Thrower{n}", f"Thrown{n}", on="vpn/firefox?", at=f"exit{n}", email=f"q8z{n}@{domain}"), orders(f"Thrown{n}", 3000))
      for n, domain in enumerate(("mailinator.com", "guerrillamail.com", "yopmail.com", "10minutemail.com", "trashmail.com", "sharklasers.com"))),
    cheat("eight accounts in forty minutes from one network, browsers changed in between",
          joins("Bursty", on="Bursty/windows", at="home"),
          *(brings("Bursty", f"B{n}", on=f"b{n}/{kind}?", at="cellar", after="3m", takes="2m") for n, kind in enumerate(["windows", "firefox", "edge", "mac", "iphone", "android", "ipad", "android2"]))),
    cheat("a script: twelve in ten minutes from one rented network",
          joins("Botho", on="Botho/windows", at="home"),
          *(brings("Botho", f"Bot{n}", on="script/windows?", at="rented", after="40s", takes="3s") for n in range(12))),
    cheat("a script that changes its network for each account and fills the form in two seconds",
          joins("Boris", on="Boris/windows", at="home"),
          *(brings("Boris", f"Robot{n}", on=f"r{n}/windows?", at=f"proxy{n}", after="7m", takes="2s") for n in range(6))),
    cheat("five accounts in one private window after another, at an internet café",
          joins("Clive", on="Clive/iphone", at="home"),
          *(brings("Clive", f"C{n}", on="desk4/windows?", at="internet café", after="8m", takes="4m") for n in range(5))),
    cheat("a friend's browser for five accounts, over an evening",
          joins("Dagmar", on="Dagmar/iphone", at="home"), *(brings("Dagmar", f"D{n}", on="friend/windows", at="friend", after="25m") for n in range(5))),
    cheat("four accounts on a second computer, same browser with cookies kept, one a day",
          joins("Edgar", on="Edgar/iphone", at="home"), *(brings("Edgar", f"E{n}", on="second/windows", at="home", after="5h") for n in range(4)), orders("E1", 3000)),
    cheat("three and three: two networks, each with a private window, in two hours",
          joins("Falk", on="Falk/mac", at="home"),
          *(brings("Falk", f"F{n}", on="a/windows?", at="net1", after="15m") for n in range(3)), *(brings("Falk", f"G{n}", on="b/android?", at="net2", after="15m") for n in range(3))),
    cheat("numbered addresses at an own domain, from one private window after another",
          joins("Gunnar", on="Gunnar/mac", at="home", email="gunnar.f@gmail.com"),
          *(brings("Gunnar", f"Sales{n}", on="Gunnar/firefox?", at="home", email=f"sales{n}@gunnar-handel.de", after="7h") for n in range(1, 6)), orders("Sales1", 3000)),
    cheat("numbered addresses at an own domain, each from another exit",
          joins("Harro", on="Harro/mac", at="home", email="harro@harro-versand.de"),
          *(brings("Harro", f"Kunde{n}", on=f"k{n}/windows?", at=f"exit{n}", email=f"kunde{n}@harro-versand.de", after="6h") for n in range(1, 6)), orders("Kunde1", 3000)),
    cheat("made-up names at the referrer's own domain, six within two days, each from another exit",
          joins("Ivo", on="Ivo/windows", at="home", email="kontakt@ivo-web-agentur.de"),
          *(brings("Ivo", f"I{n}", on=f"i{n}/{kind}?", at=f"exit{n}", email=f"{name}@ivo-web-agentur.de", after="7h")
            for n, (name, kind) in enumerate((("petra", "windows"), ("markus", "mac"), ("sabine", "edge"), ("ulrich", "firefox"), ("yvonne", "android"), ("detlef", "iphone")))),
          orders("I1", 3000)),
    cheat("made-up names at a domain bought for it, one a week, each from another home's proxy",  # nothing to see
          joins("Jasper", on="Jasper/mac", at="home", email="jasper.k@gmail.com"),
          *(brings("Jasper", f"J{n}", on=f"j{n}/{kind}?", at=f"proxy{n}", email=f"{name}@sonnental-post.de", after="7d")
            for n, (name, kind) in enumerate((("ruth", "windows"), ("bernd", "android"), ("ilka", "iphone")))), orders("J0", 4900)),
    cheat("gmail addresses bought by the dozen, through homes' proxies, three a day",  # nothing to see but orders of one size
          joins("Kilian", on="Kilian/windows", at="home"),
          *(step for n in range(6) for step in (
              brings("Kilian", f"K{n}", on=f"k{n}/{('windows', 'mac', 'android')[n % 3]}?", at=f"proxy{n}", after="8h"), orders(f"K{n}", 3000, after="10m")))),
    cheat("twenty of them in an hour, and each orders the least that counts",
          joins("Lothar", on="Lothar/windows", at="home"),
          *(step for n in range(10) for step in (
              brings("Lothar", f"L{n}", on=f"l{n}/{('windows', 'mac', 'android')[n % 3]}?", at=f"proxy{n}", after="2m", takes="30s"), orders(f"L{n}", 3000, after="1m")))),
    cheat("somebody suspended comes back in the same browser with a new account and is brought by an accomplice",
          joins("Nero", on="Nero/windows", at="cellar"), is_suspended("Nero"), joins("Accomplice", on="A/mac", at="home"),
          brings("Accomplice", "Nobody", on="Nero/windows", at="*telco1", after="5d"), orders("Nobody")),
    cheat("somebody suspended comes back with the same mailbox, tagged",
          joins("Nestor", on="Nestor/windows", at="cellar", email="nestor.p@gmail.com"), is_suspended("Nestor"), joins("Helper", on="H/mac", at="home"),
          brings("Helper", "Nest", on="h/android", at="*telco2", email="nestor.p+new@gmail.com", after="5d"), orders("Nest")),
    cheat("rejected three times, and goes on with better covers",
          joins("Odin", on="Odin/windows", at="home"),
          *(step for n in range(3) for step in (brings("Odin", f"O{n}", on="Odin/windows?", at="home", after="2d"), orders(f"O{n}", 3000, after="1h"), is_rejected(f"O{n}"))),
          brings("Odin", "Oma", on="o/android", at="*telco3", after="3d"), orders("Oma", 3000, after="1h")),
)  # fmt: skip

# --- cheats: chains, rings, money -----------------------------------------------------------------------------

RINGS = (
    cheat("a chain of own accounts in private windows",
          joins("Pirat", on="Pirat/windows", at="home"), brings("Pirat", "P1", on="Pirat/windows?", at="home", after="20m"),
          brings("P1", "P2", on="Pirat/windows?", at="home", after="20m"), brings("P2", "P3", on="Pirat/windows?", at="home", after="20m"), orders("P1", 3000)),
    cheat("a chain of own accounts, each on another device of the household",
          joins("Quast", on="Quast/windows", at="home"), brings("Quast", "Q1", on="Quast/android", at="home", after="20m"),
          brings("Q1", "Q2", on="Quast/ipad", at="home", after="20m"), brings("Q2", "Q3", on="Quast/firefox", at="home", after="20m"), orders("Q3", 3000)),
    cheat("a chain of tags",
          joins("Rabe", on="Rabe/mac", at="home", email="rabe.k@gmail.com"), brings("Rabe", "R1", on="r1/windows", at="*telco1", email="rabe.k+1@gmail.com"),
          brings("R1", "R2", on="r2/android", at="*telco2", email="rabe.k+2@gmail.com", after="1h"), orders("R2")),
    cheat("a chain of four that share one private window and one evening",
          joins("Sascha", on="Sascha/iphone", at="*telco3"), brings("Sascha", "S1", on="pc/windows?", at="home", after="1h"),
          brings("S1", "S2", on="pc/windows?", at="home", after="10m"), brings("S2", "S3", on="pc/windows?", at="home", after="10m")),
    *(cheat(f"a ring that gives back: {given_back} of {many} orders",
            joins(f"Ring{many}{given_back}", on=f"R{many}/mac", at="home"),
            *(step for n in range(many) for step in (
                brings(f"Ring{many}{given_back}", f"r{many}{given_back}{n}", on=f"r{n}/{('windows', 'android', 'mac')[n % 3]}", at=f"home{n}", after="2d"),
                orders(f"r{many}{given_back}{n}", 3100))),
            *(refunds(f"r{many}{given_back}{n}", after="1d") for n in range(given_back)))
      for many, given_back in ((4, 4), (5, 4), (6, 3), (8, 8))),
    cheat("a ring that gives back once the money is out, and then buys again",
          joins("Tristan", on="Tristan/mac", at="home"),
          *(step for n in range(4) for step in (brings("Tristan", f"T{n}", on=f"t{n}/android", at=f"home{n}", after="2d"), orders(f"T{n}", 3100))),
          *(refunds(f"T{n}", after="30d" if not n else "1h") for n in range(4)),
          brings("Tristan", "T9", on="t9/mac", at="home9", after="3d"), orders("T9", 3100)),
    cheat("a ring that gives back nearly all of each order",
          joins("Ulla", on="Ulla/mac", at="home"),
          *(step for n in range(5) for step in (brings("Ulla", f"U{n}", on=f"u{n}/iphone17", at=f"home{n}", after="2d"), orders(f"U{n}", 6000), refunds(f"U{n}", 5400)))),
    cheat("the friend is paid to the referrer's bank account",
          joins("Viktor", on="Viktor/mac", at="home"), brings("Viktor", "V1", on="v/android", at="*telco4"), orders("V1"),
          is_paid("Viktor", iban=GERMAN), is_paid("V1", iban=GERMAN)),
    cheat("the friend is paid to the referrer's PayPal address, spelled otherwise",
          joins("Walid", on="Walid/mac", at="home"), brings("Walid", "W1", on="w/android", at="*telco1"), orders("W1"),
          is_paid("W1", paypal="walid.k@gmail.com"), is_paid("Walid", paypal="wal.idk+cash@gmail.com")),
    cheat("four friends, one bank account that is not the referrer's",
          joins("Xander", on="Xander/mac", at="home"),
          *(step for n in range(4) for step in (brings("Xander", f"X{n}", on=f"x{n}/android2", at=f"home{n}", after="3d"), orders(f"X{n}"))),
          *(is_paid(f"X{n}", iban=SPANISH) for n in range(4))),
    cheat("the accounts differ at first and are changed to one before the payout",
          joins("Yago", on="Yago/mac", at="home"), brings("Yago", "Y1", on="y/android", at="*telco2"), orders("Y1"),
          is_paid("Yago", iban=IRISH), is_paid("Y1", iban=POLISH), is_paid("Y1", iban=IRISH, after="20d")),
    cheat("the referrer changes away from the account once the friend has it",
          joins("Zorro", on="Zorro/mac", at="home"), is_paid("Zorro", iban=FRENCH), is_paid("Zorro", paypal="zorro@posteo.de", after="2d"),
          brings("Zorro", "Z1", on="z/android", at="*telco3"), orders("Z1"), is_paid("Z1", iban=FRENCH)),
    cheat("two who trade: each orders through the other's new account",  # nothing to see
          joins("Ada", on="Ada/mac", at="home1"), joins("Bob", on="Bob/windows", at="home2"),
          brings("Ada", "Bobs other", on="Bob phone/android", at="*telco1"), brings("Bob", "Adas other", on="Ada phone/iphone", at="*telco2"),
          orders("Bobs other", 4500), orders("Adas other", 4700)),
)  # fmt: skip

# --- cheats: clicks that are not theirs -----------------------------------------------------------------------

HIJACKERS = (
    *(cheat(f"an advertisement for the shop's own name: {query}",
            joins(f"Bidder{n}", on=f"Bidder{n}/mac", at="home"),
            brings(f"Bidder{n}", f"Searcher{n}", on=f"s{n}/windows", at=f"home{n}", query=query, referer="https://www.google.com/"), orders(f"Searcher{n}", 7800, after="2h"))
      for n, query in enumerate(("gclid=Cj0KCQ", "msclkid=7f1e", "utm_source=google&utm_medium=cpc", "utm_medium=ppc&utm_campaign=brand", "gad_source=1&wbraid=Cl"))),
    cheat("four customers through one advertisement within an hour",
          joins("Auctioneer", on="Auctioneer/mac", at="home"),
          *(brings("Auctioneer", f"Found{n}", on=f"f{n}/{('iphone', 'windows')[n % 2]}", at=f"home{n}", after="12m", query=f"gclid=EAIa{n}") for n in range(4)), orders("Found0")),
    *(cheat(f"a browser extension puts the code in at the checkout: ordered {seconds} seconds after the click",
            joins(f"Extension{n}", on=f"X{n}/mac", at="home"),
            brings(f"Extension{n}", f"Shopper{n}", on=f"s{n}/windows", at=f"home{n}", takes=f"{seconds // 2}s"), orders(f"Shopper{n}", 11900, after=f"{seconds - seconds // 2}s"))
      for n, seconds in enumerate((25, 50, 80, 110))),
    cheat("a coupon site opens the link behind the page: three order within two minutes",
          joins("Couponer", on="Couponer/mac", at="home"),
          *(step for n in range(3) for step in (
              brings("Couponer", f"Saver{n}", on=f"s{n}/android", at=f"home{n}", takes="45s", referer="https://codes-for-all.example/"), orders(f"Saver{n}", 6500, after="40s")))),
    cheat("a coupon site whose visitors take their time",  # nothing to see
          joins("Patience", on="Patience/mac", at="home"),
          brings("Patience", "Slow", on="s/windows", at="home2", takes="6m", referer="https://codes-for-all.example/"), orders("Slow", 6500, after="30m")),
)  # fmt: skip

STORIES = (*HOUSEHOLDS, *OFFICES, *CROWDS, *ON_THEIR_WAY, *OWN_ACCOUNTS, *FARMS, *RINGS, *HIJACKERS)
