"""NUM_GPUS auto: all GPUs that there are, else the CPU; what a launcher gives; it stays in the config."""

import pytest
import torch
from conftest import ROOT

from fragrant.config import ConfigError, cfg_from_text, dump_cfg, load_cfg
from fragrant.config.compare import changes_on_resume
from fragrant.config.portable import portable_text
from fragrant.distributed.environment import Environment
from fragrant.errors import UserError
from fragrant.launch import argument_parser, config_and_environments, gpu_if_any, pick_device
from fragrant.launch.processes import device_of

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_PORT": "29500"}
AUTO = ["NUM_GPUS", "auto", "TRAIN.BATCH_SIZE", "12"]
PUBLISHED = {"kinetics", "infar", "ssv2", "ucf101", "sljd", "diving48"}  # folders of recipes that say their number
PUBLISHED_FILES = {"dark_light", "csn_har_dark_literal", "dgam_swin_b_published"}


@pytest.fixture
def machine(monkeypatch):
    """A machine with so many GPUs, and without a launcher."""

    def with_gpus(number: int, **environ: str):
        for name in (*TORCHRUN, "SLURM_STEP_NUM_TASKS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)

    return with_gpus


def placed(*words: str):
    return config_and_environments(argument_parser("", many=True).parse_intermixed_args([*AUTO, *words]))


@pytest.mark.parametrize("found, processes, last", [(0, 1, "cpu"), (1, 1, "cuda:0"), (4, 4, "cuda:3")])
def test_one_machine(machine, found, processes, last):
    machine(found)
    cfg, environments = placed()
    assert cfg.NUM_GPUS == "auto" and len(environments) == processes == environments[0].world_size
    assert device_of(environments[-1], cfg.NUM_GPUS) == torch.device(last)
    one = torch.device("cuda", 0) if found else torch.device("cpu")
    assert pick_device(cfg.NUM_GPUS) == gpu_if_any(cfg.NUM_GPUS) == one


@pytest.mark.parametrize("found, last", [(0, "cpu"), (2, "cuda:1")])
def test_a_launcher_has_counted(machine, found, last):
    machine(found, **TORCHRUN)
    cfg, environments = placed()
    assert cfg.NUM_GPUS == "auto" and [environment.rank for environment in environments] == [1]
    assert device_of(environments[0], cfg.NUM_GPUS) == torch.device(last)


def test_a_launcher_with_more_processes_than_gpus(machine):
    machine(1, **TORCHRUN)
    cfg, environments = placed()
    with pytest.raises(UserError, match=r"this machine has 1 CUDA GPU\(s\)"):
        device_of(environments[0], cfg.NUM_GPUS)
    assert device_of(Environment(1, 2, 1, 2, own_gpu=True), "auto") == torch.device("cuda", 0)


def test_a_batch_that_all_gpus_cannot_share(machine):
    machine(8)
    with pytest.raises(ConfigError, match="must be a multiple of NUM_GPUS 8, all GPUs .*; add .*: NUM_GPUS 6$"):
        placed()
    placed("TRAIN.ENABLE", "False")  # a test shares nothing


def test_synchronised_batch_norm_needs_gpus(machine):
    words = ("BN.NORM_TYPE", "sync_batchnorm")
    machine(2)
    placed(*words)
    machine(0)
    with pytest.raises(ConfigError, match="sync_batchnorm needs GPUs"):
        placed(*words)


def test_several_machines_by_hand_need_a_number(machine):
    machine(4)
    words = ("--num_shards", "2", "--init_method", "tcp://a:1")
    with pytest.raises(UserError, match="NUM_GPUS auto counts the GPUs of one machine, .*: NUM_GPUS 4$"):
        placed(*words)
    assert len(placed(*words, "NUM_GPUS", "4")[1]) == 4


def test_it_stays_in_the_config_and_may_change_on_resume(machine):
    cfg = load_cfg(None, ["NUM_GPUS", "AUTO"])
    assert cfg.NUM_GPUS == "auto" and "\nNUM_GPUS: auto\n" in f"\n{dump_cfg(cfg)}"
    assert cfg_from_text(dump_cfg(cfg)).NUM_GPUS == "auto" and "NUM_GPUS" not in portable_text(cfg)
    for now in ("0", "2", "auto"):
        assert changes_on_resume(load_cfg(None, ["NUM_GPUS", now]), dump_cfg(cfg), where="x") == ([], [])


@pytest.mark.parametrize("value", ["all", "autos", "1.5", "[auto]", ""])
def test_other_words_are_refused(value):
    with pytest.raises(ConfigError, match="NUM_GPUS: "):
        load_cfg(None, ["NUM_GPUS", value])


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_configs_of_this_project_run_anywhere(path):
    published = path.parent.name in PUBLISHED or path.stem in PUBLISHED_FILES
    assert (load_cfg(path).NUM_GPUS != "auto") == published
