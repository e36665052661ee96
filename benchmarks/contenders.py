"""The contenders of quality_at_budget.py, each trained in a process of its own: prints one JSON object.

    python benchmarks/contenders.py NAME --train train.npy --out samples.npz --seconds 60 --seed 0 --threads 2 -n 500

A contender is train(x, seconds, seed) -> Trained: x (N, 1, 8, 8) float32 in [-1, 1] are the training digits, and the clock
runs from the call. The two libraries' training loops are written out here, with the data in memory as one tensor: their own
read, decode and resize a PNG at every use, which would cost them most of the minute at 8x8. For the same reason they are
spared what their recipes spend on pictures and checkpoints, while Reverie's budget includes its own validation and pictures.
Where a recipe's setting depends on a run's length in steps, it is told the clock instead, so that it is annealed at the end.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.machinery
import json
import math
import platform
import sys
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

Draw = Callable[[int, int], np.ndarray]  # (n, seed) -> (n, 1, 8, 8) in [-1, 1]
SIDE = 8


@dataclass
class Trained:
    """A trained contender: the network whose evaluations are counted, what it took, and how it is sampled."""

    network: nn.Module
    steps: int
    images: int
    samplers: dict[str, Draw]
    split: str | None = None


def batches(x: Tensor, size: int) -> Iterator[Tensor]:
    """Batches without end, shuffled anew each epoch, as a DataLoader with shuffle=True gives them."""
    while True:
        for part in torch.randperm(len(x)).split(size):
            yield x[part]


def until(deadline: float, step: Callable[[], int]) -> tuple[int, int]:
    """Take steps until the time is up; (steps, images), where a step says how many images it saw."""
    steps = images = 0
    while time.monotonic() < deadline:
        images += step()
        steps += 1
    return steps, images


# Reverie, and diffusers' network under Reverie's recipe


def train_reverie(seconds: float, seed: int, label_from: str, network: nn.Module | None = None) -> Trained:
    """Reverie with its defaults; it reads and splits the packaged digits itself, within its budget."""
    import reverie

    model = reverie.train(
        "digits",
        network=network,
        label_from=label_from,
        budget=f"{seconds}s",
        seed=seed,
        threads=torch.get_num_threads(),
    )

    def draw(n: int, seed: int) -> np.ndarray:
        return model.sample(n, seed=seed).x

    chosen = model.defaults
    record, name = model.record, f"{chosen.sampler}-{chosen.steps}"
    return Trained(model.denoiser.network, record["step"], record["images_seen"], {name: draw}, model.card["split"])


def reverie_unconditional(x: Tensor, seconds: float, seed: int) -> Trained:
    """Told no labels, as the libraries' recipes are not."""
    return train_reverie(seconds, seed, "none")


def reverie_labelled(x: Tensor, seconds: float, seed: int) -> Trained:
    """Reverie's default on digits: class-conditional, sampled without guidance in the training proportions."""
    return train_reverie(seconds, seed, "folder")


class PeerNetwork(nn.Module):
    """diffusers' U-Net called as Reverie calls a network.

    Its sinusoids turn with 1 to 1e-4 of the number it is told; 32 level makes the fastest that of Reverie's own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unet = diffusers_unet()

    def forward(self, x: Tensor, level: Tensor, cond: dict) -> Tensor:
        return self.unet(x, 32 * level).sample


def diffusers_network(x: Tensor, seconds: float, seed: int) -> Trained:
    """diffusers' U-Net; all else as in `reverie_unconditional`."""
    torch.manual_seed(seed)
    return train_reverie(seconds, seed, "none", PeerNetwork())


# diffusers


def diffusers_unet() -> nn.Module:
    """UNet2DModel of the plan of Reverie's network: levels, widths, blocks, attention, heads; parameters within 5 %.

    Its example's six levels are for 64 pixels and more. 8 groups for its default 32, which would be of one channel each, and
    Reverie's wider heads for its default 8, as they are faster.
    """
    from diffusers import UNet2DModel

    from reverie.networks.base import Block
    from reverie.networks.unet import UNet

    plan = UNet.sized("small", {"x": Block((1, SIDE, SIDE))}).config
    attend = [level in plan["attention"] for level in range(len(plan["multipliers"]))]
    return UNet2DModel(
        sample_size=SIDE,
        in_channels=1,
        out_channels=1,
        layers_per_block=plan["blocks"],
        block_out_channels=tuple(plan["width"] * m for m in plan["multipliers"]),
        down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attend),
        up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attend)),
        norm_num_groups=8,
        attention_head_dim=plan["head_dim"],
    )


def diffusers_recipe(x: Tensor, seconds: float, seed: int, batch: int) -> Trained:
    """examples/unconditional_image_generation/train_unconditional.py with its defaults and --use_ema.

    Linear beta over 1,000 steps, the noise predicted, AdamW 1e-4 (0.95, 0.999) with weight decay 1e-6, 500 steps of
    warm-up, then a cosine to 0, gradients clipped at 1, EMA up to 0.9999 with inv_gamma 1 and power 3/4.
    """
    deadline, start = time.monotonic() + seconds, time.monotonic()
    from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler
    from diffusers.training_utils import EMAModel

    torch.manual_seed(seed)
    network, schedule, data = diffusers_unet(), DDPMScheduler(1000), batches(x, batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8)
    average = EMAModel(network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    warm = 500
    warmed_at = start

    def rate(step: int) -> float:
        """Its get_cosine_schedule_with_warmup, with the share of the time left in the place of that of the steps."""
        nonlocal warmed_at
        if step < warm:
            warmed_at = time.monotonic()
            return step / warm
        share = (time.monotonic() - warmed_at) / max(deadline - warmed_at, 1e-3)
        return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))

    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)

    def step() -> int:
        clean = next(data)
        noise, t = torch.randn_like(clean), torch.randint(0, 1000, (len(clean),))
        said = network(schedule.add_noise(clean, noise, t), t).sample
        torch.nn.functional.mse_loss(said, noise).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        rates.step()
        optimiser.zero_grad()
        average.step(network.parameters())
        return len(clean)

    steps, images = until(deadline, step)
    average.copy_to(network.parameters())
    network.eval()

    def draw(kind: type, scheduler: object, nfe: int) -> Draw:
        pipeline = kind(unet=network, scheduler=scheduler)
        pipeline.set_progress_bar_config(disable=True)

        def drawn(n: int, seed: int) -> np.ndarray:
            generator = torch.Generator().manual_seed(seed)
            made = pipeline(batch_size=n, generator=generator, num_inference_steps=nfe, output_type="np").images
            return made.transpose(0, 3, 1, 2) * 2 - 1

        return drawn

    implicit = DDIMScheduler.from_config(schedule.config)
    ways = {"DDIM-50": draw(DDIMPipeline, implicit, 50)}
    if batch == 16 and seed == 0:  # the example as it stands is sampled in all 1,000 steps; that takes minutes, so once
        ways["DDPM-1000"] = draw(DDPMPipeline, schedule, 1000)
    return Trained(network, steps, images, ways)


def diffusers_16(x: Tensor, seconds: float, seed: int) -> Trained:
    """The example's own batch of 16."""
    return diffusers_recipe(x, seconds, seed, 16)


def diffusers_128(x: Tensor, seconds: float, seed: int) -> Trained:
    """Reverie's batch of 128."""
    return diffusers_recipe(x, seconds, seed, 128)


# denoising-diffusion-pytorch


def stub_torchvision() -> None:
    """Stand in for torchvision, of which the package imports two names that only its reader of image folders uses."""
    for name in ("torchvision", "torchvision.transforms", "torchvision.utils"):
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


def denoising_diffusion_pytorch(x: Tensor, seconds: float, seed: int) -> Trained:
    """Its README's Unet + GaussianDiffusion + Trainer: v predicted, sigmoid schedule, DDIM in 250 steps.

    Trainer's step: Adam 8e-5 (0.9, 0.99), two batches of 32, gradients clipped at 1, EMA 0.995 every tenth step. Levels as
    Reverie's (its four would end at 1x1) and dim 28 for 64, for parameters within 5 % of Reverie's; no mixed precision, which
    is for GPUs, and no mirrored digits (a default of Trainer), which would count against it.
    """
    deadline = time.monotonic() + seconds
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet
    from ema_pytorch import EMA

    torch.manual_seed(seed)
    network = Unet(dim=28, dim_mults=(1, 2, 2), channels=1, flash_attn=True)
    model = GaussianDiffusion(network, image_size=SIDE, timesteps=1000, sampling_timesteps=250)
    optimiser = torch.optim.Adam(model.parameters(), lr=8e-5, betas=(0.9, 0.99))
    average = EMA(model, beta=0.995, update_every=10)
    data, accumulate = batches((x + 1) / 2, 32), 2

    def step() -> int:
        seen = 0
        for _ in range(accumulate):
            clean = next(data)
            (model(clean) / accumulate).backward()
            seen += len(clean)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        average.update()
        return seen

    steps, images = until(deadline, step)
    average.ema_model.eval()

    def drawn(n: int, seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        return average.ema_model.sample(batch_size=n).numpy() * 2 - 1

    return Trained(average.ema_model.model, steps, images, {"DDIM-250": drawn})


CONTENDERS: dict[str, Callable[[Tensor, float, int], Trained]] = {
    "reverie": reverie_unconditional,
    "reverie-labelled": reverie_labelled,
    "diffusers-network": diffusers_network,
    "diffusers-16": diffusers_16,
    "diffusers-128": diffusers_128,
    "denoising-diffusion-pytorch": denoising_diffusion_pytorch,
}


def imported(name: str) -> dict[str, str]:
    """Import what a contender needs, off its clock; versions of it."""
    needs = {
        "denoising": ["denoising_diffusion_pytorch", "ema_pytorch"],
        "diffusers": ["diffusers.pipelines.ddim", "reverie.networks.unet"],
    }
    ours = ["reverie.api", "sklearn.datasets"]
    family = name.partition("-")[0]
    modules = needs.get(family, []) + (ours if name in ("reverie", "reverie-labelled", "diffusers-network") else [])
    if family == "denoising":
        stub_torchvision()
    for module in modules:
        importlib.import_module(module)
    packages = {"torch", "numpy", *(m.partition(".")[0].replace("_", "-") for m in modules)} - {"sklearn"}
    return {"python": platform.python_version(), **{p: version(p) for p in sorted(packages)}}


def counted(network: nn.Module, draw: Draw, n: int, seed: int) -> tuple[np.ndarray, dict[str, float]]:
    """Draw n samples; and the network evaluations each took, and the seconds all took."""
    rows = 0

    def count(module: nn.Module, given: tuple) -> None:
        nonlocal rows
        rows += len(given[0])

    hook = network.register_forward_pre_hook(count)
    begin = time.monotonic()
    made = draw(n, seed)
    took = time.monotonic() - begin
    hook.remove()
    return made, {"nfe": rows / n, "seconds": took}


def main() -> None:
    """Train one contender, draw from it in each of its ways, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("-n", type=int, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    versions = imported(asked.name)
    x = torch.from_numpy(np.load(asked.train))

    begin = time.monotonic()
    trained = CONTENDERS[asked.name](x, asked.seconds, asked.seed)
    took = time.monotonic() - begin
    made, sampling = {}, {}
    for way, draw in trained.samplers.items():
        made[way], sampling[way] = counted(trained.network, draw, asked.n, asked.seed)
    np.savez(asked.out, **made)
    facts = {
        "parameters": sum(p.numel() for p in trained.network.parameters()),
        "steps": trained.steps,
        "images": trained.images,
        "seconds": took,
        "split": trained.split,
        "threads": torch.get_num_threads(),
        "versions": versions,
        "sampling": sampling,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
