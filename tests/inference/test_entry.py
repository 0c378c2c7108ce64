"""An entry of the box made from a checkpoint: half precision, the same answers, its card and its page."""

import json

import pytest
import torch
from conftest import load_tool
from tiny import TINY

import fragrant
from fragrant.checkpoint import load_checkpoint, save_checkpoint
from fragrant.config import changed, dump_cfg, load_cfg
from fragrant.config.defaults import default_cfg, leaves
from fragrant.config.portable import portable_text
from fragrant.errors import UserError
from fragrant.inference.build import load_for_entry
from fragrant.inference.entry import read_about, write_entry
from fragrant.models import build_model
from fragrant.scores import ScoreTable, grid_views, save_table
from fragrant.synthetic.demo_set import make_demo_set
from fragrant.zoo import load_card
from fragrant.zoo.page import BEGIN, END

NAMES = ["jump", "run", "sit", "stand", "turn", "walk"]
ABOUT = """\
summary: Tells actions apart.
trained_on: nothing
licence: Apache-2.0
commands: [python tools/run_net.py --cfg a.yaml, "python tools/run_net.py --cfg b.yaml, then"]
not_for: [anything]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A checkpoint of random weights as a run writes it, drawn videos, a score table, prose and a page."""
    folder = tmp_path_factory.mktemp("entry")
    torch.manual_seed(0)
    cfg = load_cfg(None, [*TINY, "OUTPUT_DIR", str(folder / "out"), "DATA.PATH_PREFIX", str(folder)])
    model = build_model(cfg)
    torch.nn.init.normal_(model.head.weight, std=1.0)  # so that videos get different answers
    state = {"model_state": dict(model.state_dict()), "cfg": dump_cfg(cfg), "class_names": NAMES}
    save_checkpoint(folder / "best.pyth", state)
    demo = dict(videos_per_class=1, test_videos_per_class=1, num_frames=12, height=48, width=64)
    make_demo_set(folder / "demo", **demo)
    logits = torch.eye(6)[[0, 1, 2, 0]][:, None].contiguous()
    save_table(folder / "scores.npz", ScoreTable.whole("abcd", torch.tensor([0, 1, 2, 3]), logits, grid_views(1, 1)))
    (folder / "about.yaml").write_text(ABOUT)
    (folder / "page.md").write_text(f"# Zoo\n\n{BEGIN}\nold\n{END}\n\n## Rest\n")
    return folder


def words(run, name="tiny-one", box=None):
    box = box or run / "box"
    box.mkdir(exist_ok=True)
    files = ["--checkpoint", run / "best.pyth", "--about", run / "about.yaml", "--folder", box, "--to", run / "page.md"]
    return list(map(str, ["add", name, *files, "--videos", run / "demo/videos/test"]))


def test_an_entry_answers_as_its_checkpoint(run, capsys):
    assert load_tool("zoo").start([*words(run), "--scores", f"drawn={run / 'scores.npz'}"]) == 0, (
        capsys.readouterr().err
    )
    card = load_card(run / "box" / "tiny-one.json")
    half = card.half_precision
    assert half.videos == half.same_answer == 6 and 0 < half.largest_difference < 0.05
    assert (card.class_names, card.clip, card.network) == (NAMES, [3, 4, 32, 32], "Uniformer")
    assert [(score.data, score.videos, score.percent) for score in card.scores] == [("drawn", 4, 75.0)]
    original, entry = (
        fragrant.load_model(run / file, device="cpu") for file in ("best.pyth", "box/tiny-one.safetensors")
    )
    for path in sorted((run / "demo/videos/test").iterdir()):
        torch.testing.assert_close(entry.logits(path), original.logits(path), rtol=0, atol=half.largest_difference)
    page = (run / "page.md").read_text()
    assert "### tiny-one" in page and "old" not in page and page.endswith(f"{END}\n\n## Rest\n")
    assert "| drawn | 4 | 1 | 75.0 % | 30.1 to 95.4 % |" in page
    before = page
    assert load_tool("zoo").start(["docs", "--folder", str(run / "box"), "--to", str(run / "page.md")]) == 0
    assert (run / "page.md").read_text() == before


def test_every_weight_is_that_of_the_checkpoint(run):
    trained = load_for_entry(run / "best.pyth")
    (run / "weights").mkdir()
    write_entry(run / "weights", "tiny", trained, read_about(str(run / "about.yaml")), [])
    found = load_checkpoint(run / "weights" / "tiny.safetensors")["model_state"]
    for name, value in load_checkpoint(run / "best.pyth")["model_state"].items():
        torch.testing.assert_close(found[name].to(value.dtype), value, rtol=2**-11, atol=2**-25)


def test_the_config_is_what_another_machine_needs(run):
    cfg = load_cfg(None, [*TINY, "OUTPUT_DIR", str(run), "DATA.PATH_PREFIX", str(run), "NUM_GPUS", "0"])
    text = portable_text(cfg)
    assert str(run) not in text and "NUM_GPUS" not in text
    again, usual = (run / "again.yaml"), leaves(default_cfg())
    again.write_text(text)
    read, wanted = leaves(load_cfg(again)), leaves(cfg)
    kept = {name for name in wanted if read[name] == wanted[name]}
    assert {"MODEL.NUM_CLASSES", "UNIFORMER.DEPTH", "DATA.NUM_FRAMES", "SOLVER.BASE_LR"} <= kept
    assert {name for name in wanted if name not in kept} == {
        name
        for name in ("OUTPUT_DIR", "DATA.PATH_PREFIX", "NUM_GPUS", "DATA_LOADER.NUM_WORKERS")
        if wanted[name] != usual[name]
    }
    assert portable_text(changed(cfg, {"OUTPUT_DIR": "x"})) == text


@pytest.mark.parametrize("name", ["", "Tiny", "a_b", "../a", "a.b", "-a"])
def test_names_that_are_none(name, run):
    with pytest.raises(UserError, match="must be small letters and digits"):
        write_entry(run, name, load_for_entry(run / "best.pyth"), {}, [])


def test_the_box_stays_small(run, tmp_path):
    (tmp_path / "large.safetensors").write_bytes(bytes(5_990_000))
    with pytest.raises(UserError, match=r"tiny has 0.0 MB, the other models 6.0 MB; allowed: 6 MB together"):
        write_entry(tmp_path, "tiny", load_for_entry(run / "best.pyth"), read_about(str(run / "about.yaml")), [])
    assert not (tmp_path / "tiny.safetensors").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "expected keys and values"),
        (ABOUT.replace("licence: Apache-2.0\n", ""), "licence must be a text"),
        (ABOUT.replace("[anything]", "anything"), "not_for must be a list of texts"),
        (ABOUT.replace("nothing", '""'), "trained_on must be a text"),
        (ABOUT + "colour: red\n", "colour is not known; Known: summary, "),
        (ABOUT + "summary: again\n", "is set twice"),
        (ABOUT + "x: [\n", "is not valid yaml"),
    ],
)
def test_prose_that_is_wrong(text, message, tmp_path):
    (tmp_path / "about.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_about(str(tmp_path / "about.yaml"))


def test_what_is_missing_is_one_line(run, capsys):
    tool = load_tool("zoo")
    assert tool.start(["add", "x", "--checkpoint", str(run / "best.pyth")]) == 2
    assert "error: tools/zoo.py add needs about and videos; --help shows an example\n" == capsys.readouterr().err
    assert tool.start([*words(run, "y"), "--scores", "none"]) == 2
    assert "'none' names no row; write LABEL=FILE" in capsys.readouterr().err
    assert not (run / "box" / "y.safetensors").exists()


def test_a_card_is_json(run):
    assert load_tool("zoo").start(words(run, "two", run / "other")) == 0
    assert json.loads((run / "other/two.json").read_text())["warning"] == ""
