"""What the tests share: golden files, the fill-v1 recipe, the folder of real clips, the CUDA rule."""

import importlib.util
import json
import os
import signal
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell starts what it puts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the commands under test begin as at a terminal

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).parent / "golden"
# one of several test processes: a core each, also for the commands that they start
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# more gain little here, and cost a lot where another wants a core
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))


def golden(name: str) -> dict:
    """A golden file, ``golden("uniformer/fam")``: numbers computed by the published code."""
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8-sig"))


def fill_v1(shapes: list[tuple[str, list[int], str]]) -> dict[str, torch.Tensor]:
    """The weights of the golden files, from the ``state`` entry (key, shape, dtype): a frozen recipe."""
    state = {}
    for key, shape, dtype in shapes:
        if not dtype.startswith("float"):
            state[key] = torch.zeros(shape, dtype=getattr(torch, dtype))
            continue
        z = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF).standard_normal(shape)
        if key.endswith("running_var"):
            z = 1 + 0.1 * np.abs(z)
        elif key.endswith("running_mean"):
            z = 0.1 * z
        elif len(shape) >= 2:
            z = z / np.sqrt(z.size / shape[0])
        elif len(shape) == 1 and key.endswith("weight"):
            z = 1 + 0.1 * z
        else:
            z = 0.1 * z
        state[key] = torch.from_numpy(np.asarray(z, dtype=np.float32))
    return state


def golden_input(seed: int, shape: list[int], dist: str = "normal", scale: float = 1.0) -> torch.Tensor:
    """The input of a golden case."""
    rng = np.random.RandomState(seed)
    values = rng.random_sample(shape) if dist == "uniform" else rng.standard_normal(shape)
    return torch.from_numpy(values.astype(np.float32)) * scale


def load_tool(name: str):
    """A file of tools/ as a module, to run its ``start`` in this process."""
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shared_folder() -> Path | None:
    """The folder with real clips and lists: $FRAGRANT_SHARED, or ``shared`` beside the checkout."""
    folder = Path(os.environ.get("FRAGRANT_SHARED", ROOT.parent / "shared"))
    return folder if (folder / "clips").is_dir() else None


@pytest.fixture(scope="session")
def shared_clips() -> Path:
    """The real clips; the test is skipped where they are missing."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("no real clips here: set FRAGRANT_SHARED or put the folder 'shared' beside the checkout")
    return folder / "clips"


@pytest.fixture(scope="session")
def shared_lists(shared_clips) -> Path:
    """The real list files of the public sets."""
    return shared_clips.parent / "lists"


LONG_FILES = ("engine", "launch", "distributed", "inference", "models")  # folders with files of minutes


def pytest_collection_modifyitems(items):
    """Files of minutes first: the last ones, which one process may run while the other waits, are short."""
    items.sort(key=lambda item: item.path.relative_to(ROOT / "tests").parts[0] not in LONG_FILES)


def pytest_runtest_setup(item):
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        if os.environ.get("FRAGRANT_REQUIRE_CUDA") == "1":
            pytest.fail("FRAGRANT_REQUIRE_CUDA=1, but there is no CUDA GPU")
        pytest.skip("needs a CUDA GPU")
