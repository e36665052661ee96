"""The page in a browser: every verb clicked through, by pointer and by keys, on a wide screen and a phone.

Nothing is asked of any other host, and the console stays empty: `Look` hears of both, and each test ends with asking it.
"""

import json
import shutil
import time

import numpy as np
import pytest

pytest.importorskip("playwright", reason="Playwright is not installed: pip install 'reverie[dev]'")
from playwright.sync_api import sync_playwright

from reverie.server.tokens import new_token
from tests.server.page_kit import (
    CHROMIUM,
    Look,
    fill,
    hours,
    installed,
    picture,
    pixels,
    serving,
    table,
    zipped,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not installed(), reason=f"there is no {CHROMIUM}: apt-get install chromium"),
]
VIEWS = ["models", "gallery", "train", "queue", "run/people"]
VIEWS += [f"model/{name}" for name in ("pictures/sample", "pictures/complete", "people/sample", "weather/complete")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def address(place):
    runs = place / "runs"
    runs.mkdir()
    fill(runs, place)
    with serving(runs, place / "log") as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def window(browser, address):
    return Look(browser, address)


@pytest.fixture
def look(window):
    yield window
    window.check()


def test_pictures_are_sampled_as_the_form_says(look):
    page = look.go("model/pictures/sample", ".form")
    page.locator(".chip-choice", has_text="1").click()
    for name, value in (("n", 3), ("seed", 5), ("steps", 2), ("temperature", 0.9)):
        look.give(name, value)
    job = look.submit()
    assert job["parameters"] == {"n": 3, "label": "1", "seed": 5, "steps": 2, "temperature": 0.9}
    assert page.locator(".tile").count() == 3
    page.click(".tile")
    page.wait_for_selector("dialog .facts")
    assert "5" in page.inner_text("dialog .facts")
    page.keyboard.press("Escape")


@pytest.mark.parametrize(
    "task", ["denoise", "restyle", "detect", "augment", "interpolate", "upscale", "encode", "decode"]
)
def test_every_other_verb_of_pictures(look, place, task):
    one, two, small = picture(place / "one.png"), picture(place / "two.png", 4), picture(place / "small.png", 3, 4)
    page = look.go(f"model/pictures/{task}", ".form")
    if task == "interpolate":
        look.upload("a", one)
        look.upload("b", two)
        look.give("frames", 3)
    elif task == "decode":
        latents = encoded(look, one)
        page = look.go("model/pictures/decode", ".form")
        page.click("text=take a result")
        page.locator(".pick").first.wait_for()
        assert set(page.locator(".pick").all_inner_texts()) == {"latents.npz"}, "nothing else is of use here"
        page.locator(".pick").first.click()
        assert latents["task"] == "encode"
    else:
        look.upload(
            "items",
            small if task == "upscale" else zipped(place / "data.zip") if task in ("detect", "augment") else one,
        )
    if task == "detect":
        look.upload("normal", place / "data.zip")
        look.give("fpr", 0.2)
    elif task != "decode":
        look.give("steps", 2)
    if task == "upscale":
        look.give("factor", 2)
    job = look.submit()
    assert job["state"] == "succeeded"
    shown = {"detect": ".table tbody tr", "encode": ".files a"}.get(task, ".tile img")
    assert page.locator(shown).count() > 0
    if task == "interpolate":
        assert page.locator(".tile").count() == 3


def encoded(look, path):
    look.go("model/pictures/encode", ".form")
    look.upload("items", path)
    look.give("steps", 2)
    return look.submit()


@pytest.mark.parametrize("task", ["sample", "complete", "detect", "augment"])
def test_every_verb_of_tables_shows_rows(look, place, task):
    page = look.go(f"model/people/{task}", ".form")
    if task == "sample":
        look.give("n", 50)
    else:
        look.upload("items", table(place / "gaps.csv", 30, gaps=task == "complete"))
    if task == "detect":
        look.upload("normal", place / "people.csv")
        look.give("fpr", 0.2)
    else:
        look.give("steps", 2)
    job = look.submit()
    assert page.locator(".results > * img, .results figure img").count() == 0, "tables are shown as tables"
    if task != "sample":
        assert page.locator(".table tbody tr").count() > 1
        return
    file = next(one for one in job["artifacts"] if one["name"].endswith(".csv"))
    told = look.json(f"{file['url']}:rows?most=1000")
    assert "rows 1 to 20 of 50" in page.inner_text(".pager")
    page.click("[aria-label='Rows after']")
    page.wait_for_selector("text=rows 21 to 40")
    cells = page.locator(".table tbody tr").first.locator("td").all_inner_texts()
    assert cells == [str(cell).removesuffix(".0") for cell in told["rows"][20]]
    tall = [float(bar.get_attribute("height")) for bar in page.locator(".table th").first.locator("rect").all()]
    ages = [row[0] for row in told["rows"]]
    counted = np.histogram(ages, 12, (min(ages), max(ages)))[0]
    np.testing.assert_allclose(tall, 22 * counted / counted.max(), atol=1e-6)


@pytest.mark.parametrize(
    "task", ["sample", "complete", "denoise", "restyle", "interpolate", "detect", "augment", "encode"]
)
def test_every_verb_of_series_draws_lines(look, place, task):
    page = look.go(f"model/weather/{task}", ".form")
    file = hours(place / "recent.csv", 40)
    if task == "interpolate":
        for name, seed in (("a", 1), ("b", 2)):
            page.fill(f"[data-field={name}] .word", f"seed:{seed}")
    elif task != "sample":
        look.upload("items", file)
    if task == "detect":
        look.upload("normal", place / "weather.csv")
        look.give("fpr", 0.2)
    elif task == "sample":
        look.give("n", 3)
    elif task == "complete":
        page.fill("[data-field=mask] .word", "future:4")
        look.give("samples", 12)
    if task != "detect":
        look.give("steps", 2)
    look.submit()
    assert page.locator(".results > * img, .results figure img").count() == 0, "series are shown as plots"
    if task in ("detect", "encode"):
        return
    page.wait_for_selector(".chart path.line")
    lines = [path.get_attribute("d") for path in page.locator(".chart path.line").all()]
    if task == "sample":
        assert [one.count("L") for one in lines] == [15, 15, 15]
    if task == "complete":
        assert lines[0].count("L") == 40 + 4 - 1
        wide = page.locator(".band.wide").get_attribute("d")
        assert wide.count("M") == 1, "one stretch was filled in"
        assert wide.count("L") == 2 * 4 - 1
    page.click(".switch [data-way=table]")
    page.wait_for_selector(".table tbody tr")


def test_a_mask_is_what_was_painted_and_the_rest_comes_back(look, place):
    one = picture(place / "one.png")
    page = look.go("model/pictures/complete", ".form")
    look.upload("items", one)
    page.locator("canvas.paint").evaluate("one => one.scrollIntoView({ block: 'center' })")
    box = page.locator("canvas.paint").bounding_box()
    at = lambda x, y: (box["x"] + box["width"] * (x + 0.5) / 8, box["y"] + box["height"] * (y + 0.5) / 8)  # noqa: E731
    page.click("[data-tool=rectangle]")
    drag(page, at(2, 1), at(5, 3))
    page.click("[data-tool=eraser]")
    page.get_by_label("Size of the brush").fill("1")
    page.mouse.click(*at(3, 2))
    page.mouse.click(*at(0, 0))
    page.get_by_role("button", name="Undo").click()
    page.click("[data-tool=brush]")
    page.mouse.click(*at(7, 7))
    page.get_by_role("button", name="Swap").click()
    page.get_by_role("button", name="Swap").click()
    painted = np.zeros((8, 8), bool)
    painted[1:4, 2:6] = True
    painted[2, 3], painted[7, 7] = False, True
    for name, value in (("samples", 2), ("steps", 3)):
        look.give(name, value)
    with page.expect_request(lambda request: "name=mask.png" in request.url) as sent:
        job = look.submit()
    mask = pixels(sent.value.post_data_buffer)
    np.testing.assert_array_equal(mask, 255 * painted)
    given = pixels(one.read_bytes())
    made = [file for file in job["artifacts"] if file["name"] != "sheet.png" and file["media"] == "image/png"]
    assert len(made) == 3  # two draws and their mean
    for file in made:
        found = pixels(look.context.request.get(look.address + file["url"]).body())
        np.testing.assert_array_equal(found[~painted], given[~painted])


def drag(page, start, end):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=3)
    page.mouse.up()


def test_the_mask_is_painted_by_keys_too(look, place):
    page = look.go("model/pictures/complete", ".form")
    look.upload("items", picture(place / "one.png"))
    page.locator("canvas.paint").focus()
    for key in ["r", "ArrowUp", "Space", "ArrowRight", "ArrowDown", "ArrowDown", "Space"]:  # from the middle, (4, 4)
        page.keyboard.press(key)
    look.give("steps", 2)
    with page.expect_request(lambda request: "name=mask.png" in request.url) as sent:
        look.submit()
    expected = np.zeros((8, 8), np.uint8)
    expected[3:6, 4:6] = 255
    np.testing.assert_array_equal(pixels(sent.value.post_data_buffer), expected)


def test_a_picture_of_another_size_is_made_to_fit_when_asked(look, place):
    page = look.go("model/pictures/restyle", ".form")
    look.upload("items", picture(place / "large.png", 3, 16))
    page.click("text=Make it fit")
    page.wait_for_selector("text=large-8x8.png")
    look.give("steps", 2)
    assert look.submit()["state"] == "succeeded"


def test_by_keys_alone(browser, address):
    found = Look(browser, address)
    page = found.go("models", ".card")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    tab_to(page, ".card")
    assert page.locator(".card:focus").inner_text().startswith("people")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=pictures >> nth=0")
    page.wait_for_selector(".form")
    tab_to(page, "[data-field=n] input.number")
    page.keyboard.type("4")
    tab_to(page, "[data-field=steps] input.number")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tile >> nth=3")
    tab_to(page, ".tile")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    first = page.inner_text("dialog h2")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("dialog h2") != first
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "tile", "the focus comes back"
    found.context.close()
    found.check()


def tab_to(page, selector):
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"{selector} is not to be reached by Tab")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_view_scrolls_sideways_on_a_small_phone(browser, address, theme):
    found = Look(browser, address, viewport={"width": 320, "height": 640}, color_scheme=theme)
    for view in VIEWS:
        page = found.go(view)
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, view
        unnamed = page.evaluate(NAMELESS)
        assert not unnamed, (view, unnamed)
    found.context.close()
    found.check()


NAMELESS = """() => [...document.querySelectorAll("a, button, input, select, canvas, progress, [role=img]")]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.getAttribute("aria-label") || one.labels?.[0]?.textContent.trim() || one.textContent.trim()))
  .map((one) => one.outerHTML.slice(0, 120))"""


def test_results_are_recalled_varied_compared_and_deleted(look):
    page = look.go("model/pictures/sample", ".form")
    for name, value in (("n", 2), ("steps", 3), ("seed", 11)):
        look.give(name, value)
    first = look.submit()
    page.click("text=Open")
    page.click("text=Again with another seed")
    page.wait_for_url(lambda url: "job=" in url and first["id"] not in url)
    page.wait_for_selector(".results")
    second = look.json(f"/v1/jobs/{page.url.split('job=')[1]}")
    assert second["parameters"]["seed"] != 11
    assert {**second["parameters"], "seed": 11} == first["parameters"]
    page.go_back()
    page.click("text=Recall these settings")
    page.wait_for_selector(".form")
    assert page.input_value("[data-field=seed] input.number") == "11"
    assert page.input_value("[data-field=n] input.number") == "2"
    page.click("nav >> text=Gallery")
    page.wait_for_selector(".shot >> nth=1")
    for k in range(2):
        page.locator(".compare input").nth(k).check()
    page.click("text=Compare these two")
    page.wait_for_selector(".results >> nth=1")
    assert "differ in" in page.inner_text(".head")
    assert "Seed" in page.inner_text(".head")
    page.goto(f"{look.address}/#/job/{first['id']}")
    page.click("text=Delete")
    page.click("text=Delete it and its files for good")
    page.wait_for_url("**/#/gallery")
    assert first["id"] not in json.dumps(look.json("/v1/jobs"))


def test_a_wrong_value_is_told_beside_its_field_and_a_failure_where_the_result_would_be(look, place):
    page = look.go("model/pictures/sample", ".form")
    look.give("n", 99_999)
    page.click(".submit .is-main")
    page.wait_for_selector("[data-field=n] .wrong:visible")
    assert "1024" in page.inner_text("[data-field=n] .wrong")
    assert page.evaluate("document.activeElement.closest('.field').dataset.field") == "n"
    page.fill("[data-field=n] input.number", "2")
    with page.expect_response(lambda r: r.url.endswith("/v1/jobs") and r.request.method == "POST") as answer:
        page.locator("[data-field=n] input.number").evaluate("one => one.removeAttribute('max')")
        page.fill("[data-field=n] input.number", "99999")
        page.click(".submit .is-main")
    assert answer.value.status == 422
    page.wait_for_selector("[data-field=n] .wrong:visible")
    assert "422" in look.errors.pop()  # the console's word for a refusal
    page = look.go("model/pictures/restyle", ".form")
    look.upload("items", picture(place / "large.png", 3, 16))
    job = look.submit(".trouble")
    assert job["error"] == page.inner_text(".trouble p")
    page.click("nav >> text=Queue")
    page.wait_for_selector(".is-failed")
    assert job["error"] in page.inner_text(".is-failed")


def test_a_job_is_watched_and_canceled(look):
    page = look.go("model/pictures/sample", ".form")
    for name, value in (("n", 64), ("steps", 1000)):
        look.give(name, value)
    page.click(".submit .is-main")
    page.wait_for_selector("img.preview:visible")
    assert "of 1,000" in page.inner_text(".going")
    page.locator(".going >> text=Cancel").click()
    page.wait_for_selector("text=Canceled. Nothing was kept of it.")


def test_data_is_uploaded_trained_on_stopped_and_gone_on_with(look, place):
    page = look.go("train", ".form")
    page.fill("#run-name", "mine")
    look.upload("data", zipped(place / "train.zip"))
    page.select_option("[data-field=size] select", "tiny")
    look.give("steps", 3000)
    look.give("batch", 8)
    page.click(".submit .is-main")
    page.wait_for_selector("text=/step [0-9,]+ of 3,000/")
    page.wait_for_selector(".chart path.line >> nth=2", state="attached")
    page.click("text=Stop")
    page.wait_for_selector("text=Stopped. All that was learned is kept.")
    assert {one["name"]: one["state"] for one in look.json("/v1/models")["models"]}["mine"] == "stopped"
    reached = steps(look)
    page.click("text=Go on")
    page.wait_for_selector("text=Stop")
    until = time.monotonic() + 30
    while steps(look) <= reached:
        assert time.monotonic() < until, "it does not go on"
        time.sleep(0.2)
    page.click("text=Stop")
    page.click("text=Use the model")
    page.wait_for_selector(".form")


def test_a_run_ends_with_samples_and_a_curve(look, place):
    page = look.go("train", ".form")
    page.fill("#run-name", "short")
    look.upload("data", zipped(place / "train.zip"))
    page.select_option("[data-field=size] select", "tiny")
    look.give("steps", 12)
    look.give("batch", 8)
    page.click(".submit .is-main")
    page.wait_for_selector("text=Finished.")
    page.wait_for_selector(".learned img")
    assert "# A Reverie model of train.zip\n" in look.json("/v1/models/short")["card"]
    looks = [event for event in look.json("/v1/models/short:history")["events"] if event["event"] == "validation"]
    path = page.locator(".chart path.line").last.get_attribute("d")  # of held-out items
    heights = [float(pair.split()[1]) for pair in path[1:].split("L")]
    held = [one["held_out"] for one in looks]
    assert len(heights) == len(held) > 2
    assert np.corrcoef(heights, held)[0, 1] < -0.999, "less loss is drawn lower, that is at a larger y"


def steps(look):
    return max(event["step"] for event in look.json("/v1/models/mine:history")["events"])


def test_who_has_a_token_is_let_in(browser, place, address):
    token, line = new_token("ann", "user")
    (place / "tokens").write_text(line + "\n")
    shutil.copytree(place / "runs" / "people", place / "others" / "people")
    with serving(place / "others", place / "log2", "--token-file", str(place / "tokens")) as at:
        found = Look(browser, at)
        page = found.page
        page.goto(at)
        page.fill("#token", new_token("ben")[0])
        page.click("dialog button")
        page.wait_for_selector("text=That token is not known here.")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.wait_for_selector(".card")
        assert page.is_visible("#out")
        page.reload()
        page.wait_for_selector(".card")
        found.context.close()
        found.errors = [one for one in found.errors if "401" not in one]
        found.check()


def test_colours_are_remembered(look):
    page = look.go("models", ".card")
    page.select_option("#theme", "dark")
    page.reload()
    page.wait_for_selector(".card")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 19, 24)"


SEED = 2**60 + 1  # which no number of JavaScript is


def test_a_seed_that_no_double_holds_is_told_and_recalled_as_it_is(look):
    look.go("models", ".card")
    asked = {"model": "pictures", "task": "sample", "parameters": {"n": 1, "steps": 2, "seed": SEED}}
    answer = look.context.request.post(f"{look.address}/v1/jobs", data=asked, headers={"prefer": "wait=30"}).json()
    page = look.go(f"job/{answer['id']}", ".results")
    facts = page.inner_text("aside .facts").split("\n")
    assert str(SEED) in facts
    page.click("text=Recall these settings")
    page.wait_for_selector(".form")
    assert page.input_value("[data-field=seed] input.number") == str(SEED)
    again = look.submit()
    assert again["parameters"]["seed"] == SEED
    page.wait_for_selector(f".shot:has-text('seed {SEED}')")
    made = [next(file for file in job["artifacts"] if file["name"].startswith("made/")) for job in (answer, again)]
    first, second = (look.context.request.get(look.address + file["url"]).body() for file in made)
    np.testing.assert_array_equal(pixels(first), pixels(second))


def test_the_bands_of_a_forecast_lie_where_its_times_are(look, place):
    """Of a file whose column of dates is called otherwise, with a gap before; the quantiles of few draws are not called so."""
    rows = [f"2026-02-{k // 24 + 1:02d} {k % 24:02d}:00:00" for k in range(40)]
    values = [f"{10 + np.sin(k / 3):.3f}" if k != 20 else "" for k in range(40)]
    file = place / "own.csv"
    file.write_text("\n".join(["When,wind", *(f"{a},{b}" for a, b in zip(rows, values, strict=True))]) + "\n")
    page = look.go("model/weather/complete", ".form")
    look.upload("items", file)
    page.fill("[data-field=mask] .word", "future:4")
    look.give("steps", 2)
    look.submit()
    page.wait_for_selector(".chart path.line")
    line = points(page.locator(".chart path.line").first.get_attribute("d"))
    band = page.locator(".band.wide").get_attribute("d")
    gap, future = ([x for x, _ in points(part)] for part in band.split("Z")[:2])
    assert set(gap) == {line[20][0]}
    assert sorted(set(future)) == [x for x, _ in line[40:]]
    assert "all 4 draws" in page.inner_text(".legend")
    marks = [one for one in page.locator(".chart text.tick").all_text_contents() if ":" in one]
    assert len(marks) > 1, "the axis shows the clock"


def points(path):
    """Corners of a path, (x, y) as its text has them."""
    return [tuple(pair.split()) for pair in path.strip("MZ").replace("M", "L").split("L") if pair]


def test_a_file_keeps_the_name_that_its_person_gave_it(look, place):
    file = picture(place / "my drawing (2).png")
    page = look.go("model/pictures/restyle", ".form")
    look.upload("items", file)
    look.give("steps", 2)
    job = look.submit()
    made = [one["name"] for one in job["artifacts"] if one["name"].startswith("made/")]
    assert made
    assert all("my drawing (2)" in name for name in made)
    page.click("text=Open")
    page.wait_for_selector("aside .facts")
    assert "my drawing (2).png" in page.inner_text("aside .facts")
    page.click("text=Recall these settings")
    page.wait_for_selector(".drop.is-full")
    assert "my drawing (2).png" in page.inner_text(".drop")
    assert f"{file.stat().st_size} bytes" in page.inner_text(".drop")


def test_a_picture_in_colour_is_made_grey_before_it_waits_in_vain(look, place):
    from PIL import Image

    Image.open(picture(place / "grey.png")).convert("RGB").save(place / "rgb.png")
    page = look.go("model/pictures/restyle", ".form")
    look.upload("items", place / "rgb.png")
    page.wait_for_selector("text=This is colour; the model's are grey.")
    page.click("text=Make it fit")
    page.wait_for_selector("text=rgb-8x8.png")
    assert not page.locator("text=This is").is_visible()
    look.give("steps", 2)
    assert look.submit()["state"] == "succeeded"


def test_what_is_missing_is_said_in_the_words_of_the_page_and_not_asked_of_the_server(look):
    page = look.go("model/pictures/upscale", ".form")
    page.click(".submit .is-main")
    page.wait_for_selector("[data-field=items] .wrong:visible")
    assert page.inner_text("[data-field=items] .wrong") == "Choose a file."
    page = look.go("train", ".form")
    assert len(page.locator("[data-field=size] option").all_inner_texts()) == 5
    page.fill("#run-name", "../evil")
    page.click(".submit .is-main")
    page.wait_for_selector("text=Give it a name of letters")
    page.fill("#run-name", "fine")
    page.click(".submit .is-main")
    page.wait_for_selector("text=Give it data")


def test_no_help_on_the_page_speaks_of_a_command_line(look):
    page = look.go("models", ".card")
    for view in (
        "train",
        "model/pictures/sample",
        "model/pictures/complete",
        "model/people/complete",
        "model/weather/complete",
    ):
        page = look.go(view, ".form")
        text = page.evaluate("() => document.querySelector('main').textContent")
        assert "reverie " not in text, view
        assert " --" not in text, view
    choices = page.locator("[data-field=sampler] datalist option").evaluate_all("all => all.map(one => one.value)")
    assert {"heun", "ddim"} <= set(choices)


def test_a_damaged_model_is_told_among_the_others_and_hides_none(look, place):
    broken = place / "runs" / "broken"
    broken.mkdir()
    (broken / "model.json").write_text('{"a":')
    try:
        page = look.go("queue", "h1")
        page = look.go("models", ".card")
        card = page.locator(".card", has_text="broken")
        card.wait_for()
        assert "not valid JSON" in card.inner_text()
        assert str(place) not in card.inner_text()
        assert card.get_attribute("href") is None
        assert page.locator("a.card").count() >= 3
    finally:
        shutil.rmtree(broken)
