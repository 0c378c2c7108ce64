"""The page of a data set, from the command to the browser."""

import json
import re

import numpy as np
import pytest
from conftest import load_tool
from make_video import encode
from PIL import Image
from test_browser import all_of, browser, one  # noqa: F401

from fragrant.report.page import page_of

browse = load_tool("browse")
USUAL = ["--workers", "1", "DATA.NUM_FRAMES", "4", "DATA.SAMPLING_RATE", "1", "MODEL.NUM_CLASSES", "3", "NUM_GPUS", "0"]
SMALL = "DATA.TRAIN_CROP_SIZE 32 DATA.TRAIN_JITTER_SCALES [32,40]".split()


def data_of(path) -> dict:
    page = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    """Lists of three classes: videos, a tensor, a folder of frames, one that cannot be read, a wrong row."""
    folder = tmp_path_factory.mktemp("set")
    for at in range(3):
        encode(folder / f"jump_{at}.mp4", 20, seed=at)
    for at in range(2):
        np.save(folder / f"run_{at}.npy", np.full((8, 48, 64, 3), 12 + at, np.uint8))
    (folder / "broken.mp4").write_text("no video")
    (folder / "sit_0").mkdir()
    for number in range(1, 7):
        Image.new("RGB", (64, 48), (40, 30, 20)).save(folder / f"sit_0/{number:05d}.jpg")
    rows = [*(f"jump_{at}.mp4 0" for at in range(3)), "run_0.npy 1", "broken.mp4 1", "sit_0 2", "jump_0.mp4 9"]
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    (folder / "test.csv").write_text("run_1.npy 1\nrun_0.npy 1\n")
    (folder / "classes.txt").write_text("jump\nrun\n<b>sit & co</b>\n")
    return folder


@pytest.fixture(scope="module")
def page(lists):
    """The page of the lists of a config, with draws."""
    words = ["--augmented", "2", "--previews", "2", "--to", str(lists / "out/page.html"), *USUAL, *SMALL]
    words += ["DATA.PATH_TO_DATA_DIR", str(lists), "DATA.PATH_PREFIX", str(lists), "DATA.GAMMA", "[2]"]
    assert browse.start([*words, "TRAIN.DATASET", "video_list", "TEST.DATASET", "video_list"]) == 0
    return lists / "out/page.html"


def test_content(page):
    content = data_of(page)
    assert content["lists"] == ["train", "test"] and content["notes"][0].startswith("no val list: no val list '")
    assert content["classes"] == ["jump", "run", "<b>sit & co</b>"]
    assert content["counts"] == [[3, 2, 1, 0], [0, 2, 0, 0]]
    assert [kind for kind, _ in content["problems"]["kinds"]] == ["row", "unreadable", "leak"]
    assert content["problems"]["total"] == 3 and content["videos"]["frames"][:4] == [20, 20, 20, 8]
    # two of each class of all lists together; what cannot be read has none
    shown = [
        name for name, at in zip(content["videos"]["path"], content["videos"]["preview"], strict=True) if at is not None
    ]
    assert [name.rsplit("/", 1)[1] for name in shown] == [
        "jump_0.mp4",
        "jump_2.mp4",
        "run_0.npy",
        "sit_0",
        "run_1.npy",
        "run_0.npy",
    ]
    assert len(content["previews"]) == 5 and content["clip"].startswith("4 frames, dense x 1, 32 x 32 pixels")
    assert [(one["label"], len(one["draws"])) for one in content["drawn"]] == [
        *(("jump", 2), ("run", 2), ("<b>sit & co</b>", 2))
    ]
    assert {chart["title"]: chart["missing"] for chart in content["histograms"]}[
        "Duration"
    ] == 4  # of tensors and the folder


def test_command(lists, capsys):
    to = lists / "one.html"
    words = ["--list", str(lists / "test.csv"), "--to", str(to), *USUAL, "DATA.PATH_PREFIX", str(lists)]
    assert browse.start([*words, "--previews", "0"]) == 0
    assert re.match(rf"2 videos looked at, 0 problems, 0 previews: {to} \(0.0 MB\)\n", capsys.readouterr().out)
    assert browse.start([*words, "--videos", "1", "--min-frames", "9"]) == 0
    assert (
        "1 videos looked at, 1 problem, " in capsys.readouterr().out
        and "(1 of them looked at)" in data_of(to)["subtitle"]
    )
    assert browse.start([*words, "--augmented", "-1"]) == 2
    assert capsys.readouterr().err == "error: --augmented -1: allowed: 0 or more\n"
    assert browse.start(["--list", str(lists / "none.csv"), *USUAL]) == 2
    assert "none.csv" in capsys.readouterr().err


def test_several_labels_and_targets(lists):
    to = lists / "several.html"
    (lists / "several.csv").write_text("run_0.npy 0,2\nrun_1.npy 1\n")
    words = [*USUAL, "DATA.PATH_PREFIX", str(lists), "--to", str(to)]
    several = ["DATA.MULTI_LABEL", "True", "MODEL.LOSS_FUNC", "bce_logit"]
    assert browse.start(["--list", str(lists / "several.csv"), *words, *several]) == 0
    assert data_of(to)["videos"]["labels"] == [[0, 2], [1]] and data_of(to)["counts"] == [[1, 1, 1, 0]]
    (lists / "train2.csv").write_text("path,p0,p1,p2\nrun_0.npy,0.2,0.7,0.1\n")
    pairs = ["DATA.PATH_TO_DATA_DIR", str(lists), "DATA.TRAIN_LIST", "train2.csv", "TRAIN.DATASET", "video_list"]
    assert browse.start(["--split", "train", *words, *pairs]) == 0
    assert data_of(to)["videos"]["target"] == [[[1, 0.7], [0, 0.2], [2, 0.1]]]


def test_it_is_the_report_in_style_and_small_parts(page):
    text = page.read_text(encoding="utf-8")
    assert "function make(" in text and "function headline(" not in text
    assert "default-src 'none'" in text and "<b>sit" not in text
    assert set(re.findall(r"https?://[^\s\"']+", re.sub(r'id="data">.*?</script>', "", text, flags=re.DOTALL))) == {
        "http://www.w3.org/2000/svg"
    }


@pytest.fixture
def shown(browser, page):  # noqa: F811
    browser.set_window_size(1280, 1000)
    browser.get(page.as_uri())
    assert browser.execute_script("return document.body.dataset.ready") == "yes"
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    names = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in names if not name.startswith("data:")] == []


def waited(browser, script: str, *arguments):  # noqa: F811
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(lambda driver: driver.execute_script(script, *arguments))


def test_previews_play_and_brighten(shown):
    from selenium.webdriver import ActionChains

    titles = [element.text for element in all_of(shown, "h2") if element.text]
    assert titles == [
        *("Videos, class by class", "What the network gets", "Class balance", "Light, length and size", "Problems")
    ]
    assert len(all_of(shown, "#videos .clip")) == 7  # one of them cannot be shown
    assert len(all_of(shown, "#network .clip")) == 9
    dark = one(shown, "#videos [data-class='1'] .clip[data-video='3']")
    shown.execute_script("arguments[0].scrollIntoView({ block: 'center' })", dark)
    image = waited(
        shown,
        "const i = arguments[0].querySelector('img'); return i.naturalWidth && i.closest('.near') ? i : null",
        dark,
    )
    looks = "const w = arguments[0].querySelector('.window'); return [getComputedStyle(w).filter, getComputedStyle(w.firstChild).animationPlayState]"
    before, state = shown.execute_script(looks, dark)
    assert "dark-" in before and state == "running"
    frames = shown.execute_script("return [arguments[0].offsetWidth, arguments[0].parentNode.offsetWidth]", image)
    assert frames[0] == 8 * frames[1]
    ActionChains(shown).move_to_element(dark).perform()
    assert shown.execute_script(looks, dark)[0] == "none"
    assert "mean luma" in one(shown, "#tip").text
    one(shown, "#bright").click()
    assert shown.execute_script(looks, one(shown, "#videos .clip[data-video='0']"))[0] == "none"


def test_search_filters(shown):
    search = one(shown, "#search")
    search.send_keys("run_0")
    waited(shown, "return document.querySelectorAll('[data-found]').length === 2")
    assert [element.is_displayed() for element in all_of(shown, "#videos .class")] == [False, True, False]
    assert len(all_of(shown, "#videos [data-class='1'] .clip")) == 2
    all_of(shown, "#lists button")[2].click()  # test
    assert len(all_of(shown, "[data-found]")) == 1
    search.clear()
    search.send_keys("JUMP mp4")
    waited(shown, "return document.querySelectorAll('[data-found]').length === 0")
    all_of(shown, "#lists button")[0].click()
    waited(shown, "return document.querySelectorAll('[data-found]').length === 3")


def test_on_a_phone(shown):
    shown.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        shown.refresh()
        assert shown.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        shown.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_an_empty_set_is_drawn(browser, tmp_path):  # noqa: F811
    columns = ("path", "list", "labels", "target", "frames", "fps", "size", "luma", "problem", "preview")
    content = {"title": "x", "subtitle": "", "clip": "", "perClass": 0, "lists": ["train"], "counts": [[0]]}
    content |= {"classes": [], "notes": [], "cards": [], "previews": [], "drawn": [], "histograms": []}
    content |= {"videos": {key: [] for key in columns}, "problems": {"kinds": [], "rows": [], "total": 0, "notes": []}}
    (tmp_path / "x.html").write_text(page_of("browse", content, "fragrant.report.browse"), encoding="utf-8")
    browser.get((tmp_path / "x.html").as_uri())
    assert browser.execute_script("return document.body.dataset.ready") == "yes"
