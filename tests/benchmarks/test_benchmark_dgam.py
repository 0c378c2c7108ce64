"""The benchmark of DGAM's statistics and experts sets ours beside the published loops, and builds the step that it is a
share of."""

import torch
from tiny import run_here

from fragrant.benchmarks.build import dgam_step
from fragrant.benchmarks.dgam import benchmark_dgam, dark_clips
from fragrant.config import load_cfg
from fragrant.models import build_model

CPU = torch.device("cpu")
SMALL_STEP = """
    NUM_GPUS 0 MODEL.MODEL_NAME DGAM MODEL.NUM_CLASSES 5 DATA.NUM_FRAMES 4 DATA.TRAIN_CROP_SIZE 64 DATA.INPUT_CHANNEL_NUM [3]
    DGAM.BACKBONE Uniformer UNIFORMER.EMBED_DIM [8,16,32,32] UNIFORMER.DEPTH [1,1,1,1] UNIFORMER.HEAD_DIM 16
""".split()


def test_dark_clips_have_exposures_of_their_own():
    clips = dark_clips(3, num_frames=2, size=16, device=CPU)
    pixels = (
        clips * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1, 1)
        + torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1, 1)
    ) * 255
    torch.testing.assert_close(pixels, pixels.round(), rtol=0, atol=1e-3)
    dark, middle, bright = pixels.mean((1, 2, 3, 4))
    assert clips.shape == (3, 3, 2, 16, 16) and 0 < dark < middle < bright < 100


def test_table():
    heading, *rows, taken = benchmark_dgam(dark_clips(5, num_frames=4, size=16, device=CPU), rounds=1).splitlines()
    assert heading.split()[:10] == "5 x 3 x 4 x 16 x 16 form".split()
    titles = ["statistics, forward", "statistics + experts, forward", "statistics + experts, forward + backward"]
    assert [row[:50].strip() for row in rows] == [name for title in titles for name in (title, "")]
    assert all(float(row.split()[-1]) < 2e-6 for row in rows)
    assert taken.startswith("gammas taken: ") and len(taken.split(",")) == 5


def test_the_command_shows_the_share_of_a_step():
    done = run_here(*SMALL_STEP, tool="benchmark", arguments=("dgam", "--batch-size", "1", "--rounds", "1"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("CPU, 1 threads; torch") and "1 x 3 x 32 x 224 x 224" in done.stdout
    step, heading, share, whole = done.stdout.strip().splitlines()[-4:]
    assert step == "DGAM, Uniformer, clips (1, 3, 4, 64, 64), fp32, channels_last_3d, eager"
    assert share.startswith("frame statistics, gate, experts") and whole.startswith("whole step")


def test_the_step_is_that_of_swin_b_unless_the_config_names_dgam():
    cfg = dgam_step(load_cfg(None, []))
    with torch.device("meta"):
        model = build_model(cfg)
    assert sum(parameter.numel() for parameter in model.parameters()) == 87_747_977  # as published
    assert (cfg.DATA.NUM_FRAMES, cfg.DATA.TRAIN_CROP_SIZE) == (32, 224)
    own = load_cfg(None, SMALL_STEP)
    assert dgam_step(own) is own
