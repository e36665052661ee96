"""The artefact: it comes back the same, and nothing in it is ever executed."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import reverie
from reverie import files, registry, storage
from reverie.errors import ReverieError
from reverie.samples import Settings
from reverie.training.settings import TrainSettings
from reverie.training.setup import prepare
from tests.toy import data, tiny

FAST = {"batch": 8, "steps": 3, "threads": 1, "size": "tiny"}


@pytest.fixture(scope="module")
def model():
    return reverie.train(data(), **FAST)


@pytest.fixture
def folder(model, tmp_path):
    return model.save(tmp_path / "model")


def test_a_model_comes_back_the_same(model, folder):
    again = reverie.load(folder)
    assert np.array_equal(again.sample(5, steps=4, seed=3).x, model.sample(5, steps=4, seed=3).x)
    assert again.classes == model.classes
    assert again.frequencies == pytest.approx(model.frequencies)
    assert again.card == model.card
    assert again.record == model.record
    assert again.defaults == model.defaults
    assert registry.config(again.codec) == registry.config(model.codec)
    assert torch.equal(again.denoiser.process.mean, model.denoiser.process.mean)


@pytest.mark.parametrize("schedule", registry.registered("schedules"))
@pytest.mark.parametrize("parameterisation", ["edm", "v", "velocity"])
def test_every_choice_survives_saving(schedule, parameterisation, tmp_path):
    options = {"schedule": schedule, "parameterisation": parameterisation, "batch": 8, "size": "tiny"}
    made = prepare(data(), TrainSettings.of(options)).model  # as it is before the first step
    torch.nn.init.normal_(made.denoiser.network.last[-1].weight, std=0.1)
    again = reverie.load(made.save(tmp_path / "m"))
    assert again.denoiser.process.schedule == made.denoiser.process.schedule
    assert again.denoiser.parameterisation == made.denoiser.parameterisation
    assert np.array_equal(again.sample(2, steps=3).x, made.sample(2, steps=3).x)


def test_a_person_s_own_network_must_be_given_again(tmp_path):
    made = reverie.train(data(), network=tiny(), steps=3, batch=8)
    folder = made.save(tmp_path / "own")
    with pytest.raises(ReverieError, match="network="):
        reverie.load(folder)
    assert np.array_equal(reverie.load(folder, network=tiny(seed=9)).sample(2, steps=3).x, made.sample(2, steps=3).x)


def test_saving_again_replaces_and_a_foreign_folder_is_refused(model, folder, tmp_path):
    model.save(folder)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"x")
    with pytest.raises(ReverieError, match="not a Reverie model"):
        model.save(tmp_path / "photos")
    (tmp_path / "note").write_text("x")
    with pytest.raises(ReverieError, match="not a Reverie model"):
        model.save(tmp_path / "note")


class Canary:
    """A pickle that leaves a file behind if anything opens it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("how", ["pickle", "torch", "torch-old", "joined"])
def test_a_pickle_under_any_name_is_refused_and_nothing_of_it_runs(folder, tmp_path, how):
    canary, place = tmp_path / "canary", folder / storage.WEIGHTS
    if how == "pickle":
        place.write_bytes(pickle.dumps(Canary(canary)))
    elif how == "joined":  # a zip archive that begins as something else still must not be opened
        place.write_bytes(b"\x80\x04" + place.read_bytes())
    else:
        torch.save({"network": Canary(canary)}, place, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(ReverieError, match="pickle"):
        reverie.load(folder)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda f: (f / "model.json").unlink(), "no model.json"),
        (lambda f: (f / "model.json").write_text("{"), "not valid JSON"),
        (lambda f: (f / "model.json").write_text("[]"), "not an object"),
        (lambda f: (f / "model.json").write_bytes(b"\xff\xfe\x00"), "not valid JSON"),
        (lambda f: (f / "weights.safetensors").unlink(), "missing"),
        (lambda f: (f / "weights.safetensors").write_bytes(b""), "not a safetensors file"),
        (
            lambda f: (f / "weights.safetensors").write_bytes(b"hello, world, this is no model"),
            "not a safetensors file",
        ),
        (lambda f: cut(f / "weights.safetensors"), "safetensors file"),
        (lambda f: edit(f, lambda a: a.pop("codec")), "do not describe one model"),
        (lambda f: edit(f, lambda a: a.update(format=99)), "Upgrade Reverie"),
        (lambda f: edit(f, lambda a: a.update(format="x")), "no format version"),
        (lambda f: edit(f, lambda a: a["process"]["schedule"].update(name="nosuch")), "no 'nosuch'"),
        (lambda f: edit(f, lambda a: a["process"]["schedule"].update(evil=1)), "no option evil"),
        (lambda f: edit(f, lambda a: a["network"]["config"].update(width=80)), "are not those of the network"),
        (lambda f: edit(f, lambda a: a["network"].update(name="os.system")), "no 'os.system'"),
        (lambda f: edit(f, lambda a: a["codec"].update(height=0)), "codec|image"),
        (lambda f: drop_tensor(f), "was changed or damaged"),
        (lambda f: flip(f / "weights.safetensors"), "was changed or damaged"),
        (lambda f: edit(f, lambda a: a.update(sampling=None)), "do not describe one model"),
        (lambda f: edit(f, lambda a: a.update(training=None)), "do not describe one model"),
    ],
)
def test_a_damaged_or_foreign_folder_is_one_clear_error(folder, damage, word):
    damage(folder)
    with pytest.raises(ReverieError, match=word):
        reverie.load(folder)


def flip(path):
    """One bit of the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def edit(folder, change):
    about = json.loads((folder / "model.json").read_text())
    change(about)
    (folder / "model.json").write_text(json.dumps(about))


def drop_tensor(folder):
    tensors = load_file(folder / "weights.safetensors")
    tensors.pop("process.mean")
    save_file(tensors, folder / "weights.safetensors")


def test_a_description_of_a_vast_network_costs_no_memory(folder):
    """A width of 10^6 would be terabytes: the shapes are compared before anything is built."""
    edit(folder, lambda a: a["network"]["config"].update(width=1_000_000, head_dim=1_000_000))
    with pytest.raises(ReverieError, match="are not those of the network"):
        reverie.load(folder)


def test_a_folder_that_is_not_there_names_its_neighbours(folder):
    with pytest.raises(ReverieError, match="Models beside it: model"):
        reverie.load(folder.parent / "modle")


def test_format_1_is_brought_up_to_date(model, folder):
    def to_format_1(about):
        about["format"] = 1
        label = about["conditions"]["label"]
        names, shares = label["classes"], label["frequencies"]
        about["conditions"] = {"label": {"kind": "label", "classes": 3, "names": names, "frequencies": shares}}
        about.pop("sampling")

    edit(folder, to_format_1)
    again = reverie.load(folder)
    assert again.classes == model.classes
    assert again.defaults == Settings()
    assert np.array_equal(again.sample(3, steps=3).x, model.sample(3, steps=3).x)


def test_format_3_is_brought_up_to_date(model, folder):
    def to_format_3(about):
        label = about.pop("conditions")["label"]
        about |= {"format": 3, "classes": label["classes"], "frequencies": label["frequencies"]}

    before = model.sample(7, steps=3, seed=2)
    edit(folder, to_format_3)
    again = reverie.load(folder)
    assert again.conditions.to_json() == model.conditions.to_json()
    assert again.sample(7, steps=3, seed=2).labels == before.labels
    assert np.array_equal(again.sample(7, steps=3, seed=2).x, before.x)
    edit(folder, lambda a: a.update(classes=[], frequencies=[]))
    with pytest.raises(ReverieError, match="the network is told"):
        reverie.load(folder)


def test_there_is_a_migration_from_every_older_format():
    assert set(storage.MIGRATIONS) == set(range(1, storage.FORMAT))


def test_the_model_card_is_what_model_hubs_read(folder):
    text = (folder / "README.md").read_text()
    assert text.startswith("---\nlibrary_name: reverie\n")
    assert files.sha256(folder / "weights.safetensors") in text


def test_writing_to_a_full_disk_leaves_what_was_there(folder, monkeypatch):
    before = reverie.load(folder).record

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    path = folder / "model.json"
    with pytest.raises(ReverieError, match="No space left on device"):
        files.write_whole(path, full)
    assert reverie.load(folder).record == before
    assert not list(folder.glob(".*.tmp"))


def test_a_folder_is_renamed_into_place_whole(tmp_path):
    def fill(place):
        (place / "a").write_text("1")
        raise OSError(28, "No space left on device")

    with pytest.raises(ReverieError, match="No space"):
        files.write_folder(tmp_path / "new", fill)
    assert list(tmp_path.iterdir()) == []
    files.write_folder(tmp_path / "new", lambda p: (p / "a").write_text("1"))
    assert (tmp_path / "new" / "a").read_text() == "1"
    (tmp_path / ".old.x.tmp").mkdir()
    assert files.sweep(tmp_path) == 1
    shutil.rmtree(tmp_path / "new")
