"""Comparing: what is one is not told apart, what is worse is found, and chance is called real no more often than stated."""

import dataclasses
import json
import re

import numpy as np
import pytest

from reverie import api, files
from reverie.codecs.image import ImageCodec
from reverie.errors import ReverieError
from reverie.evaluation.compare import Contender, Difference, compare, differences, holm
from reverie.metrics.frechet import Frechet
from reverie.metrics.kernel import Kernel
from reverie.metrics.neighbours import Coverage, Density, Precision, Recall
from reverie.report.compare_page import build
from reverie.samples import Settings
from tests.evaluation.exact import Pixels, exact_model, real
from tests.report.reading import Page
from tests.report.test_browser import CHROMIUM, PROBE, browse

ALL = [Frechet(), Kernel(), Precision(), Recall(), Density(), Coverage()]
HOSTILE = "<script>b</script>"


def contender(name, **changes):
    return Contender(name, exact_model(**changes), real(300, 1), real(120, 2))


@pytest.fixture(scope="module")
def same():
    return compare([contender("a"), contender("b")], n=100, features=Pixels())


@pytest.fixture(scope="module")
def worse():
    """The same network; one walks back in three steps of DDIM."""
    few = Settings(sampler="ddim", grid="karras", steps=3)
    return compare([contender(HOSTILE, defaults=few), contender("good")], n=100, features=Pixels())


@pytest.fixture(scope="module")
def page(worse):
    return build(worse, "reverie compare a b")


@pytest.mark.slow
def test_a_model_beside_itself_differs_in_nothing(same):
    assert len(same.differences) >= 6
    assert all(d.value == 0 and (d.low, d.high) == (0, 0) and d.p == 1 and not d.real for d in same.differences)
    assert same.evaluations[0] == same.evaluations[1]
    assert all("no difference that n = 100 shows" in line for line in same.lines() if not line.startswith("Note"))


def test_a_worse_way_of_sampling_is_found_and_named_as_the_worse(worse):
    real_ones = {d.metric: d for d in worse.differences if d.real}
    assert {"frechet", "recall", "coverage"} <= set(real_ones)  # three steps of DDIM leave too little variance
    assert all((real_ones[m].a, real_ones[m].b) == ("good", HOSTILE) for m in ("frechet", "recall", "coverage"))
    frechet = real_ones["frechet"]
    scores = [e.score("frechet").value for e in worse.evaluations]
    assert frechet.value == pytest.approx(scores[1] - scores[0], rel=1e-9)
    assert frechet.high < 0
    assert f"good is better than {HOSTILE} in Frechet distance: {frechet.value:+.3g} [" in " ".join(worse.lines())
    assert json.loads(json.dumps(worse.to_json(), allow_nan=False))["differences"][0]["metric"]


def chance(trials, metrics, other, n=80, d=6, halves=60):
    """Share of trials in which two sets of one law are said to differ in anything; held-out items are of another law or not."""
    false = 0
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        held, a, b = rng.standard_normal((n, d)), *(other * rng.standard_normal((n, d)) for _ in range(2))
        false += any(x.real for x in holm(differences(["a", "b"], held, [a, b], metrics, seed, halves)))
    return false / trials


def test_two_draws_of_one_law_are_told_apart_no_more_often_than_stated():
    """More than 5 of 40 have a chance of 1.4 % where the rate is 5 %."""
    assert chance(40, [Frechet(), Precision()], 0.8, halves=40) <= 5 / 40


@pytest.mark.slow
def test_so_it_is_with_every_metric_and_200_pairs():
    """More than 17 of 200 have a chance of 1.2 % where the rate is 5 %."""
    assert chance(200, ALL, 0.8, halves=40) <= 17 / 200


def test_holm_stops_at_the_first_that_is_not_rejected():
    """The worked example: 0.005 <= 0.05 / 4, 0.01 <= 0.05 / 3, but 0.03 > 0.05 / 2."""
    ps = [0.01, 0.04, 0.03, 0.005]
    found = holm([Difference("m", "M", "a", "b", 1.0, 0.5, 1.5, p) for p in ps])
    assert [d.real for d in found] == [True, False, False, True]
    assert "(by itself it would be, but so many were looked at)" in found[2].line(50)


def test_what_cannot_be_compared_is_refused_and_said_why():
    one = contender("a")
    with pytest.raises(ReverieError, match="two runs or more"):
        compare([one])
    with pytest.raises(ReverieError, match="a is named twice"):
        compare([one, one])
    with pytest.raises(ReverieError, match="do not hold out the same items: what one is tested on, the other may have"):
        compare([one, Contender("b", one.model, one.train, real(120, 3))])
    wide = dataclasses.replace(one.model, codec=ImageCodec(2, 3, "grey", 1, "float32", -1.0, 1.0))
    with pytest.raises(ReverieError, match=r"has items of 1x2x2 \(.*\) and b has items of 1x2x3"):
        compare([one, Contender("b", wide, one.train, one.held_out)])
    ranged = dataclasses.replace(one.model, codec=ImageCodec(2, 2, "grey", 1, "float32", -2.0, 2.0))
    with pytest.raises(ReverieError, match="scales values as"):
        compare([one, Contender("b", ranged, one.train, one.held_out)])


@pytest.mark.slow
def test_a_model_that_learned_from_the_items_is_told():
    seen = Contender("b", exact_model(), real(120, 2), real(120, 2))
    found = compare([contender("a"), seen], n=100, features=Pixels())
    assert "b learned from 100 of the 100 items it is measured on, which favours it." in found.notes
    assert any(note.startswith("b: ") and "Scores reward copies" in note for note in found.notes) is (
        found.evaluations[1].audit.copying
    )


@pytest.mark.slow
def test_from_folders_to_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr(api, "load", lambda *_, **__: exact_model())
    monkeypatch.setattr(api, "both_sides", lambda *_: (real(300, 1), real(120, 2)))
    runs = [exact_model().save(tmp_path / place / "run") for place in "ab"]
    found = api.compare(runs, output=tmp_path / "page.html", n=60)
    assert found.names == [str(run) for run in runs]
    text = Page((tmp_path / "page.html").read_text()).text
    assert f"reverie compare {runs[0]} {runs[1]} -n 60 --seed 0 -o" in text
    assert not [p for run in runs for p in run.iterdir() if p.name == files.LOCK]


def test_the_page_says_all_of_it_and_asks_for_nothing(page, worse):
    parsed = Page(page)
    assert all(" ".join(d.line(100).split()) in parsed.text for d in worse.differences)
    for name, evaluation in zip(worse.names, worse.evaluations, strict=True):
        assert name in parsed.text
        for s in evaluation.scores:
            assert f"[{s.low:.3g}, {s.high:.3g}]" in parsed.text
    assert "≠ sampler ddim heun" in parsed.text
    assert "≠ steps 3 18" in parsed.text
    assert "≠ guidance" not in parsed.text
    assert "<script" not in page
    assert not {"script", "link", "iframe"} & {tag for tag, _ in parsed.tags}
    assert all(re.match(r"data:image/|#", a.get(k) or "#") for _, a in parsed.tags for k in ("src", "href"))
    pictures = parsed.all("img")
    assert len(pictures) == 2 * 24
    assert all(a["alt"] for a in pictures)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install -y chromium")
@pytest.mark.parametrize("width", [1280, 500])
def test_it_renders_without_a_word_in_the_console(page, tmp_path, width):
    dom, console = browse(tmp_path, page.replace("</body>", PROBE), "--dump-dom", width=width)
    assert console == []
    inner, scroll, images, bad = map(int, re.search(r"<title>([\d ]+)</title>", dom)[1].split())
    assert scroll <= inner <= width
    assert (images, bad) == (2 * 24, 0)
