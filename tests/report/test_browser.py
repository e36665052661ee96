"""The page in a browser: it renders, fits the width, and says nothing in the console."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROBE = """<script>
const r = document.documentElement, bad = [...document.images].filter(i => !i.complete || !i.naturalWidth).length;
document.title = [innerWidth, r.scrollWidth, document.images.length, bad].join(" ");
</script></body>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install -y chromium"),
]


def browse(folder, html, *flags, width=1280):
    """Standard output, and what the console said."""
    file = folder / "page.html"
    file.write_text(html, encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
               f"--user-data-dir={folder / 'profile'}", f"--window-size={width},6000", *flags, file.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_renders_on_light_and_dark(page, tmp_path, scheme):
    flags = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    shot = tmp_path / "page.png"
    _, console = browse(tmp_path, page, f"--screenshot={shot}", *flags)
    assert console == []
    seen = np.asarray(Image.open(shot).convert("RGB"))
    paper, accent = (
        ((0xFB, 0xFA, 0xF8), (0x5A, 0x48, 0xC9)) if scheme == "light" else ((0x14, 0x13, 0x18), (0xA7, 0x9B, 0xFF))
    )
    assert (seen[4, 4] == paper).all()
    assert (seen == accent).all(axis=2).sum() > 1000  # charts and links have taken the scheme's colour


@pytest.mark.parametrize("width", [1280, 800, 500])
def test_it_fits_the_width_and_every_picture_decodes(page, tmp_path, width):
    dom, console = browse(tmp_path, page.replace("</body>", PROBE), "--dump-dom", width=width)
    assert console == []
    inner, scroll, images, bad = map(int, re.search(r"<title>([\d ]+)</title>", dom)[1].split())
    assert inner <= width
    assert scroll <= inner
    assert images == page.count("<img") > 50
    assert bad == 0
