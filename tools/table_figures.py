"""Pictures of a table's report, for docs/tables.md: the section of columns and that of columns together, as a browser shows them.

.venv/bin/python -m tools.table_figures runs/breast [--chromium PATH]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

FIGURES = Path(__file__).resolve().parent.parent / "docs" / "figures"
WIDTH, HEIGHT = 1000, 2600
COLUMNS, PAIRS = 9, 2  # of the least alike, and of those that hang together most
ONLY = """<style>header, footer, nav, section:not(#{0}), #{0} > p, #{0} > h2 {{ display: none !important }}
.marginals > *:nth-child(n + {1}), .plots > *:nth-child(n + {2}) {{ display: none !important }}
section {{ margin: 0 !important; border: 0 !important }}</style></head>"""


def main() -> None:
    """Read the words, take both pictures."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("run", type=Path)
    words.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    asked = words.parse_args()
    page = (asked.run / "report.html").read_text()
    for section in ("columns", "together"):
        picture = shot(page.replace("</head>", ONLY.format(section, COLUMNS + 1, PAIRS + 1), 1), asked.chromium)
        picture.quantize(64).save(FIGURES / f"tables_{section}.png", optimize=True)


def shot(page: str, chromium: str) -> Image.Image:
    """A page as a browser draws it, without its empty margins."""
    with tempfile.TemporaryDirectory() as folder:
        place, target = Path(folder) / "page.html", Path(folder) / "page.png"
        place.write_text(page)
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/profile",
        ]
        command = [chromium, *flags, f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={target}", place.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        seen = np.asarray(Image.open(target).convert("RGB"))
    drawn = (seen != seen[-1, -1]).any(2)
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    return Image.fromarray(seen[max(top - 12, 0) : bottom + 12, max(left - 12, 0) : right + 12])


if __name__ == "__main__":
    main()
