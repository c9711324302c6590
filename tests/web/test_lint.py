"""The lint finds what it is there for: each fault, planted in a page that is fine."""

import pytest

from tests.web import lint

FINE = """<!doctype html><html lang="en"><head><title>Words · Friends</title><link rel="stylesheet" href="/a.css"></head>
<body><main><h1 id="top">Words</h1>
<form method="post" action="/here"><input type="hidden" name="csrf_token" value="token">
<label for="a">A</label><input id="a" name="a" aria-describedby="a-error"><p id="a-error">Wrong.</p>
<label><input type="checkbox" name="b"> B</label><button>Send</button></form>
<form method="get" action="/search"><input aria-label="Search" name="q"><button>Go</button></form>
<a href="/"><img src="/a.svg" alt="Home"></a></main><script type="module" src="/a.js"></script></body></html>"""

PLANTED = {
    "no title": ("Words · Friends", " · "), "two titles": ("</title>", "</title><title>x</title>"),
    "no h1": ("<h1 id=\"top\">Words</h1>", ""), "two h1": ("</h1>", "</h1><h1>x</h1>"), "no main": ("main>", "div>"),
    "no language": (' lang="en"', ""), "an id twice": ('id="top"', 'id="a"'), "a label for nothing": ('for="a"', 'for="x"'),
    "a field without a label": ('<label for="a">A</label>', ""), "described by nothing": ('id="a-error"', 'id="x"'),
    "a button without words": ("<button>Send", "<button>"), "a link without words": (' alt="Home"', ' alt=""'),
    "an image without alt": (' alt="Home"', ""), "a post without a token": ('name="csrf_token"', 'name="x"'),
    "an empty token": ('value="token"', 'value=""'), "a token in the address": ('method="post"', 'method="get"'),
    "a password that is cut": ('<input id="a"', '<input id="a" type="password" maxlength="9"'),
    "a text that is cut": ('<input id="a" name="a" aria-describedby="a-error">', '<textarea id="a" maxlength="9"></textarea>'),
    "a form to nowhere": ('action="/here"', 'action=""'), "a script inline": (' src="/a.js">', ">let a"),
    "a style inline": ("</head>", "<style>a{}</style></head>"), "a style attribute": ("<h1 ", '<h1 style="a" '),
    "a handler": ("<h1 ", '<h1 onclick="a()" '), "a script in a link": ('href="/"', 'href=" JavaScript:a()"'),
    "a sheet from elsewhere": ('href="/a.css"', 'href="https://cdn.example/a.css"'),
    "a script from elsewhere": ('src="/a.js"', 'src="//cdn.example/a.js"'),
}  # fmt: skip


def test_a_page_that_is_fine_is_let_through():
    assert list(lint.faults(FINE)) == []


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault):
    old, new = PLANTED[fault]
    assert old in FINE
    assert list(lint.faults(FINE.replace(old, new)))
