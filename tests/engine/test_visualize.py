"""tools/visualize.py draws the modules of a trained model, and says in one line what is wrong."""

import av
import pytest
from PIL import Image
from tiny import TINY, run_here

FRAGRANT = [*TINY, "MODEL.MODEL_NAME", "Fragrant", "SOLVER.MAX_EPOCH", "1", "TEST.ENABLE", "False"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fragrant")
    pairs = [*FRAGRANT, "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(folder / "out")]
    done = run_here(*pairs)
    assert done.returncode == 0, done.stderr
    return folder


def visualize(folder, *arguments: str):
    checkpoint = str(folder / "out/checkpoints/best.pyth")
    return run_here(tool="visualize", arguments=("--checkpoint", checkpoint, *arguments))


@pytest.mark.parametrize("what, rows", [("fam", 3), ("ram", 4)])
def test_a_picture_with_frames_above_and_maps_below(what, rows, trained, tmp_path):
    video = next((trained / "demo/videos/test").iterdir())
    out = tmp_path / "picture.png"
    done = visualize(trained, "--what", what, "--video", str(video), "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert (
        f"{out} and picture.mp4: {what} of Fragrant with the weights {trained / 'out/checkpoints/best.pyth'}"
        in done.stdout
    )
    picture = Image.open(out)
    # CVPR's width at 300 dpi; 4 square frames, each row a little more than a frame high
    assert picture.width == int(6.875 * 300) and rows * 380 < picture.height < rows * 600
    with av.open(str(out.with_suffix(".mp4"))) as container:
        assert sum(1 for _ in container.decode(video=0)) == 4  # the frames of the clip


def test_several_models_in_one_figure(trained, tmp_path):
    """The size asked for, the true class of the list, both answers, no mp4."""
    video, out = next((trained / "demo/videos/test").iterdir()), tmp_path / "both.svg"
    checkpoint = str(trained / "out/checkpoints/best.pyth")
    words = ["--compare", checkpoint, checkpoint, "--names", "one", "other", "--video", str(video), "--out", str(out)]
    done = run_here(tool="visualize", arguments=(*words, "--size", "14x12cm", "--what", "ram"))
    assert done.returncode == 0, done.stderr
    text = out.read_text()
    assert f"<!-- {video.name}; true class: {video.stem.split('_')[0]} -->" in text
    assert all(f"<!-- {name}: RAM" in text for name in ("one", "other")) and text.count("<!-- predicted: ") == 2
    assert text.count("as the network gets it") == 1  # the same frames, once
    assert 'width="396.85' in text and 'height="340.15' in text and not out.with_suffix(".mp4").exists()


def test_grad_cam_of_a_layer_and_a_class(trained, tmp_path):
    video, out = next((trained / "demo/videos/test").iterdir()), tmp_path / "picture.png"
    done = visualize(trained, "--video", str(video), "--out", str(out), "--layer", "blocks2.0", "--class", "sit")
    assert done.returncode == 0, done.stderr
    assert "grad-cam of Fragrant with the weights" in done.stdout and out.is_file()


@pytest.mark.parametrize(
    "arguments, part",
    [
        (("--video", "nowhere.mp4"), "nowhere.mp4' cannot be read: no such file"),
        (("--video", "{video}", "--checkpoint", "nowhere.pyth"), "nowhere.pyth"),
        (("--video", "{video}", "--at", "0.5", "0.5", "2"), "is outside of the clip"),
        (("--video", "{video}", "--out", "/dev/null/x.png"), "'/dev/null/x.png' cannot be written"),
        (
            ("--video", "{video}", "--what", "grad-cam", "--layer", "blocks9"),
            "layer 'blocks9' is not in the model; did you mean",
        ),
        (("--video", "{video}", "--true", "fly"), "class 'fly' is not known; Known: jump, run"),
        (("--video", "{video}", "--size", "17"), "--size '17' is no size; allowed: WxH as in 17x6cm"),
        (("--video", "{video}", "--size", "3x3cm"), "do not fit into 3 x 3 cm; take a larger --size"),
        (("--video", "{video}", "--names", "a", "b"), "2 names for 1 models"),
        (("--video", "{video}", "--what", "grad-cam", "--class", "fly"), "class 'fly' is not known; Known: jump, run"),
    ],
)
def test_wrong_input_is_one_line(arguments, part, trained):
    video = str(next((trained / "demo/videos/test").iterdir()))
    done = visualize(trained, "--what", "ram", *(word.format(video=video) for word in arguments))
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and part in done.stderr
