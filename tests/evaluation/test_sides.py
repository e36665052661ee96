"""What a model is compared with: items that it was trained on are counted, said and, where they are all, refused."""

import numpy as np
import pytest

from reverie import files
from reverie.data.source import read
from reverie.data.split import split
from reverie.errors import ReverieError
from reverie.evaluation.measure import measure
from reverie.evaluation.sides import both_sides
from tests.evaluation.exact import Pixels, exact_model, real


def saved(path, items):
    np.save(path, np.asarray(items)[..., 0])
    return path


@pytest.fixture
def run(tmp_path):
    """(folder with a space in its name, model, its data's file, split)."""
    place = saved(tmp_path / "all.npy", real(60).items)
    cut = split(read(place))
    folder = tmp_path / "my run"
    files.write_json(folder / "run.json", {"data": str(place), "settings": {}})
    return folder, exact_model(card={"split": cut.hash}), place, cut


def test_items_that_were_trained_on_are_counted_and_said_first(run, tmp_path):
    folder, model, place, cut = run
    whole = read(place).items
    mixed = np.concatenate([real(20, seed=5).items, whole[cut.train[:7]], whole[cut.held_out[:2]]])
    train, held = both_sides(folder, model, str(saved(tmp_path / "mixed.npy", mixed)))
    assert (len(train), len(held)) == (len(cut.train), 29)
    assert "CAUTION" in held.notes[0]
    assert "trained on 7 of the 29 items of mixed.npy" in held.notes[0]
    assert f"reverie evaluate '{folder}'" in held.notes[0]
    judged, _ = measure(model, train, held, n=20, steps=2, features=Pixels(), likelihood_n=0)
    assert judged.notes[0] == held.notes[0]


def test_unseen_items_have_no_such_note_and_all_seen_are_refused(run, tmp_path):
    folder, model, place, cut = run
    assert both_sides(folder, model)[1].notes == []
    assert both_sides(folder, model, str(saved(tmp_path / "new.npy", real(20, seed=5).items)))[1].notes == []
    seen = saved(tmp_path / "seen.npy", read(place).items[cut.train[:9]])
    with pytest.raises(ReverieError, match=r"trained on every one of the 9 items of seen\.npy.*reverie evaluate '"):
        both_sides(folder, model, str(seen))


def test_items_that_are_changed_to_fit_are_counted_and_those_that_cannot_be_are_refused(run, tmp_path):
    folder, model, _, _ = run
    larger = np.random.default_rng(0).random((6, 4, 4, 1)).astype(np.float32)
    _, held = both_sides(folder, model, str(saved(tmp_path / "larger.npy", larger)))
    assert held.notes == ["larger.npy: 6 items of 4x4 grey float32 are made 2x2 grey float32, as the model's are"]
    np.save(tmp_path / "colour.npy", np.random.default_rng(0).random((6, 8, 8, 3)).astype(np.float32))
    with pytest.raises(
        ReverieError, match=r"colour\.npy does not fit .*my run, whose items are 2x2 grey float32: .*3 channels"
    ):
        both_sides(folder, model, str(tmp_path / "colour.npy"))


def test_data_that_moved_is_split_as_it_was_and_other_data_in_its_place_is_said(run, tmp_path):
    folder, model, place, cut = run
    moved = place.rename(tmp_path / "moved.npy")
    train, held = both_sides(folder, model, str(moved))
    assert (len(train), len(held), held.notes) == (len(cut.train), len(cut.held_out), [])
    _, held = both_sides(folder, model, str(saved(tmp_path / "other.npy", real(60, seed=7).items)))
    assert "CAUTION: other.npy is not the data" in held.notes[0]


@pytest.mark.parametrize("kept", ["run", "model"])
def test_data_that_was_held_in_python_is_split_as_it_was(tmp_path, kept):
    """Also by the model's own record, where the folder of the run is not at hand."""
    data, asked = real(60), {"held_out": "9"}
    cut = split(data, 9)
    model = exact_model(card={"split": cut.hash}, record={"settings": asked})
    if kept == "run":
        files.write_json(tmp_path / "run.json", {"data": None, "settings": asked})
    train, held = both_sides(tmp_path, model, data)
    assert (train.names, held.names) == ([f"item {k}" for k in cut.train], [f"item {k}" for k in cut.held_out])
    assert held.notes == []
