"""The page's files: what is sent, how, and what is never in them. How it behaves in a browser is in test_page_browser.py."""

import re
from types import SimpleNamespace

import pytest

from reverie.server.app import application
from reverie.server.routes.page import listed
from reverie.server.settings import Settings
from reverie.server.told import Plainly
from tests.server.asking import ask

FILES = listed()
TEXT = {name: file.content.decode() for name, file in FILES.items()}
SCRIPTS = [name for name in FILES if name.endswith(".js")]


def served_names(text):
    return re.findall(r'"/static/([\w.-]+)"', text)


def test_every_file_that_is_named_is_there_and_every_script_is_reached():
    reached, left = set(), [*served_names(TEXT["index.html"])]
    while left:
        name = left.pop()
        assert name in FILES, name
        if name not in reached:
            reached.add(name)
            left += re.findall(r'from "\./([\w.-]+)"', TEXT[name])
    assert {*SCRIPTS, "base.css", "controls.css", "views.css"} <= reached
    icons = set(re.findall(r'symbol id="(\w+)"', TEXT["icons.svg"]))
    asked = {name for script in SCRIPTS for name in re.findall(r'\bicon\("(\w+)"\)', TEXT[script])}
    assert asked <= icons


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_make_no_markup_of_data_and_ask_nobody_else(name):
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3\.org/2000/svg)"
    assert not re.search(forbidden, TEXT[name])
    assert TEXT[name].count("\n") <= 400


def test_markup_has_no_inline_script_or_style():
    """The content security policy would refuse them."""
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", TEXT["index.html"])
    drawn = TEXT["icons.svg"] + TEXT["logo.svg"]
    assert not re.search(r"<script|<style|\son\w+=|url\(|https?://(?!www\.w3\.org/2000/svg)", drawn)
    assert not re.search(r"url\(|@import", "".join(TEXT[name] for name in FILES if name.endswith(".css")))


def colours(theme):
    """Every colour of a theme, in linear light."""
    found = {}
    for name, *both in re.findall(r"--([\w-]+): light-dark\(#(\w{6}), #(\w{6})\)", TEXT["base.css"]):
        value = both[theme]
        channels = [int(value[k : k + 2], 16) / 255 for k in (0, 2, 4)]
        found[name] = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return found


def contrast(a, b):
    """Source: WCAG 2.2, relative luminance and contrast ratio."""
    low, high = sorted(sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), one, strict=True)) for one in (a, b))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast_is_that_of_wcag_aa(theme):
    found = colours(theme)
    for ink in ("ink", "muted", "accent", "warn"):
        for ground in ("paper", "card"):
            assert contrast(found[ink], found[ground]) >= 4.5, (ink, ground)
    for ink, ground in (("on-accent", "accent"), ("accent", "tint"), ("ink", "tint"), ("warn", "warn-tint")):
        assert contrast(found[ink], found[ground]) >= 4.5, (ink, ground)
    for edge in ("edge", "accent"):  # of boxes, and the ring around what has the focus
        assert contrast(found[edge], found["card"]) >= 3
        assert contrast(found[edge], found["paper"]) >= 3


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    made = application(Settings(runs=runs))
    made.state.service = SimpleNamespace(plainly=Plainly(runs, runs))  # all that the page's files ask of one
    return made


def test_the_page_is_sent_once_and_its_files_for_good(app):
    status, headers, body = ask(app, "GET", "/")
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "text/html; charset=utf-8", "no-cache")
    assert ask(app, "GET", "/", {"if-none-match": headers["etag"]})[0] == 304
    assert ask(app, "GET", "/", {"if-none-match": '"another"'})[0] == 200
    at = set(re.findall(r'"(/static/\w+/)[\w.-]+"', body.decode()))
    assert len(at) == 1
    for name, file in FILES.items():
        if name == "index.html":
            continue
        status, headers, body = ask(app, "GET", at.copy().pop() + name)
        assert (status, body) == (200, file.content)
        assert "immutable" in headers["cache-control"]
        kind = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}[name.rpartition(".")[2]]
        assert headers["content-type"].partition(";")[0] == kind


@pytest.mark.parametrize(
    "name",
    ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "..\\app.py", "/etc/passwd", "main.js\x00", "", "index.html", "."],
)
def test_stops_path_traversal(app, name):
    version = re.search(rb"/static/(\w+)/", ask(app, "GET", "/")[2])[1].decode()
    for place in (f"/static/{version}/{name}", f"/static/{name}", f"/static/another/{name}", "/static/another/main.js"):
        assert ask(app, "GET", place)[0] == 404
