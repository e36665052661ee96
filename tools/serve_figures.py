"""Pictures of the server's page for docs/serve.md, taken from a running `reverie serve RUNS`.

    python tools/serve_figures.py http://127.0.0.1:8000 recent.csv docs/figures

RUNS holds digits (`reverie train digits -o RUNS/digits`) and glucose, a model of series that recent.csv goes on with; see
docs/series.md. Needs Playwright and Debian's chromium.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
COLOURS = 200  # of a picture's palette: files stay small, and text sharp


def save(page: Page, path: Path) -> None:
    """The page as it stands, as a PNG with a palette."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(600)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def opened(browser: Browser, address: str, theme: str, width: int = 1180, height: int = 800) -> Page:
    """A new window there."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
    page.goto(address)
    page.wait_for_selector(".view > *")
    return page


def submitted(page: Page) -> None:
    """The form sent, and the result there."""
    page.click(".submit .is-main")
    page.wait_for_selector(".results", timeout=120_000)
    page.evaluate("scrollTo(0, 0)")


def sample(browser: Browser, address: str, path: Path) -> None:
    """Digits of four classes."""
    page = opened(browser, f"{address}/#/model/digits/sample", "light")
    for digit in (2, 3, 5, 8):
        page.locator(".chip-choice").nth(digit).click()
    page.fill("[data-field=n] input.number", "32")
    page.fill("[data-field=guidance] input.number", "2")
    submitted(page)
    save(page, path)


def complete(browser: Browser, address: str, path: Path) -> None:
    """The right half of a digit, filled in."""
    page = opened(browser, f"{address}/#/model/digits/complete", "dark", height=900)
    page.click("text=take a result")
    page.locator(".pick:has(img)").nth(3).click()
    page.wait_for_selector("canvas.paint")
    page.click("[data-tool=rectangle]")
    box = page.locator("canvas.paint").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 0.05 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.95 * box["width"], box["y"] + 0.95 * box["height"], steps=5)
    page.mouse.up()
    submitted(page)
    save(page, path)


def forecast(browser: Browser, address: str, path: Path, file: str) -> None:
    """The future of a series, and its fan."""
    page = opened(browser, f"{address}/#/model/glucose/complete", "light")
    page.locator("[data-field=items] input[type=file]").set_input_files(file)
    page.wait_for_selector(".drop.is-full")
    page.fill("[data-field=mask] .word", "future:24")
    page.fill("[data-field=samples] input.number", "60")
    submitted(page)
    save(page, path)


def main(address: str, file: str, folder: str) -> None:
    """All of them."""
    place = Path(folder)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        sample(browser, address, place / "serve-sample.png")
        complete(browser, address, place / "serve-complete.png")
        forecast(browser, address, place / "serve-forecast.png", file)
        page = opened(browser, f"{address}/#/run/digits", "light")
        page.wait_for_selector(".learned img")
        save(page, place / "serve-run.png")
        page = opened(browser, f"{address}/#/model/digits/sample", "dark", 390, 780)
        save(page, place / "serve-phone.png")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
