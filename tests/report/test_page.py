import dataclasses
import importlib.resources
import re
import shlex
import shutil

import numpy as np
import pytest

from reverie import registry
from reverie.codecs.image import ImageCodec
from reverie.codecs.sheets import on_paper
from reverie.core.denoiser import NetworkDenoiser
from reverie.core.processes import Gaussian
from reverie.evaluation.evaluate import evaluate
from reverie.metrics.features import RandomConv
from reverie.model import Model
from reverie.report import facts, history, words
from reverie.report.panels.image import PER_CLASS, sheet
from reverie.report.tiles import EXACT
from reverie.training.settings import TrainSettings
from tests.report.conftest import HOSTILE
from tests.report.reading import Page, pixels
from tests.toy import tiny


def shown(value):
    return words.number(value)


def test_well_formed_and_no_id_twice(page):
    parsed = Page(page)
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(ids) == len(set(ids)) > 6
    links = [a["href"] for a in parsed.all("a")]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)


def test_nothing_is_asked_for_from_outside(page):
    parsed = Page(page)
    for _, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert re.match(r"data:image/|#|$", attributes.get(name) or "")
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert "@import" not in page
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in parsed.tags}


def test_every_picture_and_chart_has_words_for_it(page):
    parsed = Page(page)
    assert all(a["alt"].strip() for a in parsed.all("img"))
    charts = parsed.all("svg")
    assert len(charts) == 3
    assert all(a["role"] == "img" and len(a["aria-label"]) > 20 for a in charts)


def test_every_figure_is_the_evaluations_own_and_never_alone(page, finished):
    text, evaluation = Page(page).text, finished.evaluation
    assert len(evaluation.scores) >= 5
    for s in evaluation.scores:
        row = f"{shown(s.value)} [{shown(s.low)}, {shown(s.high)}] {s.n} {shown(s.floor)} ± {s.floor_sd:.2g} "
        row += f"{shown(s.gaussian)} {shown(s.noisy_copies)} {s.better} {s.features} {s.features_hash}"
        assert row in text
    head = text[: text.index("As they came")]
    for name in ("frechet", "recall"):
        s = evaluation.score(name)
        for figure in (
            shown(s.value),
            f"[{shown(s.low)}, {shown(s.high)}]",
            f"n = {s.n}",
            f"{s.features} {s.features_hash}",
        ):
            assert figure in head
        assert f"floor (real vs real) {shown(s.floor)}" in head
    distance = evaluation.score("frechet")
    assert f"{shown(distance.value / distance.floor)} times the floor" in head
    assert f"{evaluation.labels.samples.value:.1%}" in head
    assert f"{evaluation.labels.held_out.value:.1%}" in head
    assert evaluation.audit.verdict in head
    assert " ".join(evaluation.audit.line().split()) in text
    assert all(" ".join(note.split()) in text for note in evaluation.notes)


def test_a_hostile_class_name_is_text_and_nothing_else(page, finished):
    assert HOSTILE in finished.model.classes
    parsed = Page(page)
    assert "<script" not in page
    assert [tag for tag, _ in parsed.tags].count("style") == 1
    assert HOSTILE in parsed.text
    assert any(HOSTILE in a["alt"] for a in parsed.all("img"))


def test_the_sheet_shows_the_samples_themselves_under_their_own_class(finished):
    groups, left_out = sheet(finished.samples)
    assert [g.name for g in groups] == sorted(finished.model.classes)
    assert "60 were drawn" in left_out
    for group in groups:
        places = [k for k, label in enumerate(finished.samples.labels) if label == group.name][:PER_CLASS]
        for k, tile in zip(places, group.tiles, strict=True):
            np.testing.assert_array_equal(pixels(tile.src), finished.samples.codec.picture(finished.samples[k]))


def test_a_model_folder_alone_says_what_is_missing_and_why(render):
    parsed = Page(render(run=None))
    assert parsed.text.count(history.ALONE) == 2
    assert len(parsed.all("svg")) == 1
    assert "what the model's card calls 'array' reverie train DATA -o RUN --steps 24" in parsed.text


def test_a_log_that_names_a_file_outside_the_run_or_none_is_told_not_followed(finished, tmp_path):
    run, whole = tmp_path / "run", history.read(finished.run).sheets
    assert whole
    shutil.copytree(finished.run, run)
    log = run / "metrics.jsonl"
    first = next(line for line in log.read_text().splitlines() if '"samples"' in line)
    name = re.search(r'"raw": "([^"]*)"', first)[1]
    log.write_text(log.read_text().replace(name, "../outside.png"))
    assert "../outside.png lies outside" in history.read(run).missing[0]
    log.write_text(log.read_text().replace("../outside.png", name))
    (run / name).write_bytes(b"not a picture")
    assert f"{name} cannot be shown" in history.read(run).missing[0]
    assert len(history.read(run).sheets) == len(whole) - 1
    log.unlink()
    assert "has no measurements yet" in history.read(run).learning.reading


def test_scores_that_could_not_be_taken_are_said_to_be_missing(finished, render):
    few = evaluate(
        *(finished.model.encode(x.items)[:30] for x in (finished.train, finished.held)), finished.samples.x[:5]
    )
    text = Page(
        render(evaluation=few, samples=dataclasses.replace(finished.samples, labels=finished.samples.labels))
    ).text
    assert "This was not measured." in text
    assert "draw more samples" in text
    assert "Label agreement was not measured" in text


def test_the_line_to_reproduce_gives_back_the_settings(finished):
    _, train, evaluate_again = facts.reproduce(finished.model, None, "reverie evaluate RUN")
    said = shlex.split(train)
    assert said[:2] == ["reverie", "train"]
    options = dict(zip(said[5::2], said[6::2], strict=True)) | {said[3]: said[4]}
    assert options == {
        "-o": "RUN",
        "--steps": "24",
        "--seed": "3",
        "--batch": "16",
        "--held-out": "60",
        "--weight-decay": "0.02",
    }
    read = {k.removeprefix("--").replace("-", "_"): v for k, v in options.items() if k != "-o"}
    numbers = {"seed": int, "batch": int, "weight_decay": float}
    again = TrainSettings.of({k: numbers.get(k, str)(v) for k, v in read.items()})
    assert again.to_json() == finished.model.record["settings"]
    assert evaluate_again == "reverie evaluate RUN"


def test_a_prior_that_does_not_fit_is_warned_of(finished, render):
    schedule = registry.build("schedules", "geometric-beta")
    old = finished.model.denoiser
    process = Gaussian(schedule, old.process.mean, old.process.variance)
    parts = {f.name: getattr(finished.model, f.name) for f in dataclasses.fields(finished.model)}
    denoiser = NetworkDenoiser(old.network, process, old.parameterisation, old.sigma_data)
    model = Model(**{**parts, "denoiser": denoiser})
    nats, too_much = facts.mismatch(model, finished.samples)
    start = finished.samples.settings.build_grid().times(schedule, finished.samples.settings.steps)[0]
    ratio = float(schedule.noise(start)) ** -2
    assert nats == pytest.approx(0.5 * np.log1p(ratio * old.process.variance.double().numpy()).mean(), rel=1e-9)
    assert too_much
    assert f"Prior mismatch: {nats:.2g} nats per dimension. This is above 0.01" in Page(render(model=model)).text
    assert not facts.mismatch(finished.model, finished.samples)[1]


@pytest.mark.parametrize(
    "codec",
    [
        ImageCodec(6, 10, "grey", 1, "uint16", 0.0, 65535.0),
        ImageCodec(10, 6, "rgb", 3),
        ImageCodec(8, 8, "rgba", 4),
        ImageCodec(8, 8, "bands", 5, "float32", -2.0, 3.0),
        ImageCodec(80, 72, "rgb", 3),
    ],
    ids=lambda c: f"{c.height}x{c.width} {c.colour} {c.dtype}",
)
def test_any_depth_shape_and_channels_without_classes(codec, finished, render):
    """An untrained model of other pictures: the page shows their values, scaled as the codec says."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (40, *codec.field.shape)).astype(np.float32)
    items = [codec.decode(one) for one in x]
    old = finished.model.denoiser
    denoiser = NetworkDenoiser(
        tiny(channels=codec.channels), Gaussian(old.process.schedule), old.parameterisation, old.sigma_data
    )
    model = Model(codec, denoiser)
    samples = model.sample(12, steps=3)
    found = evaluate(x[:24], x[24:], np.clip(samples.x, -1, 1), features=RandomConv(), resamples=10)
    html = render(
        model=model, samples=samples, evaluation=found, train_items=items[:24], held_items=items[24:], run=None
    )
    parsed = Page(html)
    tiles = [a["src"] for a in parsed.all("img") if a["alt"].startswith("Sample") and a["alt"][7:].isdecimal()]
    assert len(tiles) == 12
    for src, item in zip(tiles, samples, strict=True):
        expected = on_paper(codec.picture(item)).astype(float)
        found_pixels = pixels(src).astype(float)
        if max(codec.height, codec.width) > EXACT:  # compressed: true on average over 8 x 8 pixels
            found_pixels, expected = (v.reshape(10, 8, 9, 8, 3).mean((1, 3, 4)) for v in (found_pixels, expected))
        assert np.abs(found_pixels - expected).max() <= (0 if max(codec.height, codec.width) <= EXACT else 12)
    assert "not recorded" in parsed.text


def test_the_page_is_the_same_when_made_again(page, render):
    assert render() == page


def test_the_template_is_inside_the_package():
    assert importlib.resources.files("reverie.report").joinpath("template.html").is_file()
