"""Reading: what is on disk arrives whole, in order and labelled, and every fault injected is named."""

import io
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reverie.data import memory
from reverie.data.source import read
from reverie.errors import ReverieError

RNG = np.random.default_rng(0)
EMOJI = Path(__file__).parents[3] / "shared" / "data" / "emoji-64px.zip"
SPOKEN = EMOJI.with_name("spoken-digits-8khz.zip")


def png(seed=0, size=(6, 8, 3)):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def jpeg():
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(file, "JPEG")
    return file.getvalue()


def lay(root, files):
    """Write {path: bytes} below a folder."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return path


PETS = {"cats/b.png": png(1), "cats/a.png": png(2), "dogs/old/c.PNG": png(3), "dogs/d": png(4)}
CLUTTER = {"notes.txt": b"x", "cats/.DS_Store": b"x", "__MACOSX/cats/._a.png": b"x", "cats/t.csv": b"a,b\n"}


@pytest.mark.parametrize("make", ["folder", "zip", "zip of a folder", "windows zip"])
def test_a_folder_and_a_zip_of_it_are_read_alike(tmp_path, make):
    files = PETS | CLUTTER
    if make == "folder":
        path = lay(tmp_path / "pets", files)
    elif make == "windows zip":
        path = zipped(tmp_path / "pets.zip", {n.replace("/", "\\"): c for n, c in files.items()})
    else:
        top = "pets/" if make == "zip of a folder" else ""
        path = zipped(tmp_path / "pets.zip", {top + n: c for n, c in files.items()})
    seen = []
    data = read(path, on_progress=lambda done, total: seen.append((done, total)))
    names = ["cats/a.png", "cats/b.png", "dogs/d", "dogs/old/c.PNG"]
    assert [n.removeprefix("pets/") for n in data.names] == names
    assert data.classes == ["cats", "dogs"]
    assert data.labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(data.items, [pixels(PETS[n]) for n in names])
    assert "skipped 2 files not read as images (1 .csv, 1 .txt)" in data.notes
    assert any("hidden" in note for note in data.notes)
    assert seen[-1] == (4, 4)
    assert data.bytes == sum(len(PETS[n]) for n in names)


def test_labels_are_folders_only_where_there_are_two(tmp_path):
    assert read(lay(tmp_path / "a", {"x.png": png(), "y.png": png(1)})).labels is None
    assert read(lay(tmp_path / "b", {"only/x.png": png(), "only/y.png": png(1)})).labels is None
    assert read(lay(tmp_path / "c", PETS), label_from="none").labels is None
    with pytest.raises(ReverieError, match=r"1 of 5 images lie beside the class folders.*stray\.png"):
        read(lay(tmp_path / "d", PETS | {"stray.png": png()}))


ROWS = "id,file,kind\r\n7,cats/a.png,small\r\n8,b.png,big\n9,./dogs\\old\\c.PNG,\n3,d,small\n4,gone.png,big\n"


def test_labels_from_a_table(tmp_path):
    data = read(zipped(tmp_path / "pets.zip", PETS | {"t.csv": b"\xef\xbb\xbf" + ROWS.encode()}), label_from="csv:kind")
    assert [data.classes[k] for k in data.labels] == ["small", "big", "small", "(none)"]
    assert data.notes == ["1 of 4 images have an empty label: made the class (none)"]
    semicolons = ROWS.replace(",", ";").encode()
    again = read(lay(tmp_path / "pets", PETS | {"t.csv": semicolons}), label_from="csv:kind")
    assert again.labels.tolist() == data.labels.tolist()


@pytest.mark.parametrize(
    "tables, column, words",
    [
        ({}, "kind", "holds no .csv"),
        (
            {"t.csv": ROWS},
            "kinds",
            r"no column 'kinds' in t\.csv\. The columns are: id, file, kind\. Did you mean kind",
        ),
        ({"t.csv": "id,kind\n1,2\n"}, "kind", "No column of t.csv names any of the 4 images"),
        ({"t.csv": "file,kind\na.png,x\n"}, "kind", r"3 of 4 images have no row in t\.csv \(cats/b\.png, dogs/d"),
        ({"t.csv": ROWS + "9,a.png,big\n"}, "kind", "row 7, column 'kind': cats/a.png is 'big', but 'small' above"),
        ({"t.csv": ROWS + "9,a.png\n"}, "kind", "row 7: 2 fields, but the header has 3"),
        ({"t.csv": ROWS, "u.csv": ROWS}, "kind", r"is in t\.csv, u\.csv: which"),
        ({"t.csv": ""}, "kind", "t.csv is empty"),
        ({"t.csv": "file,kind\nGröße,1".encode("latin-1")}, "kind", "t.csv cannot be read as a table"),
    ],
)
def test_tables_that_do_not_label_every_image_are_refused(tmp_path, tables, column, words):
    content = {n: t.encode() if isinstance(t, str) else t for n, t in tables.items()}
    with pytest.raises(ReverieError, match=words):
        read(lay(tmp_path / "pets", PETS | content), label_from=f"csv:{column}")


BROKEN = {"a.jpg": jpeg()[:500], "b.png": b"only text", "c.jpg": b"", "e.png": png()[:-40]}


def test_broken_images_are_named_and_bearable_only_up_to_a_share(tmp_path):
    good = {f"good{k:03}.png": png(k, (40, 40, 3)) for k in range(20)}
    path = lay(tmp_path / "photos", good | BROKEN)
    said = "4 of 24 images cannot be read (a.jpg: truncated; b.png: not an image; c.jpg: 0 bytes; e.png: truncated). "
    for option, remedy in ((None, "."), ("--max-broken", ", or allow it with --max-broken 16.7%.")):
        with pytest.raises(ReverieError) as caught:
            read(path, option=option)
        assert str(caught.value) == f"{said}Remove them{remedy}"
    for allowed in (0.167, 4, 4.0, 1.0):
        data = read(path, max_broken=allowed)
        assert [b.name for b in data.broken] == list(BROKEN)
        assert data.names == list(good)
        np.testing.assert_array_equal(data.items, [pixels(c) for c in good.values()])


def test_a_gap_left_by_a_broken_image_is_closed(tmp_path):
    files = {"0/a.png": png(1), "0/b.png": png(2)[:-40], "1/c.png": png(3), "1/d.png": png(4)}
    data = read(lay(tmp_path / "p", files), max_broken=1)
    assert [data.classes[k] for k in data.labels] == ["0", "1", "1"]
    np.testing.assert_array_equal(data.items, [pixels(files[n]) for n in ("0/a.png", "1/c.png", "1/d.png")])


def test_mixed_pictures_share_one_shape_and_the_notes_say_how(tmp_path):
    files = {"a.png": png(1, (90, 120, 3)), "b.png": png(2, (60, 80)), "c.png": png(3, (30, 40, 4))}
    data = read(lay(tmp_path / "p", files))
    assert data.items.shape == (3, 48, 64, 4)
    assert data.found == {"90x120 rgb uint8": 1, "60x80 grey uint8": 1, "30x40 rgba uint8": 1}
    assert any("3 images of 3 sizes, resized to 48x64" in note and "all made rgba" in note for note in data.notes)
    assert read(tmp_path / "p", resolution=(10, 12)).items.shape == (3, 10, 12, 4)


def test_arrays_come_with_their_labels(tmp_path):
    images, labels = RNG.integers(0, 256, (6, 8, 9, 3), dtype=np.uint8), np.array([[3], [1], [3], [1], [1], [3]])
    np.savez(tmp_path / "a.npz", images=images, labels=labels, more=labels)
    data = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(data.items, images)
    assert [data.classes[k] for k in data.labels] == ["3", "1", "3", "1", "1", "3"]
    assert data.notes == ["arrays not read: more"]
    assert read(tmp_path / "a.npz", label_from="none").labels is None
    np.save(tmp_path / "b.npy", images[..., 0])
    np.testing.assert_array_equal(read(tmp_path / "b.npy").items, images[..., :1])


def saved(path, array, **options):
    np.save(path, array, **options)
    return path


def test_arrays_that_cannot_be_read_are_refused(tmp_path):
    nan = np.zeros((3, 8, 8), np.float32)
    nan[1, 2, 3] = np.nan
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "text.npy").write_bytes(b"text")
    (tmp_path / "cut.npz").write_bytes(b"PK\3\4 and no more")
    np.savez(tmp_path / "strange.npz", p=nan)
    np.savez(tmp_path / "count.npz", x=np.zeros((3, 8, 8)), y=[1, 2])
    np.savez(tmp_path / "objects.npz", x=np.array([None, 1], object))
    with (tmp_path / "lies.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 1 << 14, 1 << 14)}
        )
    faults = {
        saved(tmp_path / "nan.npy", nan): "item 1 holds NaN or infinite",
        saved(tmp_path / "objects.npy", np.array([1, "a"], object), allow_pickle=True): "pickled Python objects",
        tmp_path / "pickle.npy": "pickled Python objects",
        tmp_path / "text.npy": "pickled Python objects|cannot be read as a NumPy array",
        tmp_path / "objects.npz": "objects.npz, array x, holds pickled",
        tmp_path / "cut.npz": "cannot be read as .npz",
        tmp_path / "lies.npy": "lies.npy cannot be read as a NumPy array",
        tmp_path / "strange.npz": "holds the arrays p; images must be called x, images, data or arr_0",
        tmp_path / "count.npz": "2 labels for 3 items",
    }
    for path, words in faults.items():
        with pytest.raises(ReverieError, match=words):
            read(path)
    with pytest.raises(ReverieError, match="brings its own labels"):
        read("digits", label_from="csv:kind")


def test_an_object_that_would_run_code_never_does(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    saved(tmp_path / "trap.npy", np.array([Trap()], object), allow_pickle=True)
    with pytest.raises(ReverieError):
        read(tmp_path / "trap.npy")
    assert not (tmp_path / "ran").exists()


def test_what_is_not_there_or_holds_nothing_is_told(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "table.xyz").write_bytes(b"x")
    faults = {
        tmp_path / "fotos": "no such file or folder.*Did you mean photos",
        Path("digitz"): "Did you mean digits",
        tmp_path / "nowhere-near.csv": r"\(digits\)\. Check the path",
        tmp_path / "photos": "photos is empty",
        tmp_path / "table.xyz": "no folder, zip, .npz, .npy, image or table",
        lay(tmp_path / "texts", {"a.txt": b"x", "b.doc": b"y"}): r"Nothing in .*texts .*1 \.txt, 1 \.doc files",
        lay(
            tmp_path / "mixed", {"b.csv": b"x,y\n1,2\n", "d.csv": b"x,y\n1,2\n", "c.doc": b"y"}
        ): r"images\. Of its tables name one, such as .*mixed/b\.csv",
        lay(tmp_path / "bad", {"a.png": b"x"}): r"Nothing in .*bad .*1 broken \(a\.png: not an image\)",
        zipped(tmp_path / "empty.zip", {}): "is empty",
    }
    (tmp_path / "no.zip").write_bytes(b"PK but no zip")
    faults[tmp_path / "no.zip"] = "cannot be read as a zip"
    for path, words in faults.items():
        with pytest.raises(ReverieError, match=words):
            read(path)
    with pytest.raises(ReverieError, match="Labels cannot be had from 'csv:'"):
        read(tmp_path, label_from="csv:")


def test_one_image_is_one_item(tmp_path):
    data = read(lay(tmp_path, {"a.png": png()}) / "a.png")
    np.testing.assert_array_equal(data.items, [pixels(png())])
    assert data.labels is None


def test_zips_that_would_explode_or_are_locked_are_refused(tmp_path):
    bomb = zipped(tmp_path / "bomb.zip", {"a.bmp": bytes(80 * 2**20)})
    assert bomb.stat().st_size < 100_000
    with pytest.raises(ReverieError, match=r"a\.bmp unpacks from .* to 83,886,080 bytes.*bomb"):
        read(bomb)
    locked = bytearray(zipped(tmp_path / "locked.zip", {"a.png": png()}).read_bytes())
    locked[locked.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    with pytest.raises(ReverieError, match=r"encrypted \(a\.png"):
        read(tmp_path / "locked.zip")


def test_a_damaged_member_of_a_zip_is_one_broken_image(tmp_path):
    path = zipped(tmp_path / "p.zip", {"a.png": png(1), "b.png": png(2)})
    raw = bytearray(path.read_bytes())
    raw[120] ^= 255  # inside a.png: its checksum no longer fits
    path.write_bytes(raw)
    data = read(path, max_broken=1)
    assert [b.name for b in data.broken] == ["a.png"]
    np.testing.assert_array_equal(data.items, [pixels(png(2))])


def test_what_would_not_fit_in_memory_is_refused_before_decoding(tmp_path, monkeypatch):
    path = lay(tmp_path / "p", {f"{k}.png": png(k, (60, 60, 3)) for k in range(10)})
    np.save(tmp_path / "a.npy", np.zeros((10, 60, 60, 3), np.uint8))
    need = 10 * 60 * 60 * 3
    monkeypatch.setattr(memory, "available", lambda: int(need / 0.61))
    with pytest.raises(ReverieError, match=r"10 images at 60x60 rgb uint8 would take .* GiB .*smaller --resolution"):
        read(path)
    with pytest.raises(ReverieError, match=r"a\.npy would take"):
        read(tmp_path / "a.npy")
    assert len(read(path, resolution=(32, 32))) == 10


def test_links_are_followed_but_not_in_circles(tmp_path):
    lay(tmp_path / "elsewhere", {"c.png": png(3)})
    root = lay(tmp_path / "p", {"cats/a.png": png(1)})
    (root / "dogs").symlink_to(tmp_path / "elsewhere")
    (root / "cats" / "again").symlink_to(root)
    data = read(root)
    assert data.names == ["cats/a.png", "dogs/c.png"]
    assert data.classes == ["cats", "dogs"]


@pytest.mark.slow
@pytest.mark.skipif(not EMOJI.exists(), reason="shared/data/emoji-64px.zip is not at hand")
def test_the_emoji_by_their_groups():
    data = read(EMOJI, label_from="csv:group")
    assert data.items.shape == (8673, 64, 64, 4)
    assert len(data.classes) == 11
    assert np.bincount(data.labels)[data.classes.index("(none)")] == 52


@pytest.mark.skipif(not SPOKEN.exists(), reason="shared/data/spoken-digits-8khz.zip is not at hand")
def test_sounds_are_no_images():
    with pytest.raises(ReverieError, match=r"it holds 3,000 \.wav files"):
        read(SPOKEN)


@pytest.mark.parametrize(
    "names", [("a.png", "../b.png"), ("a.png", "/etc/b.png"), ("a.png", "c\\..\\..\\b.png"), ("a.png", "a.png")]
)
def test_a_zip_of_which_files_would_be_lost_is_refused(tmp_path, names):
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        warnings.simplefilter("ignore")  # zipfile's own, of two files of one name
        for k, name in enumerate(names):
            archive.writestr(name, png(k))
    with pytest.raises(ReverieError, match=r"z\.zip holds.*(b|a)\.png"):
        read(tmp_path / "z.zip")
