"""Real pictures, and the faults that data comes with, each made on purpose."""

import hashlib
import io
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from sklearn.datasets import load_sample_images


def photos(count=24, side=70):
    """Cuts of one photograph, (N, side, side, 3) uint8, none of them near another."""
    whole = load_sample_images().images[0]
    return np.stack([whole[i : i + side, j : j + side] for i in range(140, 420, side) for j in range(0, 630, side)])[
        :count
    ]


def encoded(pixels, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def tiff(pixels):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None)
    return file.getvalue()


def brighter(pixels, by=25):
    return np.clip(pixels.astype(int) + by, 0, 255).astype(np.uint8)


def halved(pixels):
    return np.asarray(Image.fromarray(pixels).resize((pixels.shape[1] // 2, pixels.shape[0] // 2)))


def lay(root, files):
    """Write {path: bytes} below a folder."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def album():
    """24 good photographs in two classes; faults among them: {name: (bytes, rule, what `prepare` does if told to)}."""
    pictures = photos()
    good = {f"{'cats' if k % 2 else 'dogs'}/p{k:02d}.png": encoded(p) for k, p in enumerate(pictures)}
    faults = {
        "cats/z-copy.png": (good["cats/p01.png"], "duplicate", "dropped"),
        "dogs/z-copy-of-a-cat.png": (good["cats/p03.png"], "duplicate", "dropped"),
        "cats/z-again.jpg": (encoded(pictures[9], "JPEG", quality=75), "near duplicate", "dropped"),
        "dogs/z-brighter.png": (encoded(brighter(pictures[10])), "near duplicate", "dropped"),
        "dogs/z-smaller.png": (encoded(halved(pictures[8])), "near duplicate", "dropped"),
        "cats/z-blank.png": (encoded(np.full((70, 70, 3), 128, np.uint8)), "outlier", "dropped"),
        "cats/z-cut-off.png": (good["cats/p11.png"][:3000], "broken", "quarantined"),
        "dogs/z-empty.jpg": (b"", "broken", "quarantined"),
        "dogs/z-words.png": (b"these are words", "broken", "quarantined"),
    }
    return good, faults


def tree(root):
    """Every file below a folder: its bytes by hash, and when it was last changed."""
    return {
        str(p.relative_to(root)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in sorted(Path(root).rglob("*"))
        if p.is_file()
    }


def contents(root):
    return {name: sha for name, (sha, _) in tree(root).items()}
