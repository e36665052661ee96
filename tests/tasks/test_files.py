"""What every file of every verb says of where it is from, in the same words."""

import json

import pytest
from PIL import Image

import reverie
from reverie import files, storage
from reverie.tasks.augment import augment
from reverie.tasks.complete import complete
from reverie.tasks.decode import decode
from reverie.tasks.denoise import denoise
from reverie.tasks.detect import detect
from reverie.tasks.encode import encode
from reverie.tasks.generate import generate
from reverie.tasks.interpolate import interpolate
from reverie.tasks.parts.provenance import read_made
from reverie.tasks.restyle import restyle
from reverie.tasks.upscale import upscale
from tests.toy import bars

ITEMS, LABELS = bars(3)[0], ["0", "1", "2"]
DRAWN = {
    "sample": lambda m: generate(m, 2, label="1", steps=2, seed=5),
    "restyle": lambda m: restyle(m, ITEMS, label="1", steps=2, seed=5),
    "denoise": lambda m: denoise(m, ITEMS, sigma="0.3", label="1", samples=2, steps=2, seed=5),
    "complete": lambda m: complete(m, ITEMS, mask="right:0.5", method="known", label="1", samples=2, steps=2, seed=5),
    "upscale": lambda m: upscale(m, ITEMS[:, ::2, ::2], 2, label="1", samples=2, steps=2, seed=5),
    "augment": lambda m: augment(m, ITEMS, labels=LABELS, times=2, steps=2, seed=5),
}


@pytest.mark.parametrize("verb", DRAWN)
def test_a_drawn_file_says_verb_model_version_seed_index_and_label(verb, toy, tmp_path):
    paths = DRAWN[verb](toy).save(tmp_path, {"model": "here"})
    said = [read_made(path) for path in paths if path.suffix == ".png"]
    same = {"verb": verb, "model": "here", "model_sha256": storage.fingerprint(toy), "reverie": reverie.__version__}
    assert all(same.items() <= one.items() and one["seed"] == 5 for one in said)
    drawn = [one for one in said if one.get("draw") != "mean"]
    assert len({one["index"] for one in drawn}) == len(drawn)
    assert all(one["label"] in LABELS for one in drawn)


def test_what_is_not_drawn_says_verb_model_and_version(toy, tmp_path):
    latents, way = encode(toy, ITEMS, steps=2), interpolate(toy, "seed:1", "seed:2", 3, label="0,1", steps=2)
    found = detect(toy, ITEMS, 0.5, normal=bars(8)[0], draws=1)
    places = {
        "encode": latents.save(tmp_path / "z")[1],
        "decode": decode(toy, latents, label="2").save(tmp_path / "again")[0],
        "interpolate": way.save(tmp_path / "way")[1],
        "detect": found.save(tmp_path / "found", {})[1],
    }
    for verb, path in places.items():
        said = files.read_json(path) if path.suffix == ".json" else json.loads(_text(path))
        assert (said["verb"], said["reverie"]) == (verb, reverie.__version__)
        assert said["model_sha256"] == storage.fingerprint(toy)
    assert json.loads(_text(places["decode"]))["label"] == "2"
    assert json.loads(_text(places["interpolate"]))["label"] == "1"  # of the second frame
    assert "label" not in files.read_json(places["encode"])


def _text(path):
    with Image.open(path) as picture:
        return picture.text["reverie"]
