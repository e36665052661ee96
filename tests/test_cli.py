"""The command line as a person uses it: every error is one readable message with exit code 2, never a traceback."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from reverie import api, cli, registry, storage
from reverie.data.split import split
from reverie.errors import ReverieError
from reverie.tasks import tasks
from reverie.training import verdict
from tests.toy import data, tiny

FAST = ["--steps", "2", "--size", "tiny", "--batch", "16", "--threads", "1"]


@pytest.fixture
def reverie(monkeypatch, capsys):
    """Run a command in this process; returns (exit code, output, errors)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["reverie", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out = capsys.readouterr()
        return stop.value.code, out.out, out.err

    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on the packaged digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    command = [sys.executable, "-m", "reverie", "train", "digits", "-o", str(folder), *FAST]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def photos(folder, count=24, size=(8, 8)):
    """A folder of two classes of small PNGs."""
    rng = np.random.default_rng(0)
    for k in range(count):
        place = folder / ("cat" if k % 2 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(place / f"{k:03d}.png")
    return folder


def test_help_and_list_answer_without_importing_pytorch():
    code = (
        "import sys; sys.argv = ['reverie', *sys.argv[1:]]\n"
        "from reverie import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'matplotlib', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    for words in (["--help"], ["train", "--help"], ["sample", "--help"], ["--version"], ["list"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_every_verb_and_every_setting_has_its_flag_with_help_and_an_example(reverie):
    from reverie.training.settings import TrainSettings

    code, out, _ = reverie("--help")
    assert code == 0
    for task in tasks():
        assert task.command in out
        assert task.examples
    _, out, _ = reverie("train", "--help")
    for name, field in TrainSettings.__dataclass_fields__.items():
        flag = field.metadata["flag"] or "--" + name.replace("_", "-")
        assert flag in out, flag
        assert field.metadata["help"]
    assert "reverie train photos/" in out


@pytest.mark.parametrize("room", registry.ROOMS)
def test_list_shows_every_choice_with_options_and_source(reverie, room):
    code, out, _ = reverie("list", room, "--json")
    assert code == 0
    rows = json.loads(out)
    assert {r["name"] for r in rows} == set(registry.registered(room))
    assert all(r["source"] and r["meaning"] for r in rows)
    assert reverie("list", room)[0] == 0


@pytest.mark.slow
def test_the_two_commands_of_the_readme(reverie, run, tmp_path):
    code, out, err = reverie(
        "sample", run, "-n", 4, "--steps", 3, "--label", "3", "--seed", 1, "-o", tmp_path / "threes"
    )
    assert code == 0, err
    assert len(list((tmp_path / "threes" / "3").glob("*.png"))) == 4
    assert (tmp_path / "threes-sheet.png").is_file()
    assert "seed 1" in out
    code, out, err = reverie(
        "evaluate", run, "-n", 60, "--steps", 3, "-o", tmp_path / "page.html", "--json", tmp_path / "figures.json"
    )
    assert code == 0, err
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["n"] == 60
    assert {"value", "low", "high", "floor", "n", "features_hash"} <= set(figures["scores"][0])
    assert "floor (real vs real)" in out
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    code, out, _ = reverie("info", run)
    assert code == 0
    assert "1297 to train, 500 held out" in " ".join(out.split())
    judged, said = verdict.of_run(run), " ".join(out.split())
    assert f"verdict {judged.heading}" in said
    assert judged.evidence[0] in said


def test_info_tells_what_is_in_a_folder(reverie, tmp_path):
    photos(tmp_path / "photos")
    (tmp_path / "photos" / "cat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    code, out, _ = reverie("info", tmp_path / "photos", "--json")
    assert code == 0
    card = json.loads(out)
    assert card["count"] == 24
    assert card["classes"] == {"cat": 12, "dog": 12}
    assert [b["name"] for b in card["broken"]] == ["cat/broken.png"]


@pytest.mark.slow
def test_a_zip_of_photographs_trains_as_the_folder_does(reverie, tmp_path):
    photos(tmp_path / "photos", 60)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in sorted((tmp_path / "photos").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path / "photos"))
    for path in ("photos", "photos.zip"):
        code, _, err = reverie("train", tmp_path / path, "-o", tmp_path / f"run-{path}", *FAST)
        assert code == 0, err
    a, b = (storage.load_tensors(tmp_path / f"run-{p}" / storage.WEIGHTS) for p in ("photos", "photos.zip"))
    assert all(np.array_equal(a[k], b[k]) for k in a)


@pytest.mark.slow
def test_deep_pictures_come_back_deep(reverie, tmp_path):
    """A 16-bit medical image comes back as 16 bit."""
    rng = np.random.default_rng(0)
    (tmp_path / "scans").mkdir()
    for k in range(30):
        Image.fromarray(rng.integers(0, 65535, (12, 8), dtype=np.uint16)).save(tmp_path / "scans" / f"{k}.png")
    code, _, err = reverie("train", tmp_path / "scans", "-o", tmp_path / "run", *FAST)
    assert code == 0, err
    code, _, err = reverie("sample", tmp_path / "run", "-n", 2, "--steps", 2, "-o", tmp_path / "out")
    assert code == 0, err
    for path in (tmp_path / "out").glob("*.png"):
        with Image.open(path) as picture:
            assert picture.mode == "I;16"
            assert picture.size == (8, 12)


class Canary:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def faults(tmp_path, run):
    """name -> (command, what its message must say)."""
    empty = tmp_path / "empty"
    empty.mkdir()
    words = tmp_path / "words"
    words.mkdir()
    (words / "a.txt").write_text("no picture")
    few = photos(tmp_path / "few", 6)
    one = tmp_path / "one"
    one.mkdir()
    Image.new("L", (8, 8)).save(one / "a.png")
    broken = photos(tmp_path / "broken", 40)
    for k in range(3):
        (broken / "cat" / f"broken{k}.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    np.save(tmp_path / "nan.npy", np.full((20, 8, 8), np.nan, np.float32))
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}] * 20, dtype=object), allow_pickle=True)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "pytorch_model.bin").write_bytes(b"x")
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    (renamed / "model.json").write_text((run / "model.json").read_text())
    (renamed / "weights.safetensors").write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "model.json").write_text((run / "model.json").read_text()[:200])
    digits = registry.registered("datasets")["digits"]().load()
    seen = tmp_path / "seen.npz"
    places = split(digits).train[:40]
    np.savez(seen, x=digits.items[places], y=np.array(digits.classes)[digits.labels[places]])
    new = tmp_path / "new"
    train = ["train", "-o", new, *FAST]
    return {
        "no such path": (["train", tmp_path / "nowhere", "-o", new], ["nowhere"]),
        "a packaged name misspelt": (["train", "digit", "-o", new], ["digits"]),
        "an empty folder": ([*train, empty], ["empty"]),
        "nothing readable": ([*train, words], ["words"]),
        "broken images": ([*train, broken], ["3 of 43", "broken0.png", "--max-broken"]),
        "fewer images than a batch": ([*train, few], ["fewer than a batch of 16", "--batch"]),
        "one image": ([*train, one], ["1"]),
        "NaN": ([*train, tmp_path / "nan.npy"], ["nan.npy", "NaN"]),
        "a pickle in an array": ([*train, tmp_path / "objects.npy"], ["objects.npy"]),
        "an existing run": (["train", "digits", "-o", run, *FAST], ["--resume", "--overwrite"]),
        "output in the way": (["train", "digits", "-o", words / "a.txt", *FAST], ["a.txt"]),
        "a place that cannot be made": (["train", "digits", "-o", words / "a.txt" / "run", *FAST], ["a.txt"]),
        "no such run": (["sample", tmp_path / "nowhere"], ["nowhere"]),
        "a foreign model": (["sample", foreign], ["not a Reverie model"]),
        "a renamed pickle": (["sample", renamed], ["pickle"]),
        "a cut-off description": (["info", cut], ["not valid JSON"]),
        "a label that does not exist": (["sample", run, "--label", "33"], ["'33'", "3"]),
        "a sampler that does not exist": (["sample", run, "--sampler", "huen"], ["heun"]),
        "an option that does not exist": (["sample", run, "--sampler", "heun:chrun=1"], ["churn"]),
        "a number that is none": (["sample", run, "-n", "many"], ["'-n'"]),
        "a flag that does not exist": (["train", "digits", "--bugdet", "3m"], ["--budget"]),
        "two lengths": (["train", "digits", "-o", new, "--steps", "3", "--budget", "1m"], ["one of"]),
        "a resolution that is none": (["train", "digits", "-o", new, "--resolution", "8x"], ["HEIGHTxWIDTH"]),
        "a resolution out of memory": (
            ["train", broken, "-o", new, "--resolution", "200000x200000", "--max-broken", "50%"],
            ["GiB"],
        ),
        "a resolution out of memory, of packaged data": (
            ["train", "digits", "-o", new, "--resolution", "200000x200000"],
            ["200000x200000", "GiB"],
        ),
        "a budget that reading alone uses up": (
            ["train", "digits", "-o", new, "--budget", "0.01s"],
            ["reading the data"],
        ),
        "only items that were trained on": (["evaluate", run, seen], ["trained on every one of the 40 items"]),
        "a tuning that was never made": (["tune", run, "--undo"], ["was not tuned"]),
        "an undoing that compares": (["tune", run, "digits", "--undo"], ["RUN alone"]),
        "a column that does not exist": (["train", few, "-o", new, "--label-from", "csv:age", *FAST], ["csv"]),
        "resume of nothing": (["train", "--resume", empty], ["not a training run"]),
        "resume of a finished run": (["train", "--resume", run], ["finished"]),
        "resume with more": (["train", "digits", "--resume", run], ["alone"]),
        "no data": (["train"], ["reverie train PATH"]),
        "a list of nothing": (["list", "sampels"], ["samplers"]),
        "a device that is not there": (["sample", run, "--device", "cuda:7"], ["cuda:7"]),
        "a command that does not exist": (["smaple", run], ["smaple"]),
        "an empty path": (["train", "", "-o", new, *FAST], ["reverie train PATH"]),
        "guidance that is no number": (["train", "digits", "-o", new, "--guidance", "nan"], ["--guidance"]),
        "a vast seed": (["train", "digits", "-o", new, "--seed", "9" * 20], ["--seed"]),
        "a vast seed to sample": (["sample", run, "--seed", "9" * 20, "-o", tmp_path / "s1"], ["seed"]),
        "a negative seed": (["sample", run, "--seed", "-5", "-o", tmp_path / "s2"], ["seed"]),
        "a batch of none": (["sample", run, "--batch", "0", "-o", tmp_path / "s3"], ["from 1"]),
        "no threads": (["sample", run, "--threads", "0", "-o", tmp_path / "s4"], ["--threads"]),
        "no steps": (["train", "digits", "-o", new, "--steps", "0"], ["from 1"]),
        "no time between checkpoints": (
            ["train", "digits", "-o", new, "--checkpoint-every", "0"],
            ["--checkpoint-every"],
        ),
        "more than all broken": (["train", "digits", "-o", new, "--max-broken", "200%"], ["--max-broken"]),
        "a device as output": (
            ["evaluate", run, "-n", "40", "--steps", "1", "-o", "/dev/null", "--json", tmp_path / "y.json"],
            ["/dev/null"],
        ),
        "samples over files": (["sample", run, "-n", "1", "-o", few], ["not an empty folder"]),
        "samples in a file's place": (["sample", run, "-n", "1", "-o", words / "a.txt"], ["not an empty folder"]),
        "sizes that differ": (["evaluate", run, broken, "--json", tmp_path / "x.json"], []),
    }


def test_every_fault_is_one_message_with_exit_code_2(reverie, run, tmp_path):
    for name, (command, words) in faults(tmp_path, run).items():
        code, _, err = reverie(*command)
        assert code == 2, f"{name}: exit {code}\n{err}"
        assert "Traceback" not in err, name
        assert err.startswith("reverie: "), f"{name}: {err}"
        for word in words:
            assert word in err, f"{name}: '{word}' is not in: {err}"
    assert not (tmp_path / "canary").exists(), "the pickle ran"


def test_a_verb_names_no_option_that_it_does_not_have(reverie, run, tmp_path):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    Image.new("L", (8, 8)).save(inputs / "a.png")
    (inputs / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    for words in (["denoise", run, inputs], ["detect", run, inputs], ["evaluate", run, inputs]):
        code, _, err = reverie(*words)
        assert code == 2
        assert "1 of 2 images cannot be read (b.png" in err
        assert "max-broken" not in err


def test_info_says_what_is_damaged_and_shows_the_rest(reverie, run, tmp_path):
    place = tmp_path / "my run"
    shutil.copytree(run, place)
    log = place / "metrics.jsonl"
    log.write_bytes(b"\0rubbish\n" + log.read_bytes())
    (place / "metrics.json").write_text("{")
    (place / "model.json").unlink()
    code, out, err = reverie("info", place, "--json")
    assert code == 0, err
    card = json.loads(out)
    assert "cannot be read (line 1)" in card["evidence"]
    assert card["verdict"] == verdict.of_run(run).heading
    assert "not valid JSON" in card["scores"]
    assert f"reverie train --resume '{place}'" in card["complete"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full to stand for a full disk")
def test_a_full_disk_is_said_and_nothing_half_written_stays(reverie, run, tmp_path, monkeypatch):
    from reverie import files

    def full(path, write):
        with files.told_plainly(path), open("/dev/full", "w") as file:
            file.write("x" * 10_000)
            file.flush()

    monkeypatch.setattr(storage.files, "write_whole", full)
    code, _, err = reverie("train", "digits", "-o", tmp_path / "run", *FAST)
    assert code == 2
    assert "No space left on device" in err
    assert not (tmp_path / "run" / "model.json").exists()


@pytest.mark.slow
def test_broken_images_within_what_is_allowed_are_counted_and_named(reverie, tmp_path):
    folder = photos(tmp_path / "photos", 60)
    (folder / "cat" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    code, out, err = reverie("train", folder, "-o", tmp_path / "run", "--max-broken", "2%", *FAST)
    assert code == 0, err
    assert "bad.png" in out + err


@pytest.mark.slow
def test_ctrl_c_in_the_terminal_saves_and_says_how_to_go_on(tmp_path):
    import signal
    import time

    folder = tmp_path / "run"
    command = [sys.executable, "-m", "reverie", "train", "digits", "-o", str(folder), "--steps", "100000", *FAST[2:]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    log = folder / "metrics.jsonl"
    while not (log.exists() and '"step": 3' in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"reverie train --resume {folder}" in err
    assert "Traceback" not in err
    assert storage.newest_checkpoint(folder) is not None


def test_ctrl_c_in_any_command_is_one_word_and_code_130(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("reverie.console.show_info", stop)
    monkeypatch.setattr("sys.argv", ["reverie", "info", "digits"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 130
    assert capsys.readouterr().err == "reverie: stopped.\n"


def test_nothing_of_the_person_s_is_overwritten_by_samples(reverie, run, tmp_path):
    (tmp_path / "new-sheet.png").write_bytes(b"my holiday")
    code, _, err = reverie("sample", run, "-n", 1, "--steps", 1, "-o", tmp_path / "new")
    assert code == 0, err
    assert (tmp_path / "new-sheet.png").read_bytes() == b"my holiday"
    assert (tmp_path / "new-sheet-2.png").is_file()
    assert reverie("sample", run, "-n", 1, "--steps", 1)[0] == 0
    assert reverie("sample", run, "-n", 1, "--steps", 1)[0] == 0
    assert (run / "generated-1").is_dir()
    assert (run / "generated-2").is_dir()


@pytest.mark.slow
def test_other_files_are_not_written_over_and_a_run_that_never_began_is_no_obstacle(reverie, run, tmp_path):
    precious = tmp_path / "photo.png"
    precious.write_bytes(b"mine")
    for words in (
        ["evaluate", run, "-o", precious],
        ["compare", run, run, "-o", precious],
        ["info", "digits", "--html", precious],
    ):
        code, _, err = reverie(*words)
        assert code == 2
        assert "give a name that ends so" in err
    assert precious.read_bytes() == b"mine"
    assert "whole number from 1" in reverie("evaluate", run, "-n", -1)[2]
    assert "cores" in reverie("sample", run, "--threads", 100_000)[2]
    (tmp_path / "be [b]gun").mkdir()
    (tmp_path / "be [b]gun" / "run.json").write_text("{}")
    damaged = tmp_path / "be [b]gun" / "run.json"
    for text in ("{}", '{"data": 3, "settings": 5}', '{"data": "digits", "settings": 5}', '{"settings": {}}'):
        damaged.write_text(text)
        assert f"{damaged} is damaged: it names no settings" in reverie("train", "--resume", damaged.parent)[2]
    damaged.write_text('{"data": "digits", "settings": {"seed": "1"}}')
    assert f"{damaged} cannot be used: train(seed='1')" in reverie("train", "--resume", damaged.parent)[2]
    code, out, err = reverie("train", "digits", "-o", tmp_path / "be [b]gun", *FAST)
    assert code == 0, err
    assert f"next:  reverie sample '{tmp_path / 'be [b]gun'}' -n 16\n" in out


@pytest.mark.slow
def test_data_that_has_moved_is_taken_where_it_is_now(reverie, tmp_path):
    photos(tmp_path / "here")
    made = tmp_path / "run"
    assert reverie("train", tmp_path / "here", "-o", made, "--held-out", "8", *FAST[:-4], "--batch", "8")[0] == 0
    (tmp_path / "here").rename(tmp_path / "there")
    code, _, err = reverie("evaluate", made, "-n", 8, "--steps", 2)
    assert code == 2
    assert "no longer at" in err
    code, out, err = reverie("evaluate", made, tmp_path / "there", "-n", 8, "--steps", 2)
    assert code == 0, err
    assert "8 samples against 8 held-out items" in out


def test_a_run_that_came_while_another_was_prepared_is_not_replaced(tmp_path, monkeypatch):
    """Between the first look at the folder and the lock another run may begin and end there."""
    place, whole = tmp_path / "run", api.prepare

    def slowly(*given):
        job = whole(*given)
        if not place.exists():
            monkeypatch.setattr(api, "prepare", whole)
            api.train(data(), place, network=tiny(), steps=1, batch=16, threads=1)
        return job

    monkeypatch.setattr(api, "prepare", slowly)
    with pytest.raises(ReverieError, match="holds a run already"):
        api.train(data(), place, network=tiny(), steps=2, batch=16, threads=1)
    assert storage.load(place, tiny()).record["step"] == 1
