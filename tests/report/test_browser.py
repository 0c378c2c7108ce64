"""The report in a real browser: it draws itself without errors and without a network, and the clicks work."""

import pytest
import torch
from chromium import chromium
from PIL import Image
from small_test import NAMES, many_classes, small_choices, small_scores, small_table

from fragrant.report.build import thumbnail, two_strips
from fragrant.report.content import Mistake, confident_mistakes, report_content
from fragrant.report.page import render
from fragrant.scores import ScoreTable, ensemble_views, grid_views

RECORDS = [
    {"_type": "train_epoch", "epoch": f"{epoch}/5", "loss": 2 / epoch, "top1_err": 60 - 10 * epoch}
    for epoch in range(1, 6)
]


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture
def open_page(browser, tmp_path):
    """Shows a content and checks that nothing went wrong while it was drawn and used."""

    def show(content: dict):
        path = tmp_path / "report.html"
        path.write_text(render(content), encoding="utf-8")
        browser.get(path.as_uri())
        assert browser.execute_script("return document.body.dataset.ready") == "yes"
        return browser

    yield show
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    names = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in names if not name.startswith("data:")] == []


@pytest.fixture(scope="module")
def small() -> dict:
    scores = small_scores()
    clip = torch.arange(16, dtype=torch.uint8)[:, None, None, None].expand(16, 32, 32, 3)
    mistakes = [Mistake(row, strips=two_strips(clip)) for row in confident_mistakes(scores, 2)]
    facts = [("command", "python tools/run_net.py")]
    return report_content(
        scores,
        title="Small",
        records=RECORDS,
        facts=facts,
        config="TRAIN:\n  A: 1\n",
        mistakes=mistakes,
        thumbnails={row: thumbnail(clip) for row in (7, 6, 2)},
    )


def all_of(browser, selector: str) -> list:
    return browser.find_elements("css selector", selector)


def one(browser, selector: str):
    (element,) = all_of(browser, selector)
    return element


def test_it_draws_every_section(open_page, small):
    page = open_page(small)
    titles = [element.text for element in all_of(page, "h2")]
    assert titles == [
        *(
            "In short",
            "What is taken for what",
            "Class by class, the hardest first",
            "Accuracy by illumination",
            "Training",
        ),
        *("The most confident mistakes", "The run"),
    ]
    assert "60.00 %" in one(page, "#headline").text and "95 % interval 31.3 – 83.2 %" in one(page, "#headline").text
    assert [element.text for element in all_of(page, "#classes td:first-child")] == ["sit", "jump", "run"]
    assert [element.text for element in all_of(page, "#light text") if " of " in element.text] == [
        "2 of 2",
        "2 of 3",
        "1 of 3",
        "1 of 2",
    ]
    assert len(all_of(page, ".chart")) == 2 and len(all_of(page, ".mistake img")) == 4
    assert all(
        page.execute_script("return arguments[0].naturalWidth", image) > 200 for image in all_of(page, ".mistake img")
    )


def test_a_click_on_a_cell_lists_its_videos(open_page, small):
    page = open_page(small)
    assert "sit → jump" in one(page, "#panel").text
    one(page, '[data-cell="2:0"]').click()
    assert all_of(page, "#panel p")[0].text == "sit, taken for jump – 3 videos"
    rows = [element.text for element in all_of(page, "#panel [data-video]")]
    # the surest first
    assert [row.split()[0] for row in rows] == [
        "videos/sit_7.mp4",
        "videos/sit_6.mp4",
        "videos/sit_8.mp4",
    ]
    assert "100.0 %" in rows[0] and rows[0].endswith("0.080")
    assert one(page, "rect.chosen").get_attribute("data-cell") == "2:0"
    one(page, "#back").click()
    assert "Most frequent confusions" in one(page, "#panel").text and not all_of(page, "rect.chosen")


def test_a_click_on_a_cell_shows_thumbnails(open_page, small):
    page = open_page(small)
    one(page, '[data-cell="2:0"]').click()
    assert [row.get_attribute("data-video") for row in all_of(page, "#panel [data-video]")] == ["7", "6", "8"]
    images = all_of(page, "#panel [data-video] img")  # of the third there is none
    assert [page.execute_script("return arguments[0].closest('tr').dataset.video", image) for image in images] == [
        "7",
        "6",
    ]
    assert all(page.execute_script("return arguments[0].naturalWidth", image) == 3 * 32 + 2 * 3 for image in images)
    assert all(image.is_displayed() and image.size["height"] > 20 for image in images)
    assert images[0].get_attribute("alt") == "frames of videos/sit_7.mp4"


def test_chance_is_drawn(open_page, small):
    page = open_page(small)
    assert len(all_of(page, "#headline .chance")) == 2 and "chance: 33.3 %" in one(page, "#headline").text
    assert len(all_of(page, "#classes .chance")) == 3 and "Dashed: chance, 33.3 %." in one(page, "#classes").text
    assert len(all_of(page, "#light .chance")) == 1 and len(all_of(page, "#curves path.chance")) == 1
    bar = one(page, "#light .chance").get_attribute("d")
    top, bottom = 14, 280 - 52  # of 0 .. 100 %
    assert float(bar.split()[1].split("H")[0]) == pytest.approx(bottom - (bottom - top) / 3)


@pytest.fixture
def screen(browser):
    """Makes the window look like another screen, as the browser's own tools do."""

    def change(width: int, height: int, *, dark: bool = False):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    yield change
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


SIDEWAYS = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("width", [320, 390, 1280, 1920])
def test_no_page_scrolls_sideways(width, open_page, small, screen):
    screen(width, 900)
    page = open_page(small)
    one(page, '[data-cell="2:0"]').click()
    assert page.execute_script(SIDEWAYS) == 0
    page = open_page(report_content(many_classes(30), title="Many", records=RECORDS))
    assert page.execute_script(SIDEWAYS) == 0


def test_a_wide_screen_is_used(open_page, small, screen):
    screen(1920, 1000)
    page = open_page(small)
    box = page.execute_script("return document.getElementById('curves').getBoundingClientRect().toJSON()")
    assert box["width"] > 1800
    classes, light = (
        page.execute_script("return document.getElementById(arguments[0]).getBoundingClientRect().toJSON()", name)
        for name in ("classes", "light")
    )
    assert light["left"] > classes["right"] and light["top"] == classes["top"]  # side by side
    screen(390, 800)  # drawn again for the other width
    assert page.execute_script("return document.querySelector('#light svg').getBoundingClientRect().right") <= 390


CONTRASTS = r"""
const rgb = (text) => { const parts = text.match(/[\d.]+/g).map(Number);
  return text.startsWith('color(srgb') ? parts.slice(0, 3).map((part) => 255 * part) : parts.slice(0, 3); };
const clear = (text) => text === 'none' || /, 0\)$/.test(text) || text === 'transparent';
const luma = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const contrast = (a, b) => { const [x, y] = [luma(a), luma(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
const ground = (node) => { for (let at = node; at; at = at.parentElement) {
  const color = getComputedStyle(at).backgroundColor; if (!clear(color)) return rgb(color); } return [255, 255, 255]; };
const low = [];
for (const node of document.querySelectorAll('body *')) {
  const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  if (!own || /^(SCRIPT|STYLE|NOSCRIPT)$/.test(node.tagName) || !node.getClientRects().length) continue;
  const style = getComputedStyle(node), svg = node.namespaceURI.endsWith('svg');
  let under = ground(node);
  if (svg) { const cell = node.previousElementSibling;
    if (cell && cell.dataset.cell) under = rgb(getComputedStyle(cell).fill); }
  const found = contrast(rgb(svg ? style.fill : style.color), under);
  if (found < 4.5) low.push(`${node.tagName} ${node.textContent.slice(0, 30)}: ${found.toFixed(2)}`);
}
return low;
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_both_themes_are_readable(dark, open_page, small, screen):
    """Every text has the contrast that WCAG asks for (AA, 4.5)."""
    screen(1280, 1000, dark=dark)
    page = open_page(small | {"warning": "optimistic"})
    one(page, '[data-cell="2:0"]').click()
    assert page.execute_script(CONTRASTS) == []
    ground = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground.strip("rgb()").split(","))) < 150) == dark


def test_a_click_on_a_video_leads_to_its_frames(open_page, small):
    page = open_page(small)
    all_of(page, "#panel button")[0].click()  # the most frequent confusion
    # two have frames
    assert len(all_of(page, "#panel [data-video]")) == 3 and len(all_of(page, "#panel [data-video] button")) == 2
    all_of(page, "#panel [data-video] button")[0].click()
    card = one(page, ".mistake.chosen")
    assert card.get_attribute("id") == "video-7" and "is sit, the model says jump" in card.text
    box = page.execute_script("return arguments[0].getBoundingClientRect().toJSON()", card)
    assert 0 <= box["top"] and box["bottom"] <= page.execute_script("return innerHeight")


def test_hovering_tells_the_numbers(open_page, small):
    from selenium.webdriver import ActionChains

    page = open_page(small)
    hover = ActionChains(page).move_to_element
    hover(one(page, '[data-cell="0:1"]')).perform()
    assert one(page, "#tip").text == "jump: taken for run\n1 of 3 videos (33.3 %)\nclick: the videos"
    hover(all_of(page, "#classes svg")[0]).perform()
    assert "25.0 % (1 of 4)\n95 % interval 4.6 – 69.9 %" == one(page, "#tip").text
    hover(all_of(page, ".chart svg")[0]).perform()
    assert "epoch 3\nmean of an epoch: 0.6667" == one(page, "#tip").text


def test_a_screenshot_shows_blue_and_red(open_page, small, tmp_path):
    page = open_page(small)
    page.set_window_size(1280, 2600)
    assert page.save_screenshot(str(tmp_path / "page.png"))
    page.set_window_size(1280, 1000)
    picture = Image.open(tmp_path / "page.png").convert("RGB")
    count = {color: count for count, color in picture.getcolors(2**24)}
    # cells: run, 3 of 3 recognised; sit, 3 of 4 taken for jump
    assert count[47, 111, 171] > 3000 and count[207, 117, 90] > 3000
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")  # nothing sticks out


def test_many_classes(open_page):
    page = open_page(report_content(many_classes(400), title="Many"))
    assert len(all_of(page, "#confusion .matrix text")) > 60  # 30 names on either side
    buttons = all_of(page, ".choice button")
    assert [button.text for button in buttons] == ["the 30 most confused classes", "all 400 classes"]
    few = len(all_of(page, "[data-cell]"))
    buttons[1].click()
    cells = len(all_of(page, "[data-cell]"))
    assert cells > 10 * few and "playing" not in one(page, "#confusion .matrix").text
    assert len(all_of(page, "#classes tr")) == 1 + 20
    one(page, "#classes p button").click()
    assert len(all_of(page, "#classes tr")) == 1 + 400


def test_what_was_chosen_by_illumination(open_page):
    from selenium.webdriver import ActionChains

    page = open_page(report_content(ensemble_views(small_choices()), title="Chosen"))
    part = one(page, "#choice-gamma")
    assert (
        "Which gamma the model chose, by illumination" in part.text
        and "The darker a video, the larger its gamma: Spearman’s" in part.text
    )
    assert [
        element.text for element in all_of(page, "#choice-gamma text") if "%" in element.text or element.text == "never"
    ] == [*("25.0 % (5)", "30.0 % (6)", "25.0 % (5)", "20.0 % (4)", "never")]
    dots = all_of(page, "#choice-gamma [data-dot]")
    assert len(dots) == 11  # video 4 stands in two rows
    places = {}
    for dot in dots:
        places.setdefault(dot.get_attribute("data-dot"), []).append(
            [float(dot.get_attribute(name)) for name in ("cx", "cy", "r")]
        )
    # darker left, larger on top
    assert places["0"][0][0] < places["1"][0][0] < places["9"][0][0] and places["0"][0][1] < places["9"][0][1]
    (x, top, r), (same_x, bottom, same_r) = sorted(places["4"], key=lambda place: place[1])
    assert x == same_x and r == same_r < places["0"][0][2] and top < bottom
    ActionChains(page).move_to_element(dots[0]).perform()
    assert one(page, "#tip").text == "videos/jump_0.mp4\nmean luma 0.010\ngamma 2.5 in 2 of 2 views"


def one_gamma() -> dict:
    return report_content(ensemble_views(small_choices(choices={"gamma": torch.full((10, 2), 2.0)})), title="One gamma")


def several_labels() -> dict:
    targets = torch.eye(3, dtype=torch.bool).repeat(2, 1)
    more = {
        "class_names": NAMES,
        "luma": torch.linspace(0, 1, 6),
        "choices": {"gamma": torch.tensor([2.0, 1, 2, 1, 2, 1])[:, None]},
    }
    table = ScoreTable.whole(list("abcdef"), targets, torch.rand(6, 1, 3), grid_views(1, 1), **more)
    return report_content(ensemble_views(table), title="Several")


def no_number() -> dict:
    table = small_table()
    table.logits[4] = float("nan")
    return report_content(ensemble_views(table), title="Diverged", mistakes=[Mistake(4, why="No frames: gone")])


SPARSE = {
    "a score that is not a number": (no_number, "run → nothing: its score is not a number"),
    "several labels": (several_labels, "Average precision of every class"),
    "several labels, a choice": (several_labels, "Which gamma the model chose"),
    "one choice for all": (one_gamma, "Every view got the same gamma."),
    "a choice without light": (
        lambda: report_content(ensemble_views(small_choices(luma=torch.full((10,), float("nan")))), title="Dark"),
        "20.0 % (4)",
    ),
    "no mistake": (
        lambda: report_content(ensemble_views(small_table().rows([0, 1, 3])), title="Perfect"),
        "No mistakes: every video",
    ),
    "no light, no log": (
        lambda: report_content(small_scores(luma=False), title="Bare"),
        "The score table holds no mean luma",
    ),
    "one class": (lambda: report_content(many_classes(1), title="One"), "No mistakes: every video"),
    "a warning": (lambda: report_content(small_scores(), title="Warned", warning="optimistic"), "Careful: optimistic"),
}


@pytest.mark.parametrize("content, text", SPARSE.values(), ids=SPARSE)
def test_what_is_missing_is_said(content, text, open_page):
    page = open_page(content())
    assert text in one(page, "#page").text
