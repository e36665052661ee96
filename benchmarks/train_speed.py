"""How fast Reverie's U-Net trains beside diffusers' UNet2DModel of like size, as a ratio of images per second.

    .venv/bin/python benchmarks/train_speed.py [--rounds 10] [--threads 2] [--json FILE]

Both see 3x32x32, channels 64-128-128, two blocks per level, attention at 16 and 8, batch 32: forward, backward, AdamW and EMA.
The two take turns in one process, a step each, whoever was first going second in the next round; each round gives one
ratio, so a load that comes and goes on the machine falls on both. The two comparisons:

  default      each as its own project trains: the peer with attention_head_dim = 8, the default AdamW and its EMAModel as in
               its train_unconditional example; Reverie with heads of 64, fused AdamW and its foreach average.
  same heads   the networks alone: heads of 64 for both, and Reverie's fused AdamW and foreach average for both.

Parameters and FLOPs (torch.utils.flop_counter, forward of one image) are counted and must agree within 5 %.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import diffusers
import torch
from diffusers import UNet2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from reverie.networks.unet import UNet
from reverie.training.ema import Average, Constant

SIDE, CHANNELS, BATCH, HEAD = 32, 3, 32, 64
WIDTHS = (64, 128, 128)
PEER_HEAD = 8  # UNet2DModel's default attention_head_dim


@dataclass
class Contestant:
    """A network with the way it is trained; `step` is one training step on a batch."""

    name: str
    network: nn.Module
    predict: Callable[[Tensor, Tensor], Tensor]
    optimiser: torch.optim.Optimizer
    average: Callable[[], None]
    how: str

    def step(self, x: Tensor, level: Tensor, target: Tensor) -> float:
        """Seconds for forward, backward, optimiser and average."""
        start = time.perf_counter()
        self.optimiser.zero_grad(set_to_none=True)
        (self.predict(x, level) - target).square().mean().backward()
        self.optimiser.step()
        self.average()
        return time.perf_counter() - start

    def cost(self) -> tuple[int, int]:
        """Parameters, and FLOPs of the forward pass of one image."""
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            self.predict(torch.zeros(1, CHANNELS, SIDE, SIDE), torch.zeros(1))
        return sum(p.numel() for p in self.network.parameters()), counter.get_total_flops()


def reverie_unet() -> Contestant:
    """Reverie's U-Net, trained as Reverie trains."""
    multipliers = [w // WIDTHS[0] for w in WIDTHS]
    network = UNet(CHANNELS, 2, WIDTHS[0], multipliers, blocks=2, attention=(1, 2), head_dim=HEAD)
    return fast("Reverie UNet", network, lambda x, level: network(x, level, {}), f"heads of {HEAD}")


def peer_unet(head_dim: int) -> UNet2DModel:
    """The peer's network, of the same plan."""
    return UNet2DModel(
        sample_size=SIDE,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        layers_per_block=2,
        block_out_channels=WIDTHS,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=head_dim,
    )


def fast(name: str, network: nn.Module, predict: Callable[[Tensor, Tensor], Tensor], how: str) -> Contestant:
    """A network with Reverie's optimiser and average."""
    average, steps = Average(Constant(0.999, start=0), network), iter(range(1, 1_000_000))
    return Contestant(
        name,
        network,
        predict,
        torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True),
        lambda: average.update(network, next(steps)),
        f"{how}, AdamW(fused=True), reverie.training.ema.Average (torch._foreach_lerp_)",
    )


def peer_default() -> Contestant:
    """The peer as its train_unconditional example trains it."""
    network = peer_unet(PEER_HEAD)
    average = EMAModel(network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    return Contestant(
        "diffusers UNet2DModel",
        network,
        lambda x, level: network(x, 1000 * level).sample,
        torch.optim.AdamW(network.parameters(), lr=1e-4),
        lambda: average.step(network.parameters()),
        f"heads of {PEER_HEAD} (its default), AdamW (default), diffusers EMAModel (its example's)",
    )


def peer_same() -> Contestant:
    """The peer's network trained as ours, to compare the networks alone."""
    network = peer_unet(HEAD)
    return fast("diffusers UNet2DModel", network, lambda x, level: network(x, 1000 * level).sample, f"heads of {HEAD}")


def compare(ours: Contestant, peer: Contestant, rounds: int) -> dict:
    """Let both take turns; the ratio of images per second in each round, > 1 where Reverie is faster."""
    seconds: dict[int, list[float]] = {0: [], 1: []}
    generator = torch.Generator().manual_seed(0)
    for n in range(rounds + 2):  # the first two warm up
        x = torch.randn(BATCH, CHANNELS, SIDE, SIDE, generator=generator)
        level, target = torch.rand(BATCH, generator=generator), torch.randn(x.shape, generator=generator)
        for who in (0, 1) if n % 2 else (1, 0):
            seconds[who].append((ours, peer)[who].step(x, level, target))
    seconds = {who: times[2:] for who, times in seconds.items()}
    (params, flops), (peer_params, peer_flops) = ours.cost(), peer.cost()
    return {
        "ratio": spread([b / a for a, b in zip(seconds[0], seconds[1], strict=True)]),
        "images_per_second": spread([BATCH / s for s in seconds[0]]),
        "peer_images_per_second": spread([BATCH / s for s in seconds[1]]),
        "parameters": [params, peer_params],
        "flops": [flops, peer_flops],
        "reverie": ours.how,
        "peer": peer.how,
    }


def spread(values: list[float]) -> dict[str, float]:
    """Least, middle and greatest."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def show(name: str, found: dict) -> None:
    """One comparison as a person reads it."""
    print(f"\n{name}\n  Reverie: {found['reverie']}\n  peer:    {found['peer']}")
    for key, unit in (("images_per_second", "img/s"), ("peer_images_per_second", "img/s"), ("ratio", "x")):
        v = found[key]
        print(f"  {key:24s} min {v['min']:7.2f}   median {v['median']:7.2f}   max {v['max']:7.2f} {unit}")
    for key in ("parameters", "flops"):
        a, b = found[key]
        print(f"  {key:24s} {a / 1e6:.2f} M against {b / 1e6:.2f} M ({a / b - 1:+.1%})")


def main() -> None:
    """Run both comparisons; print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="also write the figures there")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "versions": {
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "python": platform.python_version(),
        },
        "threads": asked.threads,
        "rounds": asked.rounds,
        "default": compare(reverie_unet(), peer_default(), asked.rounds),
        "same heads": compare(reverie_unet(), peer_same(), asked.rounds),
    }
    for name in ("default", "same heads"):
        show(name, result[name])
    text = json.dumps(result, indent=1)
    print("\n" + text)
    if asked.json:
        with open(asked.json, "w") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
