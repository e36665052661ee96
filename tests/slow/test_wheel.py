"""What a person installs: a built wheel in an empty environment does the whole way from data to report."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.slow


def must(*command, cwd):
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_a_built_wheel_works_in_an_empty_environment(tmp_path):
    must(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", tmp_path / "dist", ROOT, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("reverie-*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    run = tmp_path / "env" / "bin"
    must(run / "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    assert "reverie" in must(run / "reverie", "--version", cwd=tmp_path)
    must(run / "reverie", "train", "digits", "-o", "run", "--steps", "5", "--size", "tiny", cwd=tmp_path)
    must(run / "reverie", "sample", "run", "-n", "2", "--steps", "3", cwd=tmp_path)
    must(run / "reverie", "evaluate", "run", "-n", "60", "--steps", "3", cwd=tmp_path)
    assert (tmp_path / "run" / "report.html").stat().st_size > 50_000
    here = must(run / "python", "-c", "import reverie; print(reverie.__file__)", cwd=tmp_path)
    assert str(tmp_path / "env") in here, "the wheel's own files, not the checkout's"
