"""Data made fit: every injected fault is met by its rule, nothing is lost without a row, nothing of the input changes."""

import csv
import json
import shutil
import zipfile

import numpy as np
import pytest
import tifffile
from PIL import Image

from reverie.data import prepared
from reverie.data.prepare import Rules, prepare
from reverie.data.source import read
from reverie.data.split import split
from reverie.errors import ReverieError
from tests.data.faults import album, contents, encoded, lay, photos, tiff, tree

ALL = Rules(drop_duplicates=True, drop_near=True, outliers="drop")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    good, faults = album()
    beside = {"notes.txt": b"x", "cats/t.csv": b"a,b\n1,2\n", "cats/.DS_Store": b"x"}
    return lay(tmp_path_factory.mktemp("in") / "album", good | {n: f[0] for n, f in faults.items()} | beside)


def rows(clean):
    with (clean / "prepare.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_every_fault_is_met_by_its_rule_and_nothing_else_is_touched(faulty, tmp_path):
    good, faults = album()
    before = tree(faulty)
    done = prepare(faulty, tmp_path / "clean", ALL)
    assert tree(faulty) == before
    told = rows(tmp_path / "clean")
    assert {n: (r["rule"], r["action"]) for n, r in told.items() if n in good | faults} == {
        **dict.fromkeys(good, ("", "kept")),
        **{n: fault[1:] for n, fault in faults.items()},
    }
    assert {n: r["action"] for n, r in told.items() if n not in good | faults} == {
        "notes.txt": "left out",
        "cats/t.csv": "copied",
        "(hidden)": "left out",
    }
    assert [r.file for r in done.rows] == list(told)
    assert ("", "kept", 24) in done.counts()
    assert sum(n for _, _, n in done.counts()) == len(told) == 36
    was = contents(faulty)
    kept, aside = contents(tmp_path / "clean" / "items"), contents(tmp_path / "clean" / "quarantine")
    assert kept == {n: was[n] for n in [*good, "cats/t.csv"]}
    assert aside == {n: was[n] for n, f in faults.items() if f[1] == "broken"}
    assert "cats/p01.png" in told["cats/z-copy.png"]["why"]
    assert "is of class dogs, not cats" in told["dogs/z-copy-of-a-cat.png"]["why"]
    assert "like cats/p09.png: correlation 0.99" in told["cats/z-again.jpg"]["why"]
    assert told["cats/z-cut-off.png"]["why"] == "truncated"


def test_what_no_rule_was_asked_to_drop_is_kept_and_the_row_still_says_what_it_is(faulty, tmp_path):
    prepare(faulty, tmp_path / "clean", Rules())
    told = rows(tmp_path / "clean")
    _, faults = album()
    for name, (_, rule, _) in faults.items():
        assert told[name]["rule"] == rule
        assert told[name]["action"] == ("quarantined" if rule == "broken" else "kept")
    prepare(faulty, tmp_path / "exact", Rules(drop_duplicates=True))
    told = rows(tmp_path / "exact")
    assert told["cats/z-copy.png"]["action"] == "dropped"
    assert told["cats/z-again.jpg"]["action"] == "kept"


def test_doing_it_again_gives_the_same_bytes_and_replacing_must_be_asked_for(faulty, tmp_path):
    clean = tmp_path / "clean"
    prepare(faulty, clean, ALL)
    first = contents(clean)
    with pytest.raises(ReverieError, match="--overwrite"):
        prepare(faulty, clean, ALL)
    (clean / "items" / "stale.png").write_bytes(b"x")
    prepare(faulty, clean, ALL, overwrite=True)
    assert contents(clean) == first
    prepare(faulty, tmp_path / "other", ALL)
    assert contents(tmp_path / "other") == first
    assert not list(tmp_path.glob(".*"))


def test_nothing_is_ever_written_over_or_into_the_input(faulty, tmp_path):
    precious = lay(tmp_path / "precious", {"a.txt": b"x"})
    with pytest.raises(ReverieError, match="not written by reverie prepare"):
        prepare(faulty, precious, ALL, overwrite=True)
    assert contents(precious).keys() == {"a.txt"}
    for out in (faulty, faulty / "clean", faulty.parent):
        with pytest.raises(ReverieError, match="lie in one another"):
            prepare(faulty, out, ALL, overwrite=True)
    (tmp_path / "link").symlink_to(faulty, target_is_directory=True)
    with pytest.raises(ReverieError, match="lie in one another"):
        prepare(tmp_path / "link", faulty / "clean", ALL)


def test_a_failure_halfway_leaves_what_was_there(faulty, tmp_path, monkeypatch):
    from reverie.data import prepare as module

    clean = tmp_path / "clean"
    prepare(faulty, clean, Rules())
    before = tree(clean)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_described", full)
    with pytest.raises(ReverieError, match="No space left"):
        prepare(faulty, clean, ALL, overwrite=True)
    assert tree(clean) == before
    assert not list(tmp_path.glob(".*"))


def test_a_zip_is_prepared_like_the_folder(faulty, tmp_path):
    with zipfile.ZipFile(tmp_path / "album.zip", "w") as out:
        for path in sorted(faulty.rglob("*")):
            if path.is_file():
                out.write(path, path.relative_to(faulty))
    prepare(faulty, tmp_path / "a", ALL)
    prepare(tmp_path / "album.zip", tmp_path / "b", ALL)
    a, b = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert {n for n in a.keys() | b.keys() if a.get(n) != b.get(n)} == {"prepared.json"}  # which names the source


def test_a_zip_that_climbs_out_is_refused(tmp_path):
    pictures = [encoded(p) for p in photos(3)]
    for name, climbs in (
        ("up", "cats/../../escaped.png"),
        ("root", f"{tmp_path}/escaped.png"),
        ("drive", "C:/escaped.png"),
    ):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as out:
            for place, content in zip((climbs, "cats/a.png", "cats/b.png"), pictures, strict=True):
                out.writestr(place, content)
        with pytest.raises(ReverieError, match=r"outside the folder|leads out of where"):
            prepare(tmp_path / f"{name}.zip", tmp_path / name, Rules())
    assert not list(tmp_path.rglob("escaped.png")) + list(tmp_path.parent.glob("escaped.png"))


@pytest.mark.parametrize("where", [5, 2000])
def test_a_damaged_member_of_a_zip_is_told_and_the_others_kept(tmp_path, where):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for k, picture in enumerate(photos(6)):
            out.writestr(f"{k}.bmp", encoded(picture, "BMP"))
        start = out.getinfo("3.bmp").header_offset + 30 + len("3.bmp") + where
    content = bytearray(path.read_bytes())
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)
    prepare(path, tmp_path / "clean", Rules())
    told = rows(tmp_path / "clean")
    assert {n: r["rule"] for n, r in told.items()} == {f"{k}.bmp": "broken" if k == 3 else "" for k in range(6)}
    assert told["3.bmp"]["action"] == "left out"
    assert "could not be copied either" in told["3.bmp"]["why"]
    assert len(read(tmp_path / "clean")) == 5


@pytest.fixture
def scans(tmp_path):
    """Float TIFFs from 0 to 1, one with a single huge value."""
    values = np.random.default_rng(0).uniform(0, 1, (20, 24, 24)).astype(np.float32)
    values[5, 3, 4] = 1e6
    return lay(tmp_path / "scans", {f"s{k:02d}.tif": tiff(v) for k, v in enumerate(values)}), values


def test_a_huge_value_is_clipped_to_what_the_others_hold_and_no_other_value_moves(scans, tmp_path):
    folder, values = scans
    prepare(folder, tmp_path / "clean", Rules(outliers="clip"))
    told = rows(tmp_path / "clean")
    assert {n: r["action"] for n, r in told.items() if r["action"] != "kept"} == {"s05.tif": "clipped"}
    assert "1 of 576 values clipped" in told["s05.tif"]["why"]
    expected = values[5].copy()
    expected[3, 4] = np.delete(values, 5, axis=0).max()
    mended = tifffile.imread(tmp_path / "clean" / "items" / "s05.tif")
    assert mended.dtype == np.float32
    lowest = np.delete(values, 5, axis=0).min()
    np.testing.assert_array_equal(mended, np.maximum(expected, lowest))
    others = contents(tmp_path / "clean" / "items")
    del others["s05.tif"]
    assert others == {n: h for n, h in contents(folder).items() if n != "s05.tif"}
    first = contents(tmp_path / "clean")
    prepare(folder, tmp_path / "clean", Rules(outliers="clip"), overwrite=True)
    assert contents(tmp_path / "clean") == first
    prepare(tmp_path / "clean", tmp_path / "again", Rules(outliers="clip"))
    assert {r["action"] for r in rows(tmp_path / "again").values()} == {"kept"}


def test_clipping_keeps_what_it_cannot_mend_and_knows_each_files_own_depth(faulty, tmp_path):
    prepare(faulty, tmp_path / "album", Rules(outliers="clip"))
    assert rows(tmp_path / "album")["cats/z-blank.png"]["action"] == "kept"
    rng = np.random.default_rng(0)
    deep = rng.integers(100 * 257, 130 * 257, (12, 24, 24), dtype=np.uint16)
    shallow = rng.integers(110, 120, (24, 24), dtype=np.uint8)
    shallow[2, 3] = 255
    files = {f"{k:02d}.png": encoded(p) for k, p in enumerate(deep)} | {"z.png": encoded(shallow)}
    prepare(lay(tmp_path / "in", files), tmp_path / "clean", Rules(outliers="clip"))
    assert rows(tmp_path / "clean")["z.png"]["action"] == "clipped"
    with Image.open(tmp_path / "clean" / "items" / "z.png") as mended:
        np.testing.assert_array_equal(np.asarray(mended), np.minimum(shallow, deep.max() // 257))


def test_outliers_are_dropped_or_kept_as_asked(scans, tmp_path):
    for way, action in (("drop", "dropped"), ("keep", "kept")):
        prepare(scans[0], tmp_path / way, Rules(outliers=way))
        assert rows(tmp_path / way)["s05.tif"]["action"] == action
        assert (tmp_path / way / "items" / "s05.tif").exists() == (way == "keep")
    with pytest.raises(ReverieError, match="--outliers mend: give keep, clip or drop"):
        prepare(scans[0], tmp_path / "x", Rules(outliers="mend"))


def test_a_clipped_jpeg_is_written_under_a_name_that_holds_it_and_keeps_its_group(tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(100, 130, (12, 32, 32, 3), dtype=np.uint8)
    pictures[4, 8:24, 8:24] = 255
    files = {f"anna/{k}.jpg": encoded(p, "JPEG", quality=95) for k, p in enumerate(pictures)}
    files |= {"ben/4.jpg": encoded(rng.integers(100, 130, (32, 32, 3), dtype=np.uint8), "JPEG")}
    files |= {"anna/4.png": encoded(rng.integers(100, 130, (32, 32, 3), dtype=np.uint8))}
    clean = tmp_path / "clean"
    prepare(lay(tmp_path / "in", files), clean, Rules(outliers="clip", split_by="folder", label_from="none"))
    assert rows(clean)["anna/4.jpg"]["action"] == "clipped"
    assert "written as anna/4.jpg.png" in rows(clean)["anna/4.jpg"]["why"]  # anna/4.png is there already
    data = read(clean, label_from="none")
    assert dict(zip(data.names, data.groups, strict=True)) == {
        **{f"anna/{k}.jpg": "anna" for k in range(12) if k != 4},
        "anna/4.jpg.png": "anna",
        "anna/4.png": "anna",
        "ben/4.jpg": "ben",
    }


@pytest.fixture
def people(tmp_path):
    """Forty people, each with one picture among the cats and one among the dogs, and a table that says who is who."""
    rng = np.random.default_rng(0)
    files, table = {}, ["file,person"]
    for k in range(80):
        person = f"person{k % 40:02d}"
        name = f"{'cats' if k < 40 else 'dogs'}/{person}/{k}_of_{person}.png"
        files[name] = encoded(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        table.append(f"{name},{person}")
    return lay(tmp_path / "people", files | {"who.csv": "\n".join(table).encode()})


@pytest.mark.parametrize("way", ["folder", "csv:person", r"regex:of_(person\d+)"])
def test_nobody_is_on_both_sides(people, tmp_path, way):
    data = read(people)
    person = {n: n.split("/")[1] for n in data.names}
    cut = split(data, 0.3)
    assert {person[data.names[k]] for k in cut.train} & {
        person[data.names[k]] for k in cut.held_out
    }  # else no proof below
    prepare(people, tmp_path / "clean", Rules(split_by=way))
    clean = read(tmp_path / "clean")
    assert clean.classes == ["cats", "dogs"]
    assert len(read(tmp_path / "clean", label_from="csv:person").classes) == 40
    for share, seed in ((0.3, 0), (0.1, 0), (0.5, 1), (20, 0)):
        cut = split(clean, share, seed)
        sides = [{person[clean.names[k]] for k in side} for side in (cut.train, cut.held_out)]
        assert not sides[0] & sides[1]
        assert len(sides[0] | sides[1]) == 40
        assert len(cut.train) + len(cut.held_out) == 80


def test_training_keeps_groups_whole(people, tmp_path):
    from reverie.training import setup
    from reverie.training.settings import TrainSettings

    prepare(people, tmp_path / "clean", Rules(split_by="csv:person"))
    data = read(tmp_path / "clean")
    cut = split(data, 0.3)
    job = setup.prepare(data, TrainSettings.of({"size": "tiny", "batch": 4, "held_out": "30%"}))
    assert job.split.hash == cut.hash != split(read(people), 0.3).hash
    assert len(cut.held_out) == 2 * len({data.groups[k] for k in cut.held_out})


@pytest.mark.slow
def test_a_run_on_a_prepared_folder_is_split_by_its_groups(people, tmp_path):
    import reverie

    prepare(people, tmp_path / "clean", Rules(split_by="csv:person"))
    model = reverie.train(tmp_path / "clean", steps=1, size="tiny", batch=4, held_out="30%")
    cut = split(read(tmp_path / "clean"), 0.3)
    assert (model.card["split"], model.card["held_out"]) == (cut.hash, len(cut.held_out))


def test_a_zip_of_a_prepared_folder_is_read_like_it_and_prepared_again_keeps_its_groups(people, tmp_path):
    clean = tmp_path / "clean"
    prepare(people, clean, Rules(split_by="csv:person"))
    shutil.make_archive(str(tmp_path / "clean"), "zip", tmp_path, "clean")
    packed, folder = read(tmp_path / "clean.zip"), read(clean)
    assert (packed.names, packed.groups, packed.classes) == (folder.names, folder.groups, folder.classes)
    np.testing.assert_array_equal(packed.items, folder.items)
    prepare(clean, tmp_path / "again", Rules(drop_near=True))
    assert read(tmp_path / "again").groups == folder.groups
    assert any("no group is on both sides" in note for note in folder.notes)


def test_what_is_put_into_a_prepared_folder_afterwards_is_never_passed_over_in_silence(people, tmp_path):
    clean = tmp_path / "clean"
    prepare(people, clean, Rules(split_by="csv:person"))
    (clean / "more.png").write_bytes(encoded(photos(1)[0]))
    assert any("1 files beside items/ not read (more.png)" in note for note in read(clean).notes)
    (clean / "items" / "cats" / "new.png").write_bytes(encoded(photos(1)[0]))
    with pytest.raises(ReverieError, match=r"cats/new\.png.*prepare it again"):
        read(clean, max_broken=1.0)


def test_a_file_of_that_name_among_other_data_means_nothing(faulty, tmp_path):
    mixed = lay(tmp_path / "mixed", {"a/1.png": encoded(photos(1)[0]), "b/2.png": encoded(photos(2)[1])})
    prepare(faulty, mixed / "b" / "clean", Rules())
    whole = read(mixed, label_from="none", max_broken=1.0).names
    assert {"a/1.png", "b/2.png", "b/clean/items/cats/p01.png"} <= set(whole)
    (tmp_path / "own").mkdir()
    lay(tmp_path / "own", {"prepared.json": b'{"mine": 1}', "1.png": encoded(photos(1)[0])})
    assert read(tmp_path / "own").names == ["1.png"]
    for about, words in (
        ({"reverie_prepared": 99}, "newer"),
        ({"reverie_prepared": 1, "groups": [1]}, "not names by file"),
    ):
        (tmp_path / "own" / prepared.ABOUT).write_text(json.dumps(about))
        with pytest.raises(ReverieError, match=words):
            read(tmp_path / "own")


@pytest.mark.parametrize(
    "way, words",
    [
        ("colour", "Groups cannot be had from 'colour'. Give folder, csv:COLUMN or regex:PATTERN"),
        ("regex:(", "is no regular expression"),
        ("regex:cats", r"40 of 80 images do not match 'cats'.*dogs/person00"),
        ("regex:x*", "80 of 80 images do not match"),
        ("csv:persona", "Did you mean person"),
    ],
)
def test_groups_that_cannot_be_had_are_refused_by_name(people, tmp_path, way, words):
    with pytest.raises(ReverieError, match=words):
        prepare(people, tmp_path / "clean", Rules(split_by=way))
    assert not (tmp_path / "clean").exists()


def test_files_in_no_folder_have_no_folder_to_be_grouped_by(tmp_path):
    flat = lay(tmp_path / "flat", {f"{k}.png": encoded(p) for k, p in enumerate(photos(3))})
    with pytest.raises(ReverieError, match="3 of 3 images lie in no folder"):
        prepare(flat, tmp_path / "clean", Rules(split_by="folder"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_rows_of_an_array_are_files_at_full_depth_in_class_folders(tmp_path, dtype):
    rng = np.random.default_rng(0)
    x = (rng.random((12, 8, 8)) * (1 if dtype == "float32" else np.iinfo(dtype).max)).astype(dtype)
    x[7] = x[2]
    np.savez(tmp_path / "a.npz", x=x, y=np.array(["cat", "dog"])[np.arange(12) % 2])
    done = prepare(tmp_path / "a.npz", tmp_path / "clean", Rules(drop_duplicates=True))
    assert ("duplicate", "dropped", 1) in done.counts()
    suffix = ".tif" if dtype == "float32" else ".png"
    assert (
        rows(tmp_path / "clean")[f"dog/07{suffix}"]["why"]
        == f"equals cat/02{suffix}, but is of class dog, not cat: which is right?"
    )
    kept = read(tmp_path / "clean")
    assert kept.classes == ["cat", "dog"]
    assert len(kept) == 11
    for item, name, label in zip(kept.items, kept.names, kept.labels, strict=True):
        k = int(name.split("/")[-1].split(".")[0])
        assert np.array_equal(item[..., 0], x[k])
        assert label == k % 2


def test_rows_with_nan_are_quarantined_as_they_were_and_the_others_keep_their_numbers(tmp_path):
    x = np.random.default_rng(0).random((12, 8, 8)).astype(np.float32)
    x[7, 0, :2] = np.nan, np.inf
    np.savez(tmp_path / "a.npz", x=x, y=np.array(["cat", "dog"])[np.arange(12) % 2])
    done = prepare(tmp_path / "a.npz", tmp_path / "clean", Rules(outliers="clip"))
    assert ("broken", "quarantined", 1) in done.counts()
    row = rows(tmp_path / "clean")["dog/07.tif"]
    assert (row["rule"], row["why"]) == ("broken", "2 of 64 values are NaN or infinite")
    with Image.open(tmp_path / "clean" / "quarantine" / "dog" / "07.tif") as kept:
        np.testing.assert_array_equal(np.asarray(kept), x[7])
    left = read(tmp_path / "clean")
    assert sorted(int(name.split("/")[-1].split(".")[0]) for name in left.names) == [*range(7), *range(8, 12)]


def test_where_every_item_is_an_outlier_none_is_the_measure_of_the_others(tmp_path):
    sign = np.random.default_rng(0).choice([-1.0, 1.0], (9, 8, 8))
    np.save(tmp_path / "vast.npy", 1e308 * sign)  # the contrast of each is infinite
    done = prepare(tmp_path / "vast.npy", tmp_path / "clean", Rules(outliers="clip"))
    assert done.trainable
    np.testing.assert_array_equal(read(tmp_path / "clean").items[..., 0], 1e308 * sign)


def test_what_is_no_folder_zip_array_or_packaged_set_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    for name, words in (("a.txt", "no folder, zip, .npy or .npz"), ("b", "There is no")):
        with pytest.raises(ReverieError, match=words):
            prepare(tmp_path / name, tmp_path / "clean", Rules())
    np.savez(tmp_path / "odd.npz", x=np.zeros((3, 8, 8), np.uint8), y=np.array(["a/b", "c", "c"]))
    with pytest.raises(ReverieError, match="cannot be a folder's name"):
        prepare(tmp_path / "odd.npz", tmp_path / "clean", Rules())


def test_one_group_alone_is_said_at_once(tmp_path):
    flat = lay(tmp_path / "in", {f"anna/{k}.png": encoded(p) for k, p in enumerate(photos(4))})
    done = prepare(flat, tmp_path / "clean", Rules(split_by="folder"))
    assert "all one group" in done.cut
    assert not done.trainable
    with pytest.raises(ReverieError, match="all one group"):
        split(read(tmp_path / "clean"))


def test_the_command_does_it_and_says_so(faulty, tmp_path, monkeypatch, capsys):
    import sys

    from reverie import cli

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["reverie", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr()

    words = ["prepare", faulty, "-o", tmp_path / "clean", "--drop-near", "--outliers", "drop", "--split-by", "folder"]
    code, said = run(*words)
    assert code == 0, said.err
    assert "quarantined" in said.out
    assert "prepare.csv" in said.out
    assert len(rows(tmp_path / "clean")) == 36
    code, said = run(*words)
    assert code == 2
    assert "--overwrite" in said.err
    assert run(*words, "--overwrite")[0] == 0
