"""The program's own look: a colour under which everything can still be read, and a logo that is nothing but a picture."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image

from portal import images, terms
from portal.core.colour import READABLE, WHITE, contrast
from portal.web import look
from tests.web.tables import SEEN, Unchanged
from tests.web.test_hosts_and_sizes import in_parts


@settings(max_examples=40, deadline=None)
@given(some.integers(0, 0xFFFFFF))
def test_whatever_colour_is_chosen_words_can_be_read_on_it_and_in_it(number):
    found = look.colours(f"#{number:06x}")
    for half, theme in enumerate(("light", "dark")):
        for name in ("accent", "accent-hover"):
            assert contrast(found[name][half], WHITE) >= READABLE
        for ground in (*look.GROUNDS[theme], found["accent-soft"][half]):
            assert contrast(found["accent-ink"][half], ground) >= READABLE


def picture(kind, size=(900, 300)):
    written = io.BytesIO()
    Image.new("RGB", size, "#0a7d5a").save(written, kind)
    return written.getvalue()


def save(tab, accent="", file=b"", name="logo.png", **more):
    fields = {
        "accent": accent,
        "logo": (io.BytesIO(file), name),
        "csrf_token": tab.token(),
        "version": terms.in_force().version,
    } | more
    return tab.open("/admin/program/look", method="POST", data=fields, headers=tab.from_here(), follow=True)


def test_a_colour_and_a_logo_are_on_every_page_and_told_in_the_history(scene, tab, tab_of):
    olivia = tab_of(scene.olivia)
    assert "4.6:1, fine" in save(olivia, "#c02080").text or "fine" in save(olivia, "c02080").text
    page = save(olivia, "#ffd400", picture("JPEG"))
    assert "hard to read; buttons and links are #" in page.text
    home = tab.get("/")
    assert "/look/ffd400.css" in home.html and f"/look/{terms.in_force().logo}.png" in home.html
    with Image.open(io.BytesIO(tab.get(f"/look/{terms.in_force().logo}.png").body)) as kept:
        assert kept.format == "PNG" and kept.width <= 480 and kept.height <= 120
    sheet = tab.get("/look/ffd400.css")
    assert sheet.headers["Content-Type"].startswith("text/css") and "immutable" in sheet.headers["Cache-Control"]
    first = terms.in_force().logo
    assert "Saved. White words on it" not in save(olivia, "#ffd400", picture("PNG", (99, 40))).text, (
        "the logo alone is new"
    )
    assert "The logo is saved." in olivia.page.text
    history = olivia.get("/admin/program/history").html
    assert f"/look/{first}.png" in history and f"/look/{terms.in_force().logo}.png" in history
    save(olivia, "", without_logo="y")
    assert "/look/" not in tab.get("/").html


@pytest.mark.parametrize(
    "file",
    [b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", b"GIF89a", b"\x89PNG\r\n\x1a\nnothing", b"MZ" * 99,
     picture("BMP", (9, 9))],
    ids=["svg", "broken gif", "broken png", "program", "bmp"],
)  # fmt: skip
def test_what_is_no_picture_is_said_at_its_field_and_changes_nothing(scene, tab_of, file):
    olivia = tab_of(scene.olivia)
    with Unchanged(*SEEN):
        page = save(olivia, "#c02080", file)
        assert page.status == 422 and "This is no picture that we can read." in page.error("logo")
        assert page.kept("accent") == ["#c02080"]


def test_a_picture_of_more_points_than_a_screen_is_refused_before_it_is_drawn():
    with pytest.raises(images.ImageRefused, match="too large"):
        images.drawn(picture("PNG", (5000, 4000)), images.LOGO)


def test_a_picture_that_is_too_small_or_too_narrow_is_refused_with_its_size_and_one_at_the_limit_is_not(scene, tab_of):
    olivia = tab_of(scene.olivia)
    small, narrow = (
        "This picture is too small ({} by {} points).",
        "This picture is too long and narrow ({} by {} points).",
    )
    wrong = {
        (1, 1): small,
        (23, 24): small,
        (4000, 10): narrow,
        (1200, 100): narrow,
        (100, 1200): narrow,
        (193, 24): narrow,
    }
    with Unchanged(*SEEN):
        for size, said in wrong.items():
            for page, field in (
                (save(olivia, "", picture("PNG", size)), "logo"),
                (show(olivia, picture("PNG", size)), "image"),
            ):
                assert page.status == 422 and said.format(*size) in page.error(field), (size, field)
        assert "at least 100 points" in show(olivia, picture("PNG", (99, 100))).error("image")
    for size, kept in (((24, 24), (24, 24)), ((192, 24), (192, 24)), ((1600, 200), (480, 60))):
        made = images.drawn(picture("PNG", size), images.LOGO)
        assert (made.width, made.height) == kept
    assert images.drawn(picture("PNG", (800, 100)), images.PRODUCT).height == 100


def test_a_colour_that_is_none_is_said(scene, tab_of):
    for wrong in ("red", "#12345", "#gggggg", "4538cf;}", "url(x)", "#f", "##fff", "#fffffff"):
        page = save(tab_of(scene.olivia), wrong)
        assert page.status == 422 and "six digits or letters from a to f, such as #4538cf" in page.error("accent")
        assert page.kept("accent") == [wrong], "as it was typed"
    assert tab_of(scene.olivia).get("/look/4538cf%3B%7D.css").status == 404


def test_a_colour_is_taken_with_three_digits_too(scene, tab_of):
    for typed in (" #FD4 ", "fd4", "#ffdd44"):
        save(tab_of(scene.olivia), typed)
        assert terms.in_force().accent == "#ffdd44", typed
        save(tab_of(scene.olivia), "#")
        assert terms.in_force().accent == ""


def test_a_contrast_that_misses_the_limit_is_not_said_to_reach_it(scene, tab_of):
    olivia = tab_of(scene.olivia)
    assert 4.45 < contrast("#777777", WHITE) < READABLE < contrast("#767676", WHITE)
    looked = save(olivia, "#777777", only="preview")
    assert "White words on it: 4.4:1, hard to read" in looked.text
    assert "Saved. White words on it: 4.4:1, hard to read; buttons and links are #7" in save(olivia, "#777777").text
    assert "Saved. White words on it: 4.5:1, fine." in save(olivia, "#767676").text


def test_a_logo_that_is_too_large_is_told_how_large_it_may_be(scene, tab_of):
    olivia = tab_of(scene.olivia)
    too_much = in_parts({"csrf_token": olivia.token(), "accent": "x" * (4 * 1024 * 1024 + 1)})
    page = olivia.open("/admin/program/look", method="POST", headers=olivia.from_here(), **too_much)
    assert page.status == 413 and "at most 4 MB" in page.text


AGAIN = "Choose the logo again"


def test_a_logo_chosen_with_a_wrong_colour_or_in_an_old_form_is_asked_for_again(scene, tab_of):
    olivia = tab_of(scene.olivia)
    page = save(olivia, "red", picture("PNG"))
    assert page.status == 422 and AGAIN in page.form("/look$").element.text
    assert AGAIN not in save(olivia, "red").text, "where none was chosen"
    scene.publish(goal_days=31)
    page = save(olivia, "", picture("PNG"), version=1)
    assert page.status == 409 and AGAIN in page.form("/look$").element.text
    assert AGAIN not in save(olivia, "", picture("PNG")).text


def test_looking_first_keeps_nothing_and_says_that_a_logo_has_to_be_chosen_again(scene, tab_of):
    olivia = tab_of(scene.olivia)
    with Unchanged(*SEEN):
        page = save(olivia, "#ffd400", picture("PNG"), only="preview")
        assert page.status == 200 and "Choose it again to save it" in page.text and page.kept("accent") == ["#ffd400"]
        assert AGAIN in page.form("/look$").element.text, "beside the field"
        assert "White words on it: 1.4:1, hard to read; the nearest that is fine is #8c7500" in page.text


# --- the picture of the product -------------------------------------------------------------------------------


def show(tab, file=b"", text="A tin of coffee", name="tin.jpg", **more):
    fields = {"image": (io.BytesIO(file), name), "image_text": text, "csrf_token": tab.token()}
    fields |= {"version": terms.in_force().version} | more
    return tab.open("/admin/program/product", method="POST", data=fields, headers=tab.from_here(), follow=True)


def shown(page):
    """The picture on a page: where it lies and what is read out."""
    return [(one.get("src"), one.get("alt")) for one in page.tree.all("img") if "product-image" in one.get("class")]


def test_a_picture_of_the_product_is_on_the_friends_page_with_its_words_and_goes_again(scene, tab, tab_of):
    olivia, friends = tab_of(scene.olivia), f"/signup?ref={scene.code(scene.alice)}"
    assert shown(tab.get(friends)) == []
    assert "The picture is saved." in show(olivia, picture("JPEG", (3000, 2000)), " A tin of\ncoffee ").text
    now = terms.in_force()
    lies = f"/look/{now.product_image}.webp"
    assert shown(tab.get(friends)) == shown(olivia.get("/admin/program"))[:1] == [(lies, "A tin of coffee")]
    answer = tab.get(lies)
    assert answer.headers["Content-Type"] == "image/webp" and "immutable" in answer.headers["Cache-Control"]
    with Image.open(io.BytesIO(answer.body)) as kept:
        assert (kept.format, kept.width, kept.height) == ("WEBP", 960, 640)
    assert tab.get(lies.replace(".webp", ".png")).status == 404
    assert "The picture is saved." in show(olivia, text="Two cups").text and shown(tab.get(friends)) == [
        (lies, "Two cups")
    ]
    assert terms.in_force().program_name == now.program_name
    assert "The picture is taken away." in show(olivia, text="Two cups", without_image="y").text
    assert (terms.in_force().product_image, terms.in_force().product_image_text) == ("", "")
    assert shown(tab.get(friends)) == []
    history = olivia.get("/admin/program/history")
    assert "Picture of the product" in history.text and lies in history.html


def test_the_same_look_and_the_same_picture_once_more_make_no_version(scene, tab_of):
    olivia = tab_of(scene.olivia)
    save(olivia, "#c02080", picture("PNG"))
    show(olivia, picture("PNG"))
    with Unchanged(*SEEN):
        for page in (
            save(olivia, "#c02080"),
            save(olivia, "c02080", picture("PNG")),
            show(olivia),
            show(olivia, picture("PNG"), " A tin of coffee "),
        ):
            assert page.status == 200 and "Nothing was changed." in page.text and "saved" not in page.main.lower()


def test_of_a_photograph_nothing_is_kept_but_the_points_upright():
    photo, noted = Image.new("RGB", (400, 200), "#0a7d5a"), Image.Exif()
    noted[0x0112], noted[0x010E] = 6, "at home in Mill Lane 4"
    written = io.BytesIO()
    photo.save(written, "JPEG", exif=noted, icc_profile=b"a profile that says whose")
    assert b"Mill Lane" in written.getvalue()
    for use in (images.LOGO, images.PRODUCT):
        made = images.drawn(written.getvalue(), use)
        assert made.height > made.width, "it was held upright"
        assert b"Mill Lane" not in made.data and b"whose" not in made.data


def test_a_picture_without_words_or_that_is_none_is_said_at_its_field_and_changes_nothing(scene, tab_of):
    olivia, words = tab_of(scene.olivia), "Write what is on the picture"
    with Unchanged(*SEEN):
        page = show(olivia, picture("PNG"), text="  ")
        assert page.status == 422 and words in page.error("image_text")
        assert "Choose the picture again" in page.form("/product$").element.text
        page = show(olivia, b"<svg xmlns='http://www.w3.org/2000/svg'/>")
        assert (
            page.status == 422
            and "This is no picture" in page.error("image")
            and page.kept("image_text") == ["A tin of coffee"]
        )
        assert show(olivia, picture("PNG"), text="x" * 161).error("image_text")
        assert show(olivia, picture("PNG"), text="a\x00b").error("image_text")
        page = show(olivia, picture("PNG"), only="preview")
        assert page.status == 200 and "Choose it again to save it" in page.text
        page = show(olivia, text="Words alone")
        assert page.status == 422 and "Choose a picture." in page.error("image")
    scene.publish(goal_days=31)
    assert show(olivia, picture("PNG"), version=1).status == 409 and terms.in_force().product_image == ""
    assert tab_of(scene.rita).post("/admin/program/product", {"image_text": "x"}).status == 403
