"""Plug-ins where nothing is inherited from the process that imported them, and as installed packages bring them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from tiny import TINY, environment

from fragrant.checkpoint import best_path

FILES = Path(__file__).parent / "files"
SHORT = "SOLVER.MAX_EPOCH 1 DATA.HOLD_OUT 0.5 TEST.NUM_ENSEMBLE_VIEWS 1 TEST.NUM_SPATIAL_CROPS 1".split()
NET = "MODEL.MODEL_NAME TinyNet TINY_NET.WIDTH 6".split()


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("demo") / "set"


def run(script: Path, *words, folder: Path, demo: Path, path: Path | None = None):
    line = [sys.executable, script, *words, *TINY, *SHORT, "OUTPUT_DIR", folder, "DATA.PATH_TO_DATA_DIR", demo]
    places = [str(place) for place in (path, ROOT, os.environ.get("PYTHONPATH")) if place]
    variables = environment() | {"PYTHONPATH": os.pathsep.join(places)}
    done = subprocess.run([*map(str, line)], capture_output=True, text=True, env=variables, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def imports(*names: str) -> list[str]:
    return [word for name in names for word in ("--import", str(FILES / f"{name}.py"))]


RANKS = pytest.param("ranks", "0", marks=pytest.mark.slow)


@pytest.mark.parametrize("processes, workers", [RANKS, ("workers", "1")])
def test_spawned_processes_have_the_plugins(tmp_path, demo, processes, workers):
    words = [processes, *imports("net", "transform"), *NET, "DATA.TRANSFORMS", "[still]"]
    script = Path(__file__).parent / "spawned.py"
    done = run(script, *words, "DATA_LOADER.NUM_WORKERS", workers, folder=tmp_path / "out", demo=demo)
    assert "still was here" in done.stdout  # in the process that reads clips
    state = torch.load(best_path(tmp_path / "out"), weights_only=True)
    assert state["plugins"] == [str(FILES / f"{name}.py") for name in ("net", "transform")]


def test_an_installed_package_brings_its_plugins(tmp_path, demo):
    """What pip leaves in site-packages: the module, and the metadata that names the entry point."""
    site = tmp_path / "site"
    metadata = site / "tiny_net-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "tiny_net.py").write_bytes((FILES / "net.py").read_bytes())
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-net\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[fragrant.plugins]\nnet = tiny_net\n")
    run(ROOT / "tools" / "run_net.py", *NET, folder=tmp_path / "out", demo=demo, path=site)
    assert torch.load(best_path(tmp_path / "out"), weights_only=True)["plugins"] == ["tiny_net"]
