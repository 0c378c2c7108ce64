"""MIE-Net from the command line on real clips: starts from image weights, trains, tests with 1 and 3 crops, takes
published checkpoints."""

import numpy as np
import pytest
import torch
import torchvision
from conftest import ROOT, fill_v1, golden
from tiny import run_here

SMALL = f"""
    --cfg {ROOT}/configs/sljd/mie_net_r50.yaml NUM_GPUS 0 DATA_LOADER.NUM_WORKERS 0 TRAIN.BATCH_SIZE 6 SOLVER.MAX_EPOCH 1
    SOLVER.STEPS [0] SOLVER.LRS [1.0]
    DATA.TRAIN_CROP_SIZE 32 DATA.TEST_CROP_SIZE 32 DATA.TRAIN_JITTER_SCALES [32,40] TEST.SHORT_SIDE 36 LOG_MODEL_INFO False
    DATA.TRAIN_LIST weizmann4_train.txt DATA.VAL_LIST weizmann4_test.txt DATA.TEST_LIST weizmann4_test.txt
""".split()


@pytest.fixture
def run(shared_clips, tmp_path):
    folders = ("DATA.PATH_TO_DATA_DIR", shared_clips, "DATA.PATH_PREFIX", shared_clips, "OUTPUT_DIR", tmp_path / "run")

    def run(*pairs):
        done = run_here(*SMALL, *folders, *pairs)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_trains_and_tests_with_1_and_3_crops(run, tmp_path):
    image_model = tmp_path / "resnet50.pth"
    torch.save(torchvision.models.resnet50().state_dict(), image_model)
    said = run("MODEL.NUM_CLASSES", 4, "TRAIN.CHECKPOINT_FILE_PATH", image_model)
    assert "Fine-tuning from" in said and "dropped: 2: head.weight" in said
    assert np.load(tmp_path / "run/scores.npz")["logits"].shape == (4, 1, 4)
    run("MODEL.NUM_CLASSES", 4, "TRAIN.ENABLE", "False", "TEST.NUM_SPATIAL_CROPS", 3)
    logits = np.load(tmp_path / "run/scores.npz")["logits"]
    assert logits.shape == (4, 3, 4) and np.isfinite(logits).all()


def test_a_published_checkpoint_is_tested_as_it_is(run, tmp_path):
    path = tmp_path / "ckpt.best.pth.tar"
    state = fill_v1(golden("mienet/mie_sljd_r50_t3_c10")["state"])
    torch.save(
        {"epoch": 60, "arch": "resnet50", "state_dict": state, "optimizer": {}, "best_prec1": torch.tensor(94.48)}, path
    )
    said = run("TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", path)
    assert "451 of 451 tensors loaded" in said and "not used" not in said
