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
    width, height = Image.open(out).size
    assert 2 * 160 < width < 2 * 180 and rows * 160 < height < rows * 200  # 2 frames of the map, 160 pixels each
    with av.open(str(out.with_suffix(".mp4"))) as container:
        assert sum(1 for _ in container.decode(video=0)) == 4  # the frames of the clip


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
        (("--video", "{video}", "--what", "grad-cam", "--class", "fly"), "class 'fly' is not known; Known: jump, run"),
    ],
)
def test_wrong_input_is_one_line(arguments, part, trained):
    video = str(next((trained / "demo/videos/test").iterdir()))
    done = visualize(trained, "--what", "ram", *(word.format(video=video) for word in arguments))
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and part in done.stderr
