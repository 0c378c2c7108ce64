"""The command that measures a GPU, rehearsed on the CPU at small sizes: what it records, what a failing row costs, what
it leaves out."""

import json
import os
import time

import pytest
import torch
from conftest import load_tool

from fragrant.benchmarks.gpu import kernels, run
from fragrant.benchmarks.gpu.build import NETWORKS, published
from fragrant.benchmarks.gpu.ceilings import Ceilings
from fragrant.benchmarks.gpu.command import videos_of
from fragrant.benchmarks.gpu.gpu_tests import files_with_gpu_tests, run_gpu_tests
from fragrant.benchmarks.gpu.kernels import KERNELS, Kernel, measure_kernel
from fragrant.benchmarks.gpu.published_forms import PublishedDepthwise, as_published, plain_attention
from fragrant.benchmarks.gpu.record import Record
from fragrant.benchmarks.gpu.rows import Bench, Row, all_rows
from fragrant.benchmarks.gpu.run import DEVICE_BROKEN, run_in_processes, run_rows, wanted
from fragrant.benchmarks.gpu.sizes import SMALL
from fragrant.benchmarks.gpu.timing import timed
from fragrant.errors import UserError
from fragrant.layers.fam import FAM
from fragrant.layers.gamma_experts import GammaExperts
from fragrant.layers.pa import PA
from fragrant.layers.ram import RAM

CPU = torch.device("cpu")


def bench(folder) -> Bench:
    return Bench(CPU, SMALL, Record(folder), workers=1)


def results(folder) -> dict:
    rows = json.loads((folder / "gpu.json").read_text())["rows"]
    return {row["name"]: row for row in rows}


SLOW = pytest.mark.slow  # as the others, but seconds each
FRAGRANT, OF_RAM = pytest.param("FRAGRANT-S", marks=SLOW), pytest.param("RAM", marks=SLOW)


@pytest.mark.parametrize("form", ["ours", "published"])
@pytest.mark.parametrize("key", ["UniFormer-S", FRAGRANT])
def test_a_step_is_measured(tmp_path, key, form):
    rows = wanted(all_rows(), [f"{NETWORKS[key].title} | {form}"])
    run_rows(bench(tmp_path), rows, time.time() + 300)
    row = results(tmp_path)[rows[1].name]
    assert row["status"] == "done", row
    step = row["result"]
    assert step["clips"] == 2 and step["clips_per_second"] > 0 and step["mfu"] > 0
    assert step["tflops"] == pytest.approx(6 * step["gmacs_per_clip"] * 2 / step["ms"], rel=1e-6)
    assert ("kernels" in step) == (form == "ours")
    assert NETWORKS[key].title in (tmp_path / "gpu.md").read_text()


@pytest.mark.parametrize("kind", [OF_RAM if kind == "RAM" else kind for kind in KERNELS])
def test_kernels_are_measured_in_every_form(kind):
    for kernel in KERNELS[kind](CPU, SMALL._replace(rounds=1, seconds=0.01)):
        row = measure_kernel(kernel, CPU, Ceilings(1e11, 1e12), SMALL._replace(rounds=1, seconds=0.01))
        assert not [name for name in row if name.endswith("_error")], row
        assert row["times_faster"] > 0 and row["over_floor"] > 0 and kernel.moved > 0


def test_a_form_that_fails_leaves_the_others():
    def out_of_memory():
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    row = measure_kernel(Kernel("k", lambda: None, out_of_memory, 1.0), CPU, Ceilings(1.0, 1.0), SMALL)
    assert row["published_error"] == "OutOfMemoryError: CUDA out of memory. Tried to allocate" and "ours_ms" in row
    assert "times_faster" not in row


def test_a_row_that_fails_and_one_without_time(tmp_path):
    def fails(bench):
        raise ValueError("two\nlines")

    rows = [Row("a", 1, fails), Row("b", 1000, fails), Row("c", 1, lambda bench: {"x": 1.0})]
    run_rows(bench(tmp_path), rows, time.time() + 60)
    found = results(tmp_path)
    assert found["a"]["status"] == "failed" and found["a"]["error"] == "ValueError: two lines"
    assert found["b"]["status"] == "left out" and "1000 s expected" in found["b"]["error"]
    assert found["c"]["result"] == {"x": 1.0}
    run_rows(bench(tmp_path), rows, time.time() + 60)  # settled: nothing runs twice
    assert len(json.loads((tmp_path / "gpu.json").read_text())["rows"]) == 3


def _crashing_child(folder, device, sizes, clips, only, workers, deadline):
    """In place of the real rows: one breaks the device, one kills its process, one hangs."""

    def broken(bench):
        bench.record.end("device", "failed", 0.0, {"error": "broken"})
        os._exit(DEVICE_BROKEN)

    rows = [
        Row("device", 1, broken),
        Row("tests marked cuda", 1, lambda bench: os._exit(11)),
        Row("kernels FAM", 1, lambda bench: time.sleep(60)),
        Row("kernels RAM", 1, lambda bench: {"cases": []}),
    ]
    run_rows(Bench(torch.device(device), sizes, Record(run.Path(folder))), rows, deadline)


@pytest.mark.slow
def test_a_row_that_kills_its_process_costs_itself(tmp_path, monkeypatch):
    longest = [row._replace(longest=3.0) if row.name == "kernels FAM" else row for row in all_rows()]
    monkeypatch.setattr(run, "all_rows", lambda: longest)
    run_in_processes(tmp_path, device="cpu", minutes=2, sizes=SMALL, target=_crashing_child)
    found = results(tmp_path)
    assert found["device"]["error"] == "broken"
    assert found["tests marked cuda"]["error"] == "its process ended with exit code 11"
    assert found["kernels FAM"]["error"].startswith("ended by force after")
    assert found["kernels RAM"]["status"] == "done"


@pytest.mark.slow
def test_the_processes_measure_on_their_own(tmp_path):
    record = run_in_processes(tmp_path, device="cpu", minutes=2, sizes=SMALL, only=["kernels FAM"], workers=1)
    assert [(row["name"], row["status"]) for row in record.data["rows"]] == [
        ("device", "done"),
        ("kernels FAM", "done"),
    ]


@pytest.mark.slow
def test_waiting_for_the_loader(tmp_path, shared_clips):
    videos = videos_of(shared_clips / "arid6_train.txt")[:4]
    rows = wanted(all_rows(), ["loader and model"])
    run_rows(bench(tmp_path)._replace(clips=tuple(videos)), rows, time.time() + 300)
    for row in rows[1:]:
        done = results(tmp_path)[row.name]
        assert done["status"] == "done", done
        assert 0 < done["result"]["share_waited"] < 1 and done["result"]["files"] == 4


def test_published_forms_compute_the_same():
    torch.manual_seed(0)
    x, clips = torch.randn(2, 8, 4, 6, 6), torch.rand(2, 3, 8, 12, 12)
    model = torch.nn.ModuleDict(
        {"fam": FAM(), "ram": RAM(8, 8, key_dim=4), "pa": PA(4), "dgam": GammaExperts(8).eval()}
    )
    expected = model["fam"](x), model["ram"](x), model["pa"](clips), model["dgam"](clips)[0]
    assert as_published(model) == ["FAM", "GammaExperts", "PA", "RAM"]
    found = model["fam"](x), model["ram"](x), model["pa"](clips), model["dgam"].eval()(clips)[0]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_published_networks_use_cudnn_and_plain_attention():
    model = published(NETWORKS["UniFormer-S"], CPU, SMALL).model
    assert any(isinstance(module, PublishedDepthwise) for module in model.modules())
    q, k, v = torch.randn(3, 2, 2, 5, 4)
    torch.testing.assert_close(plain_attention(q, k, v), torch.nn.functional.scaled_dot_product_attention(q, k, v))


def test_time_is_the_median_and_ends():
    time_of = timed(lambda: time.sleep(0.002), CPU, rounds=5, seconds=10)
    assert 0.0015 < time_of.median < 0.05 and time_of.low <= time_of.median <= time_of.high and time_of.rounds == 5
    assert timed(lambda: time.sleep(0.01), CPU, rounds=1000, seconds=0.01).rounds == 3


def test_tests_of_a_gpu_are_found_and_counted(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["cuda: x"]\n')
    marked = (
        "import pytest\n@pytest.mark.cuda\ndef test_good(): pass\n@pytest.mark.cuda\ndef test_bad(): assert 1 == 2\n"
    )
    (tmp_path / "tests" / "test_a.py").write_text(marked)
    (tmp_path / "tests" / "test_b.py").write_text("def test_other(): assert False\n")
    assert [path.name for path in files_with_gpu_tests(tmp_path / "tests")] == ["test_a.py"]
    found = run_gpu_tests(tmp_path / "log", seconds=60, root=tmp_path)
    assert (found["passed"], found["failed"], found["skipped"]) == (1, 1, 0) and "test_bad" in found["failures"][0]
    assert run_gpu_tests(tmp_path / "log", seconds=0.01, root=tmp_path)["ended"] == "stopped after 0 s"


def test_errors_in_one_line(tmp_path, capsys):
    if not torch.cuda.is_available():
        assert load_tool("benchmark").start(["gpu", "--out", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "this machine has none" in said
    with pytest.raises(UserError, match="--only 'nothing' is in no row; rows: device"):
        wanted(all_rows(), ["nothing"])
    (tmp_path / "list.txt").write_text("a.mp4 0\n")
    with pytest.raises(UserError, match="none of its 1 videos is there"):
        videos_of(str(tmp_path / "list.txt"))


def test_an_error_is_one_short_line():
    assert (
        kernels.one_line(ValueError("a\n  b")) == "ValueError: a b"
        and len(kernels.one_line(ValueError("x" * 1000))) == 300
    )
