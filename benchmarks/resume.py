"""Kill -9 and resume: how far a run ends from the undisturbed one, under diffusers' training script's logic and under Reverie.

    .venv/bin/python benchmarks/resume.py [--kills 2] [--seed 0] [--json FILE]

Both train one small network on the same 200 digits in processes of their own, and are killed at random moments. "diffusers'
script" is the logic of examples/unconditional_image_generation/train_unconditional.py with accelerate's `save_state`, in our
words. Every few steps it saves: weights, the EMA (with its own step count), the optimiser, the learning-rate scheduler, states of
the random generators, and the step in the folder's name. It does not save which permutation the epoch was in, nor the
generator's state at the epoch's start. On resume it restores the generators as they were at the checkpoint, so the interrupted
epoch is shuffled anew, and as many batches are skipped as had been seen of another order. EMA and scheduler are diffusers' own.

Printed: the largest difference of any weight and any averaged weight at the end, steps after the first kill whose batch or loss
is not that of the undisturbed run, and items of the interrupted epochs that were seen twice or never.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEPS, BATCH, ITEMS, EVERY, PAUSE = 80, 16, 200, 5, 0.03
EPOCH = -(-ITEMS // BATCH)  # steps of an epoch of diffusers' script, the last batch being smaller


class Small(nn.Module):
    """Two convolutions, told the noise level."""

    def __init__(self) -> None:
        super().__init__()
        self.level, self.first, self.last = (
            nn.Linear(1, 16),
            nn.Conv2d(1, 16, 3, padding=1),
            nn.Conv2d(16, 1, 3, padding=1),
        )

    def forward(self, x: Tensor, level: Tensor, cond: dict[str, Any]) -> Tensor:
        return self.last(F.silu(self.first(x) + self.level(level[:, None])[:, :, None, None]))


def small() -> Small:
    torch.manual_seed(0)
    return Small()


def digits() -> np.ndarray:
    """(ITEMS, 8, 8, 1) uint8."""
    from sklearn.datasets import load_digits

    return (load_digits().images[:ITEMS, :, :, None] * 15.9375).astype(np.uint8)


def like_diffusers(folder: Path, resume: bool) -> None:
    """The script's loop: one process, no gradient accumulation."""
    from diffusers.optimization import get_scheduler
    from diffusers.training_utils import EMAModel

    torch.manual_seed(1)
    images = torch.from_numpy(digits()).permute(0, 3, 1, 2).float() / 127.5 - 1
    data = torch.utils.data.TensorDataset(images, torch.arange(ITEMS))
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)
    net = small()
    ema = EMAModel(net.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, betas=(0.95, 0.999), weight_decay=1e-6)
    rate = get_scheduler("cosine", optimizer=optimiser, num_warmup_steps=10, num_training_steps=STEPS)
    parts = {"net": net, "ema": ema, "optimiser": optimiser, "rate": rate}
    step = skip = 0
    if resume:
        step = newest(folder)
        kept = torch.load(folder / "checkpoints" / f"{step:08d}" / "state.pt", weights_only=False)  # our own file
        for name, part in parts.items():
            part.load_state_dict(kept[name])
        random.setstate(kept["python"])
        np.random.set_state(kept["numpy"])
        torch.set_rng_state(kept["torch"])
        skip = step % EPOCH
    signal = torch.cos(torch.linspace(0, 1, 1000) * 1.5)
    while step < STEPS:
        for k, (x0, chosen) in enumerate(loader):
            if k < skip:
                continue
            noise, t = torch.randn_like(x0), torch.randint(0, 1000, (len(x0),))
            a = signal[t].view(-1, 1, 1, 1)
            loss = F.mse_loss(net(a * x0 + (1 - a**2).sqrt() * noise, t / 1000, {}), noise)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            rate.step()
            ema.step(net.parameters())
            optimiser.zero_grad()
            step += 1
            note(folder, step, chosen.tolist(), loss.item())
            if step % EVERY == 0:
                random_states = {
                    "python": random.getstate(),
                    "numpy": np.random.get_state(),
                    "torch": torch.get_rng_state(),
                }
                keep(folder, step, {**{n: p.state_dict() for n, p in parts.items()}, **random_states})
            if step == STEPS:
                break
        skip = 0
    end = {f"weights {i}": p for i, p in enumerate(net.parameters())} | {
        f"ema {i}": p for i, p in enumerate(ema.shadow_params)
    }
    np.savez(folder / "end.npz", **{k: v.detach().numpy() for k, v in end.items()})


def keep(folder: Path, step: int, state: dict[str, Any]) -> None:
    """A checkpoint put in place whole, so that what is compared is what is kept and not how it is written."""
    (folder / "making").mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "making" / "state.pt")
    place = folder / "checkpoints" / f"{step:08d}"
    place.parent.mkdir(exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    (folder / "making").rename(place)


def ours(folder: Path, resume: bool) -> None:
    """The same in Reverie."""
    import reverie
    from reverie import storage
    from reverie.data.loader import Loader
    from reverie.training.trackers import Event, Tracker

    asked: list[list[int]] = []
    encoded = Loader.encoded

    def noted(self: Loader, chosen: Any) -> Tensor:
        asked.append(list(chosen))
        return encoded(self, chosen)

    class Notes(Tracker):
        def tell(self, event: Event) -> None:
            if event.kind == "step":
                note(folder, event.step, asked[-1], event.values["loss"])

    Loader.encoded = noted  # type: ignore[method-assign]
    if resume:
        reverie.resume(folder, data=digits(), network=small(), tracker=Notes())
    else:
        options = {
            "batch": BATCH,
            "seed": 1,
            "held_out": 0.001,
            "steps": STEPS,
            "checkpoint_every": "0.15s",
            "threads": 1,
        }
        reverie.train(digits(), folder, network=small(), tracker=Notes(), **options)
    last = storage.newest_checkpoint(folder)
    assert last is not None
    raw, model = (storage.load_tensors(last / f"{n}.safetensors") for n in ("training", "weights"))
    end = {f"weights {k}": v for k, v in raw.items() if k.startswith("raw.")} | {
        f"ema {k}": v for k, v in model.items()
    }
    np.savez(folder / "end.npz", **{k: v.numpy() for k, v in end.items()})


def note(folder: Path, step: int, chosen: list[int], loss: float) -> None:
    """Write down which items a step saw; then pause, or it would be over before it could be killed."""
    with folder.with_suffix(".steps").open("a") as file:
        file.write(json.dumps([step, chosen, loss]) + "\n")
    time.sleep(PAUSE)


def newest(folder: Path) -> int:
    return max((int(p.name) for p in (folder / "checkpoints").glob("[0-9]*")), default=0)


def run(kind: str, folder: Path, kills: int, rng: random.Random) -> list[int]:
    """Train to the end, killed so many times on the way; the steps that the resumed processes went on from."""
    went_on: list[int] = []
    for k in range(kills + 1):
        before = newest(folder)
        how = "resume" if before else "train"
        process = subprocess.Popen([sys.executable, __file__, "--worker", kind, "--folder", str(folder), "--how", how])
        goal = STEPS * (k + 1) // (kills + 2)
        while k < kills and newest(folder) < max(goal, before + 1):
            if process.poll() is not None:
                raise SystemExit(f"{kind} ended before it could be killed")
            time.sleep(0.005)
        if k < kills:
            time.sleep(rng.uniform(0.05, 0.3))
            process.kill()
            process.wait()
            went_on.append(newest(folder))
        elif process.wait():
            raise SystemExit(f"{kind} failed")
    return went_on


def seen(folder: Path) -> dict[int, tuple[list[int], float]]:
    """What each step saw, by the last process that took it, and its loss."""
    lines = (json.loads(line) for line in folder.with_suffix(".steps").read_text().splitlines())
    return {step: (chosen, loss) for step, chosen, loss in lines}


def compare(kind: str, place: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    whole, cut = place / f"{kind}-whole", place / f"{kind}-cut"
    run(kind, whole, 0, rng)
    went_on = run(kind, cut, kills, rng)
    a, b = np.load(whole / "end.npz"), np.load(cut / "end.npz")
    apart = {p: max(float(np.abs(a[k] - b[k]).max()) for k in a.files if k.startswith(p)) for p in ("weights", "ema")}
    first, second = seen(whole), seen(cut)
    after = [s for s in first if s > went_on[0]]
    stream = [k for step in sorted(second) for k in second[step][0]]
    count = len({k for chosen, _ in first.values() for k in chosen})  # items in an epoch, laid end to end in the stream
    places = {sum(len(second[s][0]) for s in range(1, w + 1)) // count for w in went_on}
    times = [np.unique(stream[e * count : (e + 1) * count], return_counts=True)[1] for e in sorted(places)]
    return {
        "resumed from steps": went_on,
        "weights, max difference": apart["weights"],
        "EMA, max difference": apart["ema"],
        "steps after the first kill": len(after),
        "of them with another batch": sum(first[s][0] != second[s][0] for s in after),
        "of them with another loss": sum(first[s][1] != second[s][1] for s in after),
        "items of the interrupted epochs seen twice or more": sum(int((t > 1).sum()) for t in times),
        "items of the interrupted epochs never seen": sum(count - len(t) for t in times),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--json", type=Path, help="write the figures there")
    for hidden in ("--worker", "--folder", "--how"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        torch.set_num_threads(1)
        {"diffusers": like_diffusers, "reverie": ours}[asked.worker](Path(asked.folder), asked.how == "resume")
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as place:
        rng = random.Random(asked.seed)
        rows = {kind: compare(kind, Path(place), asked.kills, rng) for kind in ("diffusers", "reverie")}
    print(f"| after {asked.kills} kills in {STEPS} steps | diffusers' script | Reverie |\n|---|---|---|")
    for name in rows["reverie"]:
        print(f"| {name} | {shown(rows['diffusers'][name])} | {shown(rows['reverie'][name])} |")
    if asked.json:
        import diffusers

        import reverie

        versions = {"reverie": reverie.__version__, "diffusers": diffusers.__version__, "torch": torch.__version__}
        asked.json.write_text(json.dumps({"command": " ".join(sys.argv), **versions, "rows": rows}, indent=1) + "\n")


def shown(value: Any) -> str:
    return (
        f"{value:.3g}"
        if isinstance(value, float)
        else ", ".join(map(str, value))
        if isinstance(value, list)
        else str(value)
    )


if __name__ == "__main__":
    main()
