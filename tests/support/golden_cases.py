"""One case of a golden file against a module: outputs and gradients within the tolerances shared with the files."""

from collections.abc import Callable

import torch
from conftest import golden_input
from torch import Tensor

OUTPUT_TOLERANCE = 2e-5  # x standard deviation
GRADIENT_TOLERANCE = 2e-4


def check_golden_case(
    case: dict,
    function: Callable[[Tensor], Tensor],
    parameters: dict[str, Tensor],
    *,
    memory_format: torch.memory_format,
) -> None:
    """Runs function forward and backward on the case's input, and compares all that the case tells."""
    x = golden_input(**case["input"]).to(memory_format=memory_format).requires_grad_()
    y = function(x)
    std = case["tolerance"]["y_std"]
    if "y" in case["output"]:
        assert_within(y, torch.tensor(case["output"]["y"]), OUTPUT_TOLERANCE * std, "y")
    else:
        part = case["output"]["y_strided"]
        assert_within(y.flatten()[:: part["stride"]], torch.tensor(part["values"]), OUTPUT_TOLERANCE * std, "y")
    assert_probe(y, case["probes"]["y"], OUTPUT_TOLERANCE, "y")
    (y * golden_input(case["input"]["seed"] + 1000, list(y.shape))).sum().backward()
    gradients = {"x": x.grad, **{key: parameter.grad for key, parameter in parameters.items()}}
    assert gradients.keys() == case["grads"].keys() - {"x_full"}
    for key, gradient in gradients.items():
        assert_probe(gradient, case["grads"][key], GRADIENT_TOLERANCE, f"gradient of {key}")
    if "x_full" in case["grads"]:
        assert_within(
            x.grad,
            torch.tensor(case["grads"]["x_full"]),
            GRADIENT_TOLERANCE * case["grads"]["x"]["std"],
            "gradient of x",
        )


def assert_probe(found: Tensor, probe: dict, tolerance: float, what: str) -> None:
    """Shape, mean, standard deviation and first numbers."""
    assert list(found.shape) == probe["shape"], what
    numbers = found.detach().contiguous().flatten().double()
    numbers = torch.stack([numbers.mean(), numbers.std(correction=0), *numbers[:8]])
    expected = torch.tensor([probe["mean"], probe["std"], *probe["first8"]], dtype=torch.double)
    assert_within(numbers, expected, tolerance * probe["std"], what)


def assert_within(found: Tensor, expected: Tensor, allowed: float, what: str) -> None:
    assert found.shape == expected.shape, what
    worst = (found.detach().double() - expected.double()).abs().max().item()
    assert worst <= allowed, f"{what} is off by {worst:.1e}, allowed {allowed:.1e}"
