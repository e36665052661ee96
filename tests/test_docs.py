"""The pages that people read: what they name exists, and what exists of the mathematics is named."""

import importlib
import re
from pathlib import Path

import pytest
import torch

from reverie import registry

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
MATHEMATICS = (ROOT / "docs" / "mathematics.md").read_text()
NAMES = sorted(set(re.findall(r"`((?:core|training)\.[A-Za-z0-9_.]+)`", MATHEMATICS)))


def found(name):
    """The object that a dotted name within reverie stands for."""
    words = name.split(".")
    for cut in range(len(words), 0, -1):
        try:
            thing = importlib.import_module(".".join(["reverie", *words[:cut]]))
        except ModuleNotFoundError:
            continue
        for word in words[cut:]:
            thing = getattr(thing, word)
        return thing
    raise LookupError(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_beside_a_formula_exists(name):
    assert found(name).__doc__


ROOMS = [
    "schedules",
    "survivals",
    "processes",
    "parameterisations",
    "times",
    "weightings",
    "grids",
    "guidance",
    "measurements",
    "samplers",
    "families",
    "couplings",
]


@pytest.mark.parametrize("room", ROOMS)
def test_everything_registered_of_the_mathematics_is_on_the_page(room):
    shown = {found(name) for name in NAMES}
    assert not [name for name, cls in registry.registered(room).items() if cls not in shown]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_pictures_are_there(page):
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_page_s_own_code_runs_and_does_what_it_says():
    """Pairwise means of the samples lie within the measurement's noise of what was measured, and the prior pulls a little."""
    code = re.findall(r"```python\n(.*?)```", MATHEMATICS, re.S)
    space = {}
    exec("\n".join(code), space)
    means = space["x"].unflatten(2, (2, 2)).mean(3).mean((0, 1))
    expected = (
        torch.tensor([1.0, -1.0]) * 0.5 / (0.5 + 0.01)
    )  # prior variance of a mean of two is 1/2, the noise's 0.01
    assert torch.allclose(means, expected, atol=0.02)
