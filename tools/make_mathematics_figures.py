"""Draw the figures of docs/mathematics.md with the code they illustrate.

    .venv/bin/python -m tools.make_mathematics_figures [--out docs/figures] [--geometric FILE.json]

The denoisers are exact: the mixture of tests/core/exact.py, and two moons as a mixture of narrow Gaussians, one at each point.
--geometric: what benchmarks/geometric_beta.py --json wrote, for the figure of beta and T.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter
from sklearn.datasets import make_moons
from tests.core import exact
from torch import Tensor

from reverie import registry
from reverie.core.denoiser import Denoiser
from reverie.core.grids import Karras, Sigmas
from reverie.core.noise import Noise
from reverie.core.processes import Gaussian
from reverie.core.samplers import Heun, sample
from reverie.core.schedules import EDM, Cosine, Schedule
from reverie.core.shapes import expand, time_of

HERE = Path(__file__).resolve().parent.parent
HIGH, LOW = 20.0, 0.05
INK, PALE = "#1f2933", "#9aa5b1"
matplotlib.use("Agg")
plt.rcParams.update({
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": PALE, "text.color": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.titlesize": 10, "figure.dpi": 150,
    "legend.frameon": False, "svg.hashsalt": "reverie",
})  # fmt: skip
COLOURS = plt.get_cmap("tab10").colors


class Points(Denoiser):
    """The exact denoiser of narrow Gaussians about given points (N, 2)."""

    def __init__(self, schedule: Schedule, points: Tensor, sd: float) -> None:
        super().__init__()
        self.process = Gaussian(schedule, points.mean(0), points.var(0) + sd**2)
        self.points, self.sd = points, sd

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Posterior mean, (B, 2)."""
        n2 = expand(self.process.schedule.noise(time_of(t)), x_t) ** 2
        u = x_t / expand(self.process.schedule.alpha(time_of(t)), x_t)
        share = torch.softmax(-(torch.cdist(u, self.points) ** 2) / (2 * (self.sd**2 + n2)), 1)
        mean = share @ self.points
        return mean + self.sd**2 / (self.sd**2 + n2) * (u - mean)


class Counted(Denoiser):
    """A denoiser that counts its evaluations."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser, self.process, self.calls = denoiser, denoiser.process, 0

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """One evaluation more."""
        self.calls += 1
        return self.denoiser(x_t, t)


def schedules(out: Path) -> None:
    """alpha, sigma and log_snr of every registered schedule."""
    t = torch.linspace(0, 1, 401, dtype=torch.float64)
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    for number, (name, cls) in enumerate(registry.registered("schedules").items()):
        schedule, style = cls(), ("-", (0, (4, 3)))[number % 2]  # some lie on one another
        for axis, values in zip(axes, (schedule.alpha(t), schedule.sigma(t), schedule.log_snr(t)), strict=True):
            axis.plot(t, values, color=COLOURS[number % 10], ls=style, lw=1.5, label=name)
    for axis, title in zip(axes, ("signal, alpha", "noise, sigma", "log signal-to-noise ratio"), strict=True):
        axis.set(title=title, xlabel="t, from data to noise", xlim=(0, 1))
    axes[1].set(yscale="log", ylim=(3e-3, 120))
    axes[2].set(ylim=(-15, 20))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    save(figure, out / "schedules.png")


def forward_reverse(out: Path, count: int = 1500) -> None:
    """Two moons: noise added to the data above, the same noise levels on the way back below."""
    points = torch.from_numpy(make_moons(600, noise=0.0, random_state=0)[0])
    points = (points - points.mean(0)) / points.std()
    denoiser = Points(Cosine(), points, 0.08)
    levels = (0.0, 0.15, 0.4, 1.0, 2.5)
    schedule, process = denoiser.process.schedule, denoiser.process
    grid = Karras(n_max=40).times(schedule, 60)
    noise = Noise.of(0, count)
    x = process.prior(torch.empty(count, 2, dtype=torch.float64), noise, grid[0])
    walked: list[tuple[float, Tensor]] = []
    sample(denoiser, Heun(), grid, x, noise, lambda s: walked.append((s.s, s.x)))
    clean = points[torch.arange(count) % len(points)] + 0.08 * noise.at(1).normal(0, x)
    figure, axes = plt.subplots(2, len(levels), figsize=(11, 4.6), sharex=True, sharey=True, layout="constrained")
    for place, level in enumerate(levels):
        t = schedule.time_of_noise(torch.tensor(level, dtype=torch.float64)) if level else torch.tensor(0.0)
        back = len(levels) - 1 - place
        s, x = min(walked, key=lambda one: abs(one[0] - float(t)))
        for axis, cloud, title in (
            (axes[0, place], process.diffuse(clean, t, noise.at(2).normal(0, clean)), f"n = {level:g}"),
            (axes[1, back], x, f"n = {float(schedule.noise(torch.tensor(s, dtype=torch.float64))):.2g}"),
        ):
            axis.scatter(*cloud.T, s=1.2, color="#2563eb" if axis is axes[0, place] else "#c2410c", alpha=0.5, lw=0)
            axis.set(title=title, aspect="equal", xticks=[], yticks=[], xlim=(-3, 3), ylim=(-3, 3))
    axes[0, 0].set_ylabel("forward: data to noise")
    axes[1, 0].set_ylabel("reverse: noise to data")
    save(figure, out / "forward_reverse.png")


def trajectories(out: Path, count: int = 8) -> None:
    """The paths of five samplers from the same noise, in u = x / alpha, over the mixture's density."""
    chosen = ("ddim", "heun", "dpmpp-3m", "ancestral", "dpmpp-2m-sde")
    denoiser = exact.Mixture(EDM())
    grid = Karras(n_min=0.02, n_max=3).times(EDM(), 40)
    place = torch.linspace(-6, 6, 200, dtype=torch.float64)
    mesh = torch.stack(torch.meshgrid(place, place, indexing="xy"), -1)
    square = ((mesh[..., None, :] - exact.MEANS) ** 2).sum(-1)
    density = (exact.WEIGHTS / exact.STDS**2 * torch.exp(-square / (2 * exact.STDS**2))).sum(-1)
    figure, axes = plt.subplots(1, len(chosen), figsize=(11, 2.7), sharex=True, sharey=True, layout="constrained")
    for axis, name in zip(axes, chosen, strict=True):
        noise = Noise.of(3, count)
        x = denoiser.process.prior(torch.empty(count, 2, dtype=torch.float64), noise, grid[0])
        path = [x]
        sample(denoiser, registry.build("samplers", name), grid, x, noise, lambda s, path=path: path.append(s.x))
        lines = torch.stack(path).numpy()
        axis.contourf(place, place, density, levels=[0.02, 0.1, 0.4, 1.2, 4], cmap="Greys", alpha=0.5, extend="max")
        for k in range(count):
            axis.plot(*lines[:, k].T, color=COLOURS[k % 10], lw=0.9)
            axis.plot(*lines[-1, k], "o", color=COLOURS[k % 10], ms=2.5)
        axis.set(title=f"{name}, 40 steps", aspect="equal", xlim=(-4, 4), ylim=(-4, 4), xticks=[], yticks=[])
    save(figure, out / "trajectories.png")


def error_nfe(out: Path) -> None:
    """Root mean square error at n = 0.05 of every sampler that has an order, by evaluations of the network."""
    start, end = exact.ode_solution(HIGH, LOW, 64)
    figure, axis = plt.subplots(figsize=(7.5, 4.6), layout="constrained")
    known = {k: c for k, c in registry.registered("samplers").items() if c().order and k != "adaptive"}
    for number, (name, cls) in enumerate(known.items()):
        points = []
        for steps in (8, 16, 32, 64, 128, 256, 512):
            counted = Counted(exact.Mixture(EDM()))
            grid = Karras(n_min=LOW, n_max=HIGH).times(EDM(), steps + 1)[:-1]
            x = sample(counted, cls(), grid, start, Noise.of(0, 64))
            points.append((counted.calls, float(((x - end) ** 2).mean().sqrt())))
        label = f"{name} (order {cls().order:g})"
        axis.plot(*zip(*points, strict=True), "o-", ms=3, lw=1.3, color=COLOURS[number % 10], label=label)
    points = []
    for tolerance in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7):
        counted = Counted(exact.Mixture(EDM()))
        sampler = registry.build("samplers", f"adaptive:rtol={tolerance},atol={tolerance}")
        x = sample(counted, sampler, Sigmas((HIGH, LOW)).times(EDM(), 2)[:-1], start, Noise.of(0, 64))
        points.append((counted.calls, float(((x - end) ** 2).mean().sqrt())))
    axis.plot(*zip(*points, strict=True), "k--", lw=1.1, label="adaptive, by tolerance")
    axis.set(
        xscale="log", yscale="log", xlabel="evaluations of the network", ylabel="root mean square error", ylim=(1e-9, 1)
    )
    axis.legend(fontsize=8)
    save(figure, out / "error_nfe.png")


def geometric(out: Path, found: dict[str, Any]) -> None:
    """Quality, diversity and cost of the geometric schedule, by beta and T: median and range of the seeds."""
    shown = {"Frechet distance": "Frechet distance (lower is better)", "Precision": "precision", "Recall": "recall"}
    rows = {k: v for k, v in found["rows"].items() if k.startswith("geometric")}
    cells = {k: (float(k.split("= ")[1].split(",")[0]), int(k.split("T = ")[1])) for k in rows}
    betas = sorted({b for b, _ in cells.values()})
    figure, axes = plt.subplots(1, len(shown), figsize=(11, 3.2), layout="constrained")
    for axis, (column, title) in zip(axes, shown.items(), strict=True):
        for colour, beta in zip(("#2563eb", "#0f766e", "#c2410c"), betas, strict=False):
            mine = sorted((T, [r[column] for r in rows[k]]) for k, (b, T) in cells.items() if b == beta)
            places = [T for T, _ in mine]
            axis.plot(
                places, [statistics.median(v) for _, v in mine], "o-", ms=4, color=colour, label=f"beta = {beta:g}"
            )
            axis.fill_between(
                places, [min(v) for _, v in mine], [max(v) for _, v in mine], color=colour, alpha=0.15, lw=0
            )
        for name, style in (("EDM, Heun in 18 steps", "--"), ("linear chain, 250 of 1,000 steps", ":")):
            axis.axhline(
                statistics.median(r[column] for r in found["rows"][name]), color=INK, ls=style, lw=1, label=name
            )
        axis.set(xscale="log", title=title, xlabel="T, evaluations for one sample")
    axes[0].set(yscale="log")
    axes[0].yaxis.set_major_locator(FixedLocator([2, 3, 5, 10, 20]))
    for axis in axes:
        axis.xaxis.set_major_locator(FixedLocator(sorted({T for _, T in cells.values()})))
    for axis in (axes[0].yaxis, *(a.xaxis for a in axes)):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(ScalarFormatter())
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    save(figure, out / "geometric_beta.png")


def save(figure: Any, path: Path) -> None:
    """Write a picture without the date in it, so that the same code gives the same bytes."""
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)
    print(path)


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "docs" / "figures")
    parser.add_argument("--geometric", type=Path, default=HERE / "docs" / "figures" / "geometric_beta.json")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for draw in (schedules, forward_reverse, trajectories, error_nfe):
        draw(asked.out)
    if asked.geometric.is_file():
        geometric(asked.out, json.loads(asked.geometric.read_text()))


if __name__ == "__main__":
    main()
