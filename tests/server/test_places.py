"""A model's name leads to its folder under RUNS and nowhere else."""

import pytest

from reverie.server.places import NoModel, model_at, models, place_of

ELSEWHERE = [
    "..", "../secret", "a/../../secret", "a/..", "./a", "a/./b", "a//b", "/etc", "//etc", "", "/", "a/",
    "%2e%2e/secret", "%252e%252e", "..%2fsecret", "..\\secret", "a\\b", "C:\\x", "C:/x", "a\x00b", "\x00",
    "a\nb", "~", "~root", ".hidden", "a/.git", ".reverie-server", "a:b", "...", "a.", "a ", "\u2025/x",
    "\uff0e\uff0e/secret", "x" * 200, "a/b/c/d/e", "file:///etc", "link", "link/inner", "deep/out",
    "loop/loop",
]  # fmt: skip


@pytest.fixture
def runs(tmp_path):
    for place in ("runs/a", "runs/deep/b", "runs/Größe 2", "secret", "secret/inner", "runs/.reverie-server/c"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "model.json").write_text("{}")
    (tmp_path / "runs" / "deep" / "model.json").unlink(missing_ok=True)
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "runs" / "deep" / "out").symlink_to("../../secret")
    (tmp_path / "runs" / "same").symlink_to("a")
    (tmp_path / "runs" / "loop").symlink_to("loop")
    return tmp_path / "runs"


@pytest.mark.parametrize("name", ELSEWHERE)
def test_stops_path_traversal(runs, name):
    with pytest.raises(NoModel):
        model_at(runs, name)


@pytest.mark.parametrize("name", ["a", "deep/b", "Größe 2", "same"])
def test_finds_models_that_are_there(runs, name):
    assert model_at(runs, name) == runs / name


def test_lists_what_can_be_had_and_nothing_else(runs):
    assert list(models(runs)) == ["Größe 2", "a", "deep/b", "same"]


def test_a_folder_of_runs_may_itself_be_a_link(runs, tmp_path):
    (tmp_path / "alias").symlink_to(runs)
    assert model_at(tmp_path / "alias", "a").samefile(runs / "a")
    assert place_of(runs, "new/one") == runs / "new" / "one"
