"""How good `reverie denoise` is where the best answer is known, and on photographs beside scikit-image's denoisers.

.venv/bin/python -m tools.denoise_figures train-field RUN SEED      # a model of a Gaussian field, 8x8
.venv/bin/python -m tools.denoise_figures field RUN...              # its mean beside the exact posterior's
.venv/bin/python -m tools.denoise_figures train-photographs RUN     # a model of 32x32 patches
.venv/bin/python -m tools.denoise_figures photographs RUN           # held-out photographs; docs/figures/denoise.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from tests.core.exact import smooth
from tools.photographs import HELD_OUT, SIDE, TRAINING, corners, patches, photograph

import reverie
from reverie.tasks.denoise import denoise

FIGURES = Path(__file__).parent.parent / "docs" / "figures"
COVARIANCE = 0.3**2 * smooth((8, 8))


def field(count: int, seed: int) -> np.ndarray:
    """Draws of a smooth Gaussian field, float32 (N, 8, 8, 1)."""
    g = torch.Generator().manual_seed(seed)
    root = torch.linalg.cholesky(COVARIANCE)
    return (torch.randn(count, 64, generator=g, dtype=torch.float64) @ root.T).float().reshape(count, 8, 8, 1).numpy()


def psnr(found: np.ndarray, truth: np.ndarray, span: float) -> float:
    return float(10 * np.log10(span**2 / ((found - truth) ** 2).mean()))


def on_field(runs: list[str], n: int = 1000) -> None:
    """Decibels by which each run's mean falls short of the posterior mean in closed form, over the same n draws."""
    values, basis = torch.linalg.eigh(COVARIANCE)
    for run in runs:
        model = reverie.load(run, threads=1)
        span = model.codec.high - model.codec.low
        for sigma in (0.05, 0.1, 0.2, 0.4):  # in units of x, the codec's [-1, 1]
            truth, noise = field(n, 7), np.random.default_rng(1).standard_normal((n, 8, 8, 1))
            own = sigma * span / 2
            noisy = (truth + own * noise).astype(np.float32)
            u = torch.from_numpy(noisy).double().reshape(n, 64) @ basis
            exact = ((u * values / (values + own**2)) @ basis.T).reshape(n, 8, 8, 1).numpy()
            made = denoise(model, noisy, sigma=str(sigma), samples=1, steps=1)
            best, mean = psnr(exact, truth, span), psnr(np.stack(made.means), truth, span)
            print(
                f"{run} sigma {sigma}: noisy {psnr(noisy, truth, span):.2f}, mean {mean:.2f}, exact {best:.2f} dB: "
                f"{best - mean:.3f} short (n = {n})",
                flush=True,
            )


def on_photographs(run: str, each: int = 50) -> None:
    """Patches of held-out photographs: the model sees a patch, the others a patch and the whole photograph."""
    from skimage.restoration import denoise_nl_means, denoise_wavelet

    model, numbers = reverie.load(run, threads=1), np.random.default_rng(3)

    def means(picture: np.ndarray, s: float) -> np.ndarray:
        return denoise_nl_means(picture, patch_size=5, patch_distance=6, h=0.8 * s, sigma=s, fast_mode=True)

    def wavelet(picture: np.ndarray, s: float) -> np.ndarray:
        return denoise_wavelet(picture, sigma=s, method="BayesShrink", mode="soft")

    for sigma in (0.1, 0.2, 0.4):
        s, errors = sigma / 2, {}
        for name in HELD_OUT:
            truth = photograph(name)
            noisy = (truth + s * numbers.standard_normal(truth.shape)).astype(np.float32)
            places = corners(truth.shape, each, numbers)

            def cut(picture: np.ndarray, places: np.ndarray = places) -> np.ndarray:
                return np.stack([picture[i : i + SIDE, j : j + SIDE] for i, j in places])

            seen, wanted = cut(noisy), cut(truth)
            made = denoise(model, seen[..., None], sigma=str(sigma), samples=1, steps=1)
            results = {
                "noisy": seen,
                "reverie": np.stack(made.means)[..., 0],
                "non-local means, patch": np.stack([means(one, s) for one in seen]),
                "wavelets, patch": np.stack([wavelet(one, s) for one in seen]),
                "non-local means, whole": cut(means(noisy, s)),
                "wavelets, whole": cut(wavelet(noisy, s)),
            }
            for key, found in results.items():
                error = ((found.clip(0, 1) if key != "noisy" else found) - wanted) ** 2
                errors.setdefault(key, []).append(10 * np.log10(1 / np.maximum(error.mean((1, 2)), 1e-6)))
            if name == "camera" and sigma == 0.2:
                picture = denoise(model, seen[:5, ..., None], sigma=str(sigma), samples=4, label=None).sheet()
                picture.quantize(64).save(FIGURES / "denoise.png", optimize=True)
        for key, found in errors.items():
            v = np.concatenate(found)
            by = ", ".join(f"{one.mean():.2f}" for one in found)
            print(
                f"sigma {sigma} {key}: {v.mean():.3f} +- {v.std(ddof=1) / len(v) ** 0.5:.3f}, n = {len(v)} ({by})",
                flush=True,
            )


if __name__ == "__main__":
    what, run, *rest = sys.argv[1:]
    if what == "train-field":
        reverie.train(
            field(20_000, 100 + int(rest[0])), run, size="tiny", steps=500, batch=64, threads=1, seed=int(rest[0])
        )
    if what == "field":
        on_field([run, *rest])
    if what == "train-photographs":
        options = {"augment": "flip,vflip,rotate90", "budget": "22m"}
        reverie.train(patches(TRAINING, 1500), run, size="tiny", batch=32, threads=1, seed=0, **options)
    if what == "photographs":
        on_photographs(run)
