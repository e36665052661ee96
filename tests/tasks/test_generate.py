"""sample: what a file says of itself is enough to draw it again, and the film ends in what was drawn."""

import dataclasses
import json
import sys

import numpy as np
import pytest
from PIL import Image

from reverie import cli, files, storage
from reverie.errors import ReverieError
from reverie.tasks.generate import generate
from reverie.tasks.parts.provenance import read_made
from reverie.training.settings import TrainSettings
from reverie.training.setup import prepare
from tests.tasks.exact import exact_model
from tests.toy import data


@pytest.fixture(scope="module")
def model():
    return exact_model()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """Seven samples in batches of four, with settings that are nobody's defaults, as files."""
    drawn = generate(
        model, 7, "low,high", steps=5, sampler="heun:churn=10", time_grid="karras:n_max=50", guidance=1.5, interval="0.1:9",
        temperature=0.8, schedule="cosine", seed=11, batch=4,
    )  # fmt: skip
    return drawn, drawn.save(tmp_path_factory.mktemp("saved"), {"model": "runs/x"})


def test_a_file_says_all_of_how_it_was_drawn(model, saved):
    made = read_made(saved[1][5])
    assert {k: made[k] for k in ("seed", "index", "label", "steps", "sampler", "grid", "guidance", "interval")} == {
        "seed": 11, "index": 5, "label": "high", "steps": 5, "sampler": "heun:churn=10", "grid": "karras:n_max=50",
        "guidance": 1.5, "interval": [0.1, 9.0],
    }  # fmt: skip
    assert (made["temperature"], made["schedule"], made["reverie"]) == (0.8, "cosine", "0.1.0")
    assert made["model_sha256"] == storage.fingerprint(model)


def test_the_fingerprint_is_the_hash_of_the_weights_file(model, tmp_path):
    model.save(tmp_path / "model")
    assert storage.fingerprint(model) == files.sha256(tmp_path / "model" / storage.WEIGHTS)


def test_like_draws_each_of_them_again_bit_for_bit(model, saved):
    for k in (0, 5, 6):
        again = generate(model, like=str(saved[1][k]))
        assert len(again) == 1
        assert np.array_equal(again.x[0], saved[0].x[k])
        assert again.labels == [saved[0].labels[k]]
        assert again.describe(0) == saved[0].describe(k)
        assert again.lines()[-1].endswith(f"sample {k} of seed 11, again")


def test_a_flag_beside_it_changes_what_it_names_and_nothing_else(model, saved):
    again = generate(model, like=str(saved[1][5]), steps=9)
    assert again.describe(0) == {**saved[0].describe(5), "steps": 9}
    assert again.lines()[-1].endswith("but steps 9 (it had 5)")
    more = generate(model, 3, like=str(saved[1][2]))
    assert more.first == 2
    np.testing.assert_allclose(more.x[0], saved[0].x[2], atol=1e-5)


def test_a_tiff_and_a_json_beside_any_file_serve_as_well(model, saved, tmp_path):
    codec = dataclasses.replace(model.codec, dtype="float32", low=-1.0, high=1.0)
    text = {"reverie": json.dumps(saved[0].describe(3))}
    deep = codec.write(np.zeros((8, 8, 1), np.float32), tmp_path / "deep.tif", text)
    (tmp_path / "other.json").write_text(text["reverie"])
    (tmp_path / "other.xyz").write_text("nothing")
    for path in (deep, tmp_path / "other.json", tmp_path / "other.xyz"):
        assert np.array_equal(generate(model, like=str(path)).x[0], saved[0].x[3])


def test_what_cannot_be_repeated_says_why(model, saved, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "bare.png")
    about = saved[0].describe(0)

    def like(**changes):
        (tmp_path / "x.json").write_text(json.dumps({**about, **changes}))
        return generate(model, like=str(tmp_path / "x.json"))

    for words, act in {
        "carries no settings": lambda: generate(model, like=str(tmp_path / "bare.png")),
        "There is no file": lambda: generate(model, like=str(tmp_path / "none.png")),
        "another model: its weights are 0123": lambda: like(model_sha256="0123" * 16),
        "made by Reverie 9.1": lambda: like(reverie="9.1"),
        "made by `reverie restyle`": lambda: like(verb="restyle"),
        "damaged": lambda: like(interval="wide"),
        "no label 'red'": lambda: like(label="red"),
    }.items():
        with pytest.raises(ReverieError, match=words):
            act()


def test_minus_1_picks_a_seed_and_says_it(model):
    one, two = (generate(model, 1, steps=1, seed=-1) for _ in range(2))
    assert one.seed != two.seed
    assert f"seed {one.seed}" in one.lines()[0]


def test_the_film_shows_every_step_and_ends_in_the_samples(model, tmp_path):
    drawn = generate(model, 4, steps=6, film=str(tmp_path / "way.gif"))
    with Image.open(tmp_path / "way.gif") as film:
        assert film.n_frames == 6
        film.seek(5)
        last = np.asarray(film.convert("RGB")).astype(int)
    sheet = np.asarray(drawn.sheet()).astype(int)[: 2 * 50 + 2, : 2 * 50 + 2]  # the film has no labels
    cell = last[2:50, 2:50] - np.repeat(np.repeat(drawn.codec.picture(drawn[0]), 6, 0), 6, 1)
    assert np.abs(cell).max() <= 3  # a GIF has 256 colours
    assert last.shape[1] == 2 * sheet.shape[1]
    for words, place in {"there already": tmp_path / "way.gif", "ends in .gif": tmp_path / "way.mp4"}.items():
        with pytest.raises(ReverieError, match=words):
            generate(model, 1, steps=1, film=str(place))


def test_the_sheet_goes_where_grid_says_and_replaces_nothing(tmp_path, monkeypatch, capsys):
    settings = TrainSettings.of({"size": "tiny", "batch": 8})
    prepare(data(), settings).model.save(tmp_path / "model")  # as it is before the first step
    words = ["reverie", "sample", str(tmp_path / "model"), "-n", "2", "--steps", "1", "--grid", str(tmp_path / "s.png")]
    for code in (0, 2):
        monkeypatch.setattr(sys, "argv", [*words, "--threads", "1"])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == code
    assert Image.open(tmp_path / "s.png").width > 100
    assert "is there already" in capsys.readouterr().err
