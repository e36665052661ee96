"""Train the digit features that ship with Reverie, on the training digits alone, and say how good they are.

    python tools/make_digits_features.py        # writes src/reverie/metrics/weights/digits-cnn.safetensors

Ten seconds. One thread and a fixed seed give the same bits on one machine; another machine's rounding may differ,
which is why the weights are shipped and hashed rather than made on the spot.
"""

import hashlib

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F

from reverie.data.split import split
from reverie.datasets import Digits
from reverie.metrics.features import WEIGHTS, DigitNet

SEED, EPOCHS, BATCH = 0, 20, 64
DROPOUT, SMOOTHING = 0.5, 0.1  # keep the features from collapsing onto ten points, where they would see classes only


def augmented(x: torch.Tensor) -> torch.Tensor:
    """Turn, scale and shift each digit a little: up to 10 degrees, 10 % and half a pixel."""
    n = len(x)
    angle = (torch.rand(n) * 2 - 1) * np.deg2rad(10)
    scale = 1 + (torch.rand(n) * 2 - 1) * 0.1
    shift = (torch.rand(n, 2) * 2 - 1) * (0.5 * 2 / x.shape[-1])
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    theta = torch.stack([torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x + 1, grid, align_corners=False) - 1  # outside the picture is black, -1


def train(x: np.ndarray, y: np.ndarray) -> DigitNet:
    """x: (N, 1, 8, 8) in [-1, 1], y: (N,) -> the trained network."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    net, images, labels = DigitNet(), torch.from_numpy(x), torch.from_numpy(y).long()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.05)
    steps = EPOCHS * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            features, _ = net(augmented(images[batch]))
            logits = net.last(F.dropout(features, DROPOUT))
            loss = F.cross_entropy(logits, labels[batch], label_smoothing=SMOOTHING)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def accuracy(net: DigitNet, x: np.ndarray, y: np.ndarray) -> float:
    with torch.no_grad():
        return float(np.mean(net(torch.from_numpy(x))[1].argmax(1).numpy() == y))


def main() -> None:
    data = Digits().load()
    sides = split(data)
    x, y = np.moveaxis(np.asarray(data.items), -1, 1).astype(np.float32) / 127.5 - 1, np.asarray(data.labels)
    net = train(x[sides.train], y[sides.train])
    file = WEIGHTS / "digits-cnn.safetensors"
    safetensors.torch.save_file(net.state_dict(), file, metadata={"split": sides.hash})
    content = file.read_bytes()
    right = [accuracy(net, x[side], y[side]) for side in (sides.train, sides.held_out)]
    print(f"trained on {len(sides.train):,} (split {sides.hash}), right on {right[0]:.2%} of them")
    print(f"right on {right[1]:.2%} of the {len(sides.held_out)} held out")
    print(f"{file}: {len(content):,} bytes, hash {hashlib.sha256(content).hexdigest()[:6]}")


if __name__ == "__main__":
    main()
