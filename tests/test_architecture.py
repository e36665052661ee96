"""The house rules that a machine can check: imports go one way, files stay short, every registered class is documented."""

import ast
from pathlib import Path

import pytest

from reverie import registry

SRC = Path(__file__).parent.parent / "src" / "reverie"
ORDER = [  # from left to right; a module may import only from its own place and those before it
    {"errors", "example", "registry", "files"},
    {"core.shapes", "core.ode"},
    {"core.schedules", "core.survival"},
    {"core.noise", "core.brownian"},
    {"core.processes"},
    {"core.parameterisation", "core.times", "core.weighting", "core.grids"},
    {"core.readings"},
    {"core.denoiser"},
    {"core.guidance"},
    {"core.samplers"},
    {"core.likelihood", "core.bound", "core.level"},
    {"data", "datasets"},
    {"conditions"},
    {"model"},
    {"training", "tasks", "evaluation", "report"},
    {"api"},
    {"server"},
    {"cli"},
]
LEAVES = {"networks", "codecs", "metrics"}  # join the core only in model and after


def rank(module):
    for place, names in enumerate(ORDER):
        if any(module == n or module.startswith(n + ".") for n in names):
            return place
    return None


def imports(path):
    """Modules of reverie that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name.removeprefix("reverie.") for a in node.names if a.name.startswith("reverie."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("reverie"):
            base = node.module.removeprefix("reverie").removeprefix(".")
            for alias in node.names:
                child = f"{base}.{alias.name}" if base else alias.name
                is_module = (SRC / child.replace(".", "/")).is_dir() or (
                    SRC / (child.replace(".", "/") + ".py")
                ).exists()
                yield child if is_module else base


FILES = sorted(SRC.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_go_one_way(path):
    me = ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")
    leaf = me.split(".")[0] in LEAVES
    for other in filter(None, imports(path)):
        room = other.split(".")[0]
        if leaf:
            assert room in {me.split(".")[0], "errors", "example", "registry", "files"}, f"{me} imports {other}"
        elif room in LEAVES:
            assert me in {"__init__", "__main__"} or (rank(me) or 99) >= rank("data"), f"{me} imports {other}"
        elif rank(me) is not None and rank(other) is not None:
            assert rank(other) <= rank(me), f"{me} imports {other}"


def test_the_rule_itself_bites(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from reverie.core import samplers\n    import reverie.tasks.generate\n")
    assert set(imports(bad)) == {"core.samplers", "tasks.generate"}
    assert rank("core.samplers") > rank("core.schedules")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("room", registry.ROOMS)
def test_every_registered_class_says_what_it_is_and_where_from(room):
    found = registry.registered(room)
    assert found
    for name, cls in found.items():
        assert registry.meaning(cls), name
        assert registry.source(cls), f"{name} in {room} names no source"
        registry.signature(cls)
