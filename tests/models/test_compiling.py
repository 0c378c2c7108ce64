"""Every model is one graph for torch.compile; what cannot be compiled is said in one line."""

import copy
import sys

import pytest
import torch
from models_by_row import MODELS_BY_ROW, random_clips

from fragrant.models import compiling
from fragrant.models.compiling import CompileError, as_written, compile_in_place
from fragrant.models.complexity import measure

CPU, GPU = torch.device("cpu"), torch.device("cuda")
QUICK = {"Fragrant", "DGAM"}  # by default; a second each
ROWS = [pytest.param(row, marks=() if row in QUICK else pytest.mark.slow) for row in MODELS_BY_ROW]


@pytest.fixture(autouse=True)
def anew():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("training", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_model_is_one_graph(row, training):
    found = torch._dynamo.explain(MODELS_BY_ROW[row]().train(training))(random_clips(row, 2))
    assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
@pytest.mark.parametrize("row", MODELS_BY_ROW)
def test_compiled_steps_are_those_of_the_model_as_written(row):
    plain = MODELS_BY_ROW[row]().train()
    model = copy.deepcopy(plain)
    compile_in_place(model, CPU)
    found = []
    for each in (plain, model):
        torch.manual_seed(0)
        logits = each(random_clips(row, 2))
        logits.square().sum().backward()
        gradients = [p.grad.flatten() for p in each.parameters() if p.grad is not None]
        found.append((logits.detach(), torch.cat(gradients), *each.state_dict().values()))
    assert model.state_dict().keys() == plain.state_dict().keys()
    for expected, value in zip(*found, strict=True):
        error = (expected.double() - value.double()).norm() / expected.double().norm().clamp_min(1e-6)
        assert error < 2e-3, error  # ReLUs at zero


def test_multiply_adds_of_a_compiled_model_are_counted():
    model = MODELS_BY_ROW["DGAM"]()
    expected = measure(model, (3, 4, 64, 64))
    model.compile(backend="eager")
    assert measure(model, (3, 4, 64, 64)) == expected
    assert model.backbone._compiled_call_impl is not None  # compiled again behind it


class Counting:
    """A backend of torch.compile that counts what it is given."""

    graphs = 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        return graph


class OneLayer(torch.nn.Module):
    """A module of our own: torch 2.11 compiles no nn.Linear and no nn.Sequential by itself."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def test_as_written_means_uncompiled(monkeypatch):
    backend = Counting()
    monkeypatch.setattr(compiling, "BACKEND", backend)
    model = OneLayer()
    compile_in_place(model, CPU)
    tried = backend.graphs
    with pytest.raises(RuntimeError, match="for a test"), as_written(model):
        model(torch.ones(1, 2))
        raise RuntimeError("for a test")
    assert tried == 1 and backend.graphs == tried
    for rows in (1, 3, 3, 4):  # a graph for each size, none for all
        model(torch.ones(rows, 2))
    assert backend.graphs == tried + 3
    with as_written(copy.deepcopy(model)):
        pass


# ------------------------------------------------------------------------------------------------------ no compiler there
WITHOUT = [
    (CPU, {}, "a C++ compiler on the CPU, and there is no 'g++'; allowed: install g++, name another one in CXX, or"),
    (CPU, {"CXX": "/nowhere/c++ -O1"}, "there is no '/nowhere/c++ -O1'"),
    (GPU, {}, "a C compiler for Triton, and there is no 'gcc'; allowed: install gcc, name another one in CC, or"),
    (GPU, {"CC": "icc"}, "there is no 'icc'"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="the names of compilers elsewhere")
@pytest.mark.parametrize("device, variables, message", WITHOUT)
def test_no_compiler_is_one_line(device, variables, message, tmp_path, monkeypatch):
    for name in ("CXX", "CC"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"PATH": str(tmp_path), **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(compiling, "triton_is_installed", lambda: True)
    with pytest.raises(CompileError) as caught:
        compile_in_place(torch.nn.Linear(2, 2), device)
    text = str(caught.value)
    assert text.startswith("TRAIN.COMPILE True needs ") and text.endswith(", or TRAIN.COMPILE False")
    assert message in text and "\n" not in text


def test_no_triton_on_a_gpu(monkeypatch):
    monkeypatch.setattr(compiling, "triton_is_installed", lambda: False)
    with pytest.raises(CompileError, match="needs the package triton on a GPU, which is not installed"):
        compile_in_place(torch.nn.Linear(2, 2), GPU)


def test_a_compiler_behind_another_command(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", f"{sys.executable} -O2")
    compiling.find_compiler(CPU)


def broken(graph, inputs):
    raise OSError("C++ compile error\n\nOutput:\nfatal error: omp.h: No such file or directory")


def test_a_compiler_that_does_not_work_is_one_line(monkeypatch):
    monkeypatch.setattr(compiling, "BACKEND", broken)
    with pytest.raises(CompileError) as caught:
        compile_in_place(torch.nn.Linear(2, 2), CPU)
    assert "does not work on this machine" in str(caught.value) and "error" in str(caught.value)
    assert "\n" not in str(caught.value)
