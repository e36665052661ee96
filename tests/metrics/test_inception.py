"""The Inception network against figures of a public port of it, and against files that are not its weights."""

import pickle

import numpy as np
import pytest
import safetensors.torch
import torch

from reverie.errors import ReverieError
from reverie.metrics.inception import Inception, prepare


def convolutions():
    """Name -> (in, out, height, width) of every convolution of the 2015-12-05 graph."""
    found = {"Conv2d_1a_3x3": (3, 32, 3, 3), "Conv2d_2a_3x3": (32, 32, 3, 3), "Conv2d_2b_3x3": (32, 64, 3, 3)}
    found |= {"Conv2d_3b_1x1": (64, 80, 1, 1), "Conv2d_4a_3x3": (80, 192, 3, 3)}
    for b, n, pool in (("Mixed_5b", 192, 32), ("Mixed_5c", 256, 64), ("Mixed_5d", 288, 64)):
        found |= {
            f"{b}.branch1x1": (n, 64, 1, 1),
            f"{b}.branch5x5_1": (n, 48, 1, 1),
            f"{b}.branch5x5_2": (48, 64, 5, 5),
        }
        found |= {f"{b}.branch3x3dbl_1": (n, 64, 1, 1), f"{b}.branch3x3dbl_2": (64, 96, 3, 3)}
        found |= {f"{b}.branch3x3dbl_3": (96, 96, 3, 3), f"{b}.branch_pool": (n, pool, 1, 1)}
    found |= {"Mixed_6a.branch3x3": (288, 384, 3, 3), "Mixed_6a.branch3x3dbl_1": (288, 64, 1, 1)}
    found |= {"Mixed_6a.branch3x3dbl_2": (64, 96, 3, 3), "Mixed_6a.branch3x3dbl_3": (96, 96, 3, 3)}
    for b, c in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        found |= {f"{b}.branch1x1": (768, 192, 1, 1), f"{b}.branch_pool": (768, 192, 1, 1)}
        found |= {
            f"{b}.branch7x7_1": (768, c, 1, 1),
            f"{b}.branch7x7_2": (c, c, 1, 7),
            f"{b}.branch7x7_3": (c, 192, 7, 1),
        }
        found |= {f"{b}.branch7x7dbl_1": (768, c, 1, 1), f"{b}.branch7x7dbl_2": (c, c, 7, 1)}
        found |= {f"{b}.branch7x7dbl_3": (c, c, 1, 7), f"{b}.branch7x7dbl_4": (c, c, 7, 1)}
        found |= {f"{b}.branch7x7dbl_5": (c, 192, 1, 7)}
    found |= {"Mixed_7a.branch3x3_1": (768, 192, 1, 1), "Mixed_7a.branch3x3_2": (192, 320, 3, 3)}
    found |= {"Mixed_7a.branch7x7x3_1": (768, 192, 1, 1), "Mixed_7a.branch7x7x3_2": (192, 192, 1, 7)}
    found |= {"Mixed_7a.branch7x7x3_3": (192, 192, 7, 1), "Mixed_7a.branch7x7x3_4": (192, 192, 3, 3)}
    for b, n in (("Mixed_7b", 1280), ("Mixed_7c", 2048)):
        found |= {
            f"{b}.branch1x1": (n, 320, 1, 1),
            f"{b}.branch_pool": (n, 192, 1, 1),
            f"{b}.branch3x3_1": (n, 384, 1, 1),
        }
        found |= {f"{b}.branch3x3_2a": (384, 384, 1, 3), f"{b}.branch3x3_2b": (384, 384, 3, 1)}
        found |= {f"{b}.branch3x3dbl_1": (n, 448, 1, 1), f"{b}.branch3x3dbl_2": (448, 384, 3, 3)}
        found |= {f"{b}.branch3x3dbl_3a": (384, 384, 1, 3), f"{b}.branch3x3dbl_3b": (384, 384, 3, 1)}
    return found


def drawn_weights():
    """Weights by Philox, the same on every machine."""
    rng = np.random.Generator(np.random.Philox(key=7))
    found = {}
    for name, (n, out, height, width) in convolutions().items():
        kernel = rng.standard_normal((out, n, height, width), dtype=np.float32) * np.sqrt(2 / (n * height * width))
        found[f"{name}.conv.weight"] = kernel.astype(np.float32)
        found[f"{name}.bn.weight"] = rng.uniform(0.5, 1, out).astype(np.float32)
        found[f"{name}.bn.bias"] = 0.1 * rng.standard_normal(out, dtype=np.float32)
        found[f"{name}.bn.running_mean"] = 0.1 * rng.standard_normal(out, dtype=np.float32)
        found[f"{name}.bn.running_var"] = rng.uniform(0.5, 1.5, out).astype(np.float32)
    found |= {"fc.weight": np.zeros((1008, 2048), np.float32), "fc.bias": np.zeros(1008, np.float32)}
    return {k: torch.from_numpy(v) for k, v in found.items()}


def picture():
    return np.random.Generator(np.random.Philox(key=8)).integers(0, 256, (1, 3, 41, 64), dtype=np.uint8)


# From torch-fidelity 0.4.0's port, given `drawn_weights()` and `picture()`: features 0, 500 .. 2000; all summed.
THEIRS = [0.0450075, 0.205727, 0.0409366, 0.167457, 0.0, 165.968]


def test_features_are_those_of_a_public_port_given_the_same_weights(tmp_path):
    file = tmp_path / "inception.safetensors"
    safetensors.torch.save_file(drawn_weights(), file)
    found = Inception(str(file))(picture().astype(np.float32) / 127.5 - 1)[0]
    assert found.shape == (2048,)
    np.testing.assert_allclose([*found[[0, 500, 1000, 1500, 2000]], found.sum()], THEIRS, rtol=1e-4)
    assert Inception(str(file)).titles["Frechet distance"] == "FID"


def test_pixels_are_resized_by_the_literature_s_rule():
    """Pixel i samples i * size / 299: pixel 0 is the first itself, a ramp stays a ramp, and the last repeats."""
    ramp = torch.arange(0, 200, 2).reshape(1, 1, 1, 100).expand(1, 1, 50, 100) / 127.5 - 1
    found = prepare(ramp) * 128 + 128
    assert found.shape == (1, 3, 299, 299)
    expected = np.minimum(2 * np.arange(299) * 100 / 299, 198)
    np.testing.assert_allclose(found[0, 2, 298].numpy(), expected, atol=1e-3)


@pytest.mark.parametrize(
    "write", [lambda f: f.write_bytes(pickle.dumps({"a": 1})), lambda f: torch.save({"a": torch.ones(1)}, f)]
)
def test_pickled_weights_are_refused_with_the_way_out(write, tmp_path):
    file = tmp_path / "weights.safetensors"
    write(file)
    with pytest.raises(ReverieError, match=r"not a safetensors file.*pydoc reverie\.metrics\.inception"):
        Inception(str(file))(np.zeros((1, 3, 8, 8), np.float32))


def test_another_network_or_no_file_or_other_channels_are_refused(tmp_path):
    file = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"fc.weight": torch.zeros(1000, 2048)}, file)
    with pytest.raises(ReverieError, match="would not be FID"):
        _ = Inception(str(file)).hash
    with pytest.raises(ReverieError, match="There is no file"):
        _ = Inception(str(tmp_path / "none")).hash
    with pytest.raises(ReverieError, match="random-conv"):
        Inception(str(file))(np.zeros((1, 4, 8, 8), np.float32))
