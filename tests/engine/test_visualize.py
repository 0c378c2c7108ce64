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
    return folder, pairs


@pytest.mark.parametrize("what, rows", [("fam", 3), ("ram", 4)])
def test_a_picture_with_frames_above_and_maps_below(what, rows, trained, tmp_path):
    folder, pairs = trained
    video = next((folder / "demo/videos/test").iterdir())
    out = tmp_path / "picture.png"
    done = run_here(*pairs, tool="visualize", arguments=("--what", what, "--video", str(video), "--out", str(out)))
    assert done.returncode == 0, done.stderr
    assert (
        f"{out} and picture.mp4: {what} of Fragrant with the weights {folder / 'out/checkpoints/checkpoint_epoch_00001.pyth'}"
        in done.stdout
    )
    width, height = Image.open(out).size
    assert 2 * 160 < width < 2 * 180 and rows * 160 < height < rows * 200  # 2 frames of the map, 160 pixels each
    with av.open(str(out.with_suffix(".mp4"))) as container:
        assert sum(1 for _ in container.decode(video=0)) == 4  # the frames of the clip


def test_grad_cam_needs_only_the_checkpoint(trained, tmp_path):
    folder, _ = trained
    video, out = next((folder / "demo/videos/test").iterdir()), tmp_path / "picture.png"
    words = ("--checkpoint", str(folder / "out/checkpoints/best.pyth"), "--video", str(video), "--out", str(out))
    done = run_here("NUM_GPUS", "0", tool="visualize", arguments=(*words, "--layer", "blocks2.0", "--class", "sit"))
    assert done.returncode == 0, done.stderr
    assert "grad-cam of Fragrant with the weights" in done.stdout and out.is_file()


@pytest.mark.parametrize(
    "arguments, pairs, part",
    [
        (("--video", "nowhere.mp4"), [], "nowhere.mp4' cannot be read: no such file"),
        (("--video", "nowhere.mp4"), ["OUTPUT_DIR", "nowhere"], "no weights to test"),
        (("--video", "{video}", "--at", "0.5", "0.5", "2"), [], "is outside of the clip"),
        (("--video", "{video}", "--out", "/dev/null/x.png"), [], "'/dev/null/x.png' cannot be written"),
        (
            ("--video", "{video}", "--what", "grad-cam", "--layer", "blocks9"),
            [],
            "layer 'blocks9' is not in the model; did you mean 'blocks",
        ),
        (("--video", "{video}", "--what", "grad-cam", "--class", "fly"), [], "class 'fly' is not known; Known: jump, run"),
        (("--video", "{video}", "--checkpoint", "nowhere.pyth"), [], "cannot read checkpoint nowhere.pyth"),
    ],
)
def test_wrong_input_is_one_line(arguments, pairs, part, trained):
    folder, given = trained
    video = str(next((folder / "demo/videos/test").iterdir()))
    words = [word.format(video=video) for word in arguments]
    done = run_here(*given, *pairs, tool="visualize", arguments=("--what", "ram", *words))
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and part in done.stderr
