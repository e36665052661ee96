"""Grey patches of the photographs that scikit-image ships: some to train on, others held out."""

from __future__ import annotations

import numpy as np

SIDE = 32
TRAINING = ("astronaut", "chelsea", "brick", "grass", "gravel", "coins", "moon", "hubble_deep_field", "motorcycle_left")
HELD_OUT = ("camera", "coffee", "rocket")
_FILES = {"hubble_deep_field": "hubble_deep_field.jpg", "rocket": "rocket.jpg"}


def photograph(name: str) -> np.ndarray:
    """One of them, grey, float32 (H, W) in [0, 1]."""
    from skimage import data
    from skimage.color import rgb2gray
    from skimage.io import imread
    from skimage.util import img_as_float32

    picture = imread(f"{data.__path__[0]}/{_FILES.get(name, name + '.png')}")
    grey = rgb2gray(picture[..., :3]) if picture.ndim == 3 else img_as_float32(picture)
    return grey.astype(np.float32)


def corners(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> np.ndarray:
    """Upper left corners of patches at random, (count, 2)."""
    return np.stack([rng.integers(0, side - SIDE + 1, count) for side in shape], 1)


def patches(names: tuple[str, ...], each: int, seed: int = 0) -> np.ndarray:
    """Patches of photographs, `each` of them from every one, float32 (N, SIDE, SIDE, 1)."""
    rng = np.random.default_rng(seed)
    found = [
        picture[i : i + SIDE, j : j + SIDE]
        for picture in map(photograph, names)
        for i, j in corners(picture.shape, each, rng)
    ]
    return np.stack(found)[..., None]
