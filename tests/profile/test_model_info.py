"""tools/model_info.py: the parts of one config, and configs/README.md, which it makes."""

import re

import pytest
from conftest import ROOT
from tiny import TINY, run_here

from fragrant.config import load_cfg
from fragrant.profile.build import build_cost
from fragrant.profile.table import ABOUT, config_table, part_table

README = (ROOT / "configs/README.md").read_text(encoding="utf-8")
CONFIGS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml"))


def test_the_readme_of_the_configs_has_a_row_for_each():
    rows = re.findall(r"^\| \[(\S+)\]", README, flags=re.MULTILINE)
    command = "python tools/model_info.py --write configs/README.md configs/*/*.yaml"
    assert README.startswith(ABOUT) and command in ABOUT
    assert rows == [path.removeprefix("configs/") for path in CONFIGS], f"make it anew: {command}"


def test_a_row_of_the_readme_made_again():
    path = "configs/demo/uniformer_xs.yaml"
    row = config_table([build_cost(load_cfg(ROOT / path), path)]).splitlines()[-1]
    assert re.sub(r" +", " ", row) in re.sub(r" +", " ", README)


def test_a_table_of_parts():
    cost = build_cost(load_cfg(None, TINY), "tiny.yaml")
    lines = part_table(cost).splitlines()
    assert lines[0] == "tiny.yaml: Uniformer, one clip of 3 x 4 x 32 x 32"
    assert lines[3].split()[0] == "patch_embed1" and lines[3].endswith("8 x 2 x 8 x 8")
    name, parameters, gmacs, kept = lines[-1].split()
    assert name == "whole" and float(parameters) == pytest.approx(cost.parameters / 1e6, abs=5e-4) and float(kept) > 0


def test_the_command(tmp_path):
    cfg = str(ROOT / "configs/demo/uniformer_xs.yaml")
    done = run_here("DATA.NUM_FRAMES", "4", tool="model_info", arguments=("--cfg", cfg))
    assert done.returncode == 0 and "one clip of 3 x 4 x 64 x 64" in done.stdout
    done = run_here(cfg, tool="model_info", arguments=("--write", str(tmp_path / "README.md")))
    assert done.returncode == 0 and (tmp_path / "README.md").read_text() == ABOUT + done.stdout
    wrong = run_here(tool="model_info", arguments=("--cfg", "nowhere.yaml"))
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: ") and wrong.stderr.count("\n") == 1
