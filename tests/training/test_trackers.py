"""Who follows a run is told what happened: read back from the files that the services' own readers read."""

import itertools
import json
import struct
import time

import numpy as np
import pytest
from PIL import Image

import reverie
from reverie import registry
from reverie.errors import ReverieError
from reverie.training.trackers import Event, Memory, Tracker, base, read_log, services
from tests.toy import data, tiny

FAST = {"batch": 8, "seed": 3, "threads": 1, "steps": 12}


class FailAt(Tracker):
    """A follower that breaks the run at a step, as a power cut would."""

    def __init__(self, step):
        self.step = step

    def tell(self, event: Event) -> None:
        if event.kind == "step" and event.step == self.step:
            raise KeyboardInterrupt


def followed(run, track):
    """Everything that was told of a run that a service followed."""
    memory = Memory()
    reverie.train(data(), run, network=tiny(), track=track, tracker=memory, **FAST)
    return run, memory.events


@pytest.fixture(scope="module")
def board_run(tmp_path_factory):
    return followed(tmp_path_factory.mktemp("board") / "run", "tensorboard")


@pytest.fixture
def wandb_home(tmp_path, monkeypatch):
    """Nothing of wandb's outside of the test's folder."""
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb-home"))


def shown_by_tensorboard(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    return found


def expected(events):
    """What every service should show: (name, step) -> value, from the events themselves."""
    found = {}
    for kind, step, v in events:
        if kind == "step":
            found |= {(f"step/{k}", step): v[k] for k in ("loss", "lr", "grad_norm")}
            found[("step/throughput", step)] = 8 / v["seconds"]
        if kind == "validation":
            found |= {("held_out/ema", step): v["held_out"], ("held_out/raw", step): v["held_out_raw"]}
            found |= {("train/ema", step): v["train"], ("held_out/baseline", step): v["baseline"]}
            found |= {(f"band_{k}/ema", step): e for k, e in enumerate(v["bands"]["held_out"])}
            found |= {(f"band_{k}/raw", step): e for k, e in enumerate(v["bands"]["held_out_raw"])}
    return found


def test_tensorboard_shows_every_figure_at_its_step(board_run):
    run, events = board_run
    board = shown_by_tensorboard(run)
    shown = {(tag, s.step): s.value for tag in board.Tags()["scalars"] for s in board.Scalars(tag)}
    wanted = expected(events)
    assert shown.keys() == wanted.keys()
    assert len({name for name, _ in wanted}) == 24
    for key, value in wanted.items():
        assert shown[key] == np.float32(value), key


def test_tensorboard_shows_the_sheets_of_raw_and_averaged_weights(board_run):
    run, events = board_run
    board = shown_by_tensorboard(run)
    told = [e for e in events if e.kind == "samples"]
    assert told
    for name in ("raw", "ema"):
        shown = board.Images(f"samples/{name}")
        assert [s.step for s in shown] == [e.step for e in told]
        for picture, event in zip(shown, told, strict=True):
            (run / "shown.png").write_bytes(picture.encoded_image_string)
            ours = np.asarray(Image.open(run / event.values[name]).convert("RGB"))
            assert np.array_equal(np.asarray(Image.open(run / "shown.png")), ours)
    raw, ema = (board.Images(f"samples/{n}")[-1].encoded_image_string for n in ("raw", "ema"))
    assert raw != ema


def offline_records(run):
    """Every record of the runs that wandb kept in the folder.

    Its own process may still be writing when `finish` has returned, so that the record of the last run's end is waited for.
    """
    for _ in range(100):
        found = list(written_records(run))
        if found and found[-1].WhichOneof("record_type") in ("exit", "footer"):
            break
        time.sleep(0.2)
    return found


def written_records(run):
    """What is in the files by now: protobufs in LevelDB's log format behind a head of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    for path in sorted((run / "wandb").glob("offline-run-*/run-*.wandb")):
        content, place, whole = path.read_bytes(), 7, b""
        assert content[:4] == b":W&B"
        while place + 7 <= len(content):
            if (left := 32768 - place % 32768) < 7:
                place += left
                continue
            length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
            whole += content[place + 7 : place + 7 + length]
            place += 7 + length
            if kind in (1, 4):  # all of a record, or its last piece
                record = wandb_internal_pb2.Record()
                record.ParseFromString(whole)
                whole = b""
                yield record


@pytest.mark.slow
def test_wandb_offline_keeps_every_figure_the_sheets_and_the_checkpoint(tmp_path, wandb_home):
    run, events = followed(tmp_path / "run", "wandb:project=toy,mode=offline")
    shown, sheets, artifacts = {}, {}, []
    for record in offline_records(run):
        kind = record.WhichOneof("record_type")
        if kind == "history":
            told = {(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in record.history.item}
            sheets |= {
                (k, told["step"]): v for k, v in told.items() if k.startswith("samples/") and k.endswith("/path")
            }
            shown |= {(k, told["step"]): v for k, v in told.items() if "/" in k and not k.startswith("samples/")}
        if kind == "artifact":
            artifacts.append(record.artifact)
        if kind == "run":
            assert (record.run.project, record.run.run_id) == (
                "toy",
                json.loads((run / "wandb.json").read_text())["id"],
            )
    assert shown == pytest.approx(expected(events), rel=1e-12)
    drawn = [e for e in events if e.kind == "samples"]
    assert sheets.keys() == {(f"samples/{k}/path", e.step) for k in ("raw", "ema") for e in drawn}
    for name in ("raw", "ema"):
        kept = next((run / "wandb").glob("offline-run-*/files")) / sheets[f"samples/{name}/path", drawn[-1].step]
        assert np.array_equal(np.asarray(Image.open(kept)), np.asarray(Image.open(run / drawn[-1].values[name])))
    assert len(artifacts) == 1, "the last checkpoint alone"
    names = {entry.path for entry in artifacts[0].manifest.contents}
    assert {"model.json", "weights.safetensors", "training.safetensors", "state.json"} <= names


@pytest.mark.slow
def test_wandb_goes_on_under_the_same_name(tmp_path, wandb_home, monkeypatch):
    from reverie.training import loop

    run = tmp_path / "run"
    monkeypatch.setattr(loop, "seconds", lambda text: 0.0)  # a checkpoint after every step
    with pytest.raises(KeyboardInterrupt):
        reverie.train(data(), run, network=tiny(), track="wandb:mode=offline", tracker=FailAt(7), **FAST)
    reverie.resume(run, data=data(), network=tiny())
    assert {r.run.run_id for r in offline_records(run) if r.WhichOneof("record_type") == "run"} == {
        json.loads((run / "wandb.json").read_text())["id"]
    }
    assert len(list((run / "wandb").glob("offline-run-*"))) == 2


def test_a_resumed_run_shows_no_step_twice(tmp_path, monkeypatch):
    from reverie.training import loop

    run, asked = tmp_path / "run", itertools.count()
    monkeypatch.setattr(
        loop, "seconds", lambda text: 0.0 if next(asked) < 4 else 1e9
    )  # checkpoints after steps 1 to 4 alone
    with pytest.raises(KeyboardInterrupt):
        reverie.train(data(), run, network=tiny(), track="tensorboard", tracker=FailAt(9), **FAST)
    before = [e.step for e in shown_by_tensorboard(run).Scalars("step/loss")]
    assert before[-1] > 4, "it was told of steps that the checkpoint does not know"
    reverie.resume(run, data=data(), network=tiny())
    shown = shown_by_tensorboard(run).Scalars("step/loss")
    log = {e["step"]: e["loss"] for e in read_log(run / "metrics.jsonl") if e["event"] == "step"}
    assert [e.step for e in shown] == sorted(log) == list(range(1, 13))
    assert [e.value for e in shown] == [np.float32(log[k]) for k in range(1, 13)]


def test_a_list_of_services_is_read_with_their_options():
    board, wandb = services("tensorboard, wandb:project=faces,mode=offline,checkpoints=none")
    assert (wandb.project, wandb.mode, wandb.checkpoints) == ("faces", "offline", "none")
    first, second = services("wandb:mode=offline,tensorboard")
    assert (first.mode, second) == ("offline", board)
    assert services(None) == services("") == []
    with pytest.raises(ReverieError, match="did you mean tensorboard"):
        services("tensorbord")
    with pytest.raises(ReverieError, match="online, offline, disabled"):
        services("wandb:mode=on")
    with pytest.raises(ReverieError, match="not an option of wandb"):
        services("wandb:colour=red")


@pytest.mark.parametrize("name", registry.registered("trackers"))
def test_what_is_not_installed_is_said_before_anything_is_written(name, tmp_path, monkeypatch):
    monkeypatch.setattr(base.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(ReverieError, match=rf"pip install 'reverie\[{name}\]'"):
        reverie.train(data(), tmp_path / "run", network=tiny(), track=name, **FAST)
    assert not (tmp_path / "run").exists()


def test_to_be_followed_a_run_needs_a_folder():
    with pytest.raises(ReverieError, match="give output=RUN"):
        reverie.train(data(), network=tiny(), track="tensorboard", **FAST)
