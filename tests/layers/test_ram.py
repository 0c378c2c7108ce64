"""RAM computes what the published code computes, outputs and gradients, without the tensors that the published code
builds."""

import itertools
from pathlib import Path

import pytest
import torch
from conftest import GOLDEN, fill_v1, golden
from golden_cases import check_golden_case
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fragrant.benchmarks.published.rsa import PublishedRSA
from fragrant.errors import UserError
from fragrant.kernels import taps
from fragrant.kernels.taps import KernelError
from fragrant.layers import relation
from fragrant.layers.ram import RAM, TYPES, RamError, kernels_come_first, resolve_dims

FORMATS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}
ORDERS = ("kernels", "convolutions")
NAMES = sorted(Path(path).stem for path in (GOLDEN / "uniformer").glob("rsa_*.json"))
SMALL = [name for name in NAMES if not name.startswith(("rsa_fragrant", "rsa_repo", "rsa_VplusR_R_fragrantdims"))]


def settings_of(build: dict) -> dict:
    """RAM's arguments from a golden file's ``build`` entry."""
    names = {"nh": "heads", "dk": "key_dim", "dv": "value_dim", "dd": "latent_dim", "feat_type": "feature_type"}
    settings = {names.get(key, key): value for key, value in build.items() if key != "resolved"}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}


def check_golden(name: str, **options) -> None:
    expected = golden(f"uniformer/{name}")
    module = RAM(**settings_of(expected["build"]), **options)
    assert [(key, list(value.shape)) for key, value in module.state_dict().items()] == [
        (key, shape) for key, shape, _ in expected["state"]
    ]
    module.load_state_dict(fill_v1(expected["state"]))
    for memory_format, case in itertools.product(FORMATS.values(), expected["cases"]):
        module.to(memory_format=memory_format).zero_grad()
        check_golden_case(case, module, dict(module.named_parameters()), memory_format=memory_format)


@pytest.mark.parametrize("name", NAMES)
def test_golden(name):
    check_golden(name)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", SMALL)
def test_golden_in_either_order(name, order):
    check_golden(name, order=order)


def twins(d_in: int, d_out: int, **settings) -> tuple[PublishedRSA, RAM]:
    """The published form and ours with the same random weights, in float64."""
    order = settings.pop("order", "auto")
    published, ours = PublishedRSA(d_in, d_out, **settings), RAM(d_in, d_out, **settings, order=order)
    generator = torch.Generator().manual_seed(0)
    state = {
        key: torch.randn(value.shape, generator=generator, dtype=torch.double)
        for key, value in published.state_dict().items()
    }
    for module in (published, ours):
        module.double().load_state_dict(state)
    return published, ours


def outputs_and_gradients(module: nn.Module, x: torch.Tensor, grad: torch.Tensor | None = None) -> list[torch.Tensor]:
    x = x.detach().requires_grad_()
    y = module(x)
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype) if grad is None else grad
    return [y.detach(), *torch.autograd.grad(y, [x, *module.parameters()], grad)]


def assert_twins_agree(published: nn.Module, ours: nn.Module, x: torch.Tensor) -> None:
    for expected, found in zip(outputs_and_gradients(published, x), outputs_and_gradients(ours, x), strict=True):
        assert found.shape == expected.shape
        assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("kernel_type, feature_type", list(itertools.product(TYPES, TYPES)))
def test_equals_the_published_order_in_float64(kernel_type, feature_type, heads, order):
    published, ours = twins(
        7,
        12,
        heads=heads,
        key_dim=0,
        kernel_size=(3, 5, 3),
        kernel_type=kernel_type,
        feature_type=feature_type,
        order=order,
    )
    assert_twins_agree(
        published, ours, torch.randn(2, 7, 3, 6, 5, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    )


SETTINGS = {
    "other dims": dict(heads=2, key_dim=5, value_dim=4, latent_dim=3, kernel_type="VplusR", feature_type="R"),
    "one latent channel": dict(heads=2, key_dim=5, value_dim=1, latent_dim=1, kernel_type="R", feature_type="V"),
    "one key channel": dict(heads=1, key_dim=1, value_dim=1, latent_dim=4, kernel_type="VplusR", feature_type="VplusR"),
    "heads do not divide": dict(heads=5, key_dim=2, kernel_type="V", feature_type="R"),
    "stride": dict(heads=2, key_dim=0, stride=(1, 2, 2), kernel_type="VplusR", feature_type="VplusR"),
    "any stride pools": dict(heads=1, key_dim=3, stride=(3, 1, 1), kernel_type="V", feature_type="V"),
    "one tap": dict(heads=2, key_dim=0, kernel_size=(1, 1, 1), kernel_type="R", feature_type="R"),
    "kernel over the map": dict(heads=1, key_dim=4, kernel_size=(7, 9, 11), kernel_type="R", feature_type="R"),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_other_settings_equal_the_published_order(settings, order):
    published, ours = twins(6, 12, **settings, order=order)
    assert_twins_agree(
        published, ours, torch.randn(1, 6, 2, 5, 7, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    )


@pytest.mark.parametrize("shape", [(1, 6, 1, 1, 1), (3, 6, 1, 9, 2), (2, 6, 5, 1, 16), (1, 6, 2, 15, 13)])
def test_any_map(shape):
    for order in ORDERS:
        published, ours = twins(6, 6, key_dim=4, kernel_type="VplusR", feature_type="R", order=order)
        assert_twins_agree(
            published, ours, torch.randn(shape, dtype=torch.double, generator=torch.Generator().manual_seed(2))
        )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
def test_keeps_the_memory_format(memory_format, order):
    x = torch.randn(2, 6, 3, 4, 5).contiguous(memory_format=memory_format)
    assert RAM(6, 8, heads=2, kernel_type="R", order=order)(x).is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("order", ORDERS)
def test_relational_features_with_other_key_dims(order):
    """The published module cannot add its I (dk x dk) to a dv x dv matrix; with I of the right size, it is the
    reference for ours."""
    published = PublishedRSA(6, 8, key_dim=3, kernel_type="VplusR", feature_type="VplusR", kernel_size=(3, 3, 3))
    x = torch.randn(2, 6, 2, 5, 4, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    with pytest.raises(RuntimeError):
        published.double()(x)
    published.I = nn.Parameter(torch.randn(1, 8, 8, dtype=torch.double, generator=torch.Generator().manual_seed(3)))
    ours = RAM(
        6, 8, key_dim=3, kernel_type="VplusR", feature_type="VplusR", kernel_size=(3, 3, 3), order=order
    ).double()
    assert torch.equal(ours.I, torch.eye(8, dtype=torch.double).unsqueeze(0))
    ours.load_state_dict(published.state_dict())
    assert_twins_agree(published, ours, x)


@pytest.mark.parametrize("order", ORDERS)
def test_gradcheck(order):
    module = RAM(
        3, 4, heads=2, key_dim=0, kernel_size=(3, 3, 3), kernel_type="VplusR", feature_type="VplusR", order=order
    ).double()
    x = torch.randn(2, 3, 2, 3, 4, dtype=torch.double, generator=torch.Generator().manual_seed(0), requires_grad=True)
    names = list(dict(module.named_parameters()))

    def function(x, *values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(
        function, (x, *(p.detach().requires_grad_() for p in module.parameters())), fast_mode=True
    )


@pytest.mark.parametrize("order", ORDERS)
def test_one_clip_at_a_time_gives_the_same(order, monkeypatch):
    monkeypatch.setattr(relation, "CPU_STEP_BYTES", 1)
    published, ours = twins(6, 6, heads=2, key_dim=0, kernel_type="VplusR", feature_type="VplusR", order=order)
    assert_twins_agree(
        published, ours, torch.randn(3, 6, 2, 5, 4, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    )


@pytest.mark.parametrize("order", ORDERS)
def test_frozen_parts_get_no_gradient(order):
    _, module = twins(6, 6, heads=2, key_dim=0, kernel_type="VplusR", feature_type="VplusR", order=order)
    x = torch.randn(2, 6, 2, 4, 4, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    expected = dict(zip(["y", "x", *dict(module.named_parameters())], outputs_and_gradients(module, x), strict=True))
    for name, parameter in module.named_parameters():
        module.requires_grad_(False)
        parameter.requires_grad_()
        y = module(x)
        grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
        torch.testing.assert_close(torch.autograd.grad(y, parameter, grad)[0], expected[name])


class LargestTensor(TorchDispatchMode):
    """The most numbers in one tensor that any operation made."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return out


@pytest.mark.parametrize(
    "kernel_type, feature_type, published_numbers", [("V", "V", 64 * 16), ("VplusR", "R", 64 * 64)]
)
def test_builds_no_matrices_of_the_values(kernel_type, feature_type, published_numbers):
    """Forward and backward never hold dv x dd or dv x dv numbers per position; the published form does."""
    x = torch.randn(4, 64, 2, 8, 8, requires_grad=True)
    largest = {}
    for form in (PublishedRSA, RAM):
        module = form(64, 64, key_dim=16, kernel_size=(3, 3, 3), kernel_type=kernel_type, feature_type=feature_type)
        with LargestTensor() as mode:
            module(x).sum().backward()
        largest[form] = mode.numbers / (4 * 2 * 8 * 8)
    assert largest[PublishedRSA] >= published_numbers
    assert largest[RAM] <= 300  # 81 taps' worth of tile matrices, or 16 x 16 entries of the relational kernel


def test_keeps_little_for_the_backward_pass():
    """V/V: the unit-length q and v and their lengths, besides the input."""
    module = RAM(64, 64)
    x = torch.randn(2, 64, 4, 8, 8).contiguous(memory_format=torch.channels_last_3d)
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.setdefault(t.data_ptr(), t.nbytes) and t, lambda t: t):
        module(x.requires_grad_())
    parameters = sum(p.nbytes for p in module.parameters())
    assert sum(kept.values()) <= x.nbytes * (1 + (64 + 16 + 2) / 64) + parameters


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype, order):
    torch.manual_seed(0)
    module = RAM(16, 16, heads=2, key_dim=0, kernel_type="VplusR", feature_type="VplusR", order=order)
    x = torch.randn(2, 16, 3, 6, 6)
    expected = outputs_and_gradients(module, x)
    with torch.autocast("cpu", dtype=dtype):
        y = module(x)
        assert y.dtype == dtype
        found = outputs_and_gradients(
            module, x, torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        )
    for a, b in zip(found, expected, strict=True):
        assert (a.float() - b).std() <= 2e-2 * b.std()


@pytest.mark.parametrize("heads", [1, 4])
def test_kernels_to_look_at(heads):
    """Applied to v, they give the basic context."""
    _, module = twins(6, 8, heads=heads, key_dim=4, kernel_size=(3, 3, 5), kernel_type="VplusR")
    x = torch.randn(2, 6, 3, 4, 5, dtype=torch.double)
    kernels = module.kernels(x)
    assert kernels.shape == (2, 3, 4, 5, heads, 3, 3, 5)
    v = module.projection(x)[:, -module.dims.value_dim :]
    v = v / (v.square().sum(1, keepdim=True) + 1e-6).sqrt()
    # (N, dv, T, H, W, 3, 3, 5)
    windows = nn.functional.pad(v, (2, 2, 1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1).unfold(4, 5, 1)
    y = torch.einsum("nthwgabc,nuthwabc->nugthw", kernels, windows).flatten(1, 2)
    torch.testing.assert_close(y, module(x))


@pytest.mark.parametrize(
    "d_out, given, resolved",
    [
        (64, dict(heads=1, key_dim=16, value_dim=0, latent_dim=0), (1, 16, 64, 16)),
        (320, dict(heads=8, key_dim=0, value_dim=0, latent_dim=0), (8, 40, 40, 40)),
        (32, dict(heads=2, key_dim=8, value_dim=0, latent_dim=4), (2, 8, 16, 4)),
        (20, dict(heads=3, key_dim=0, value_dim=5, latent_dim=0), (3, 5, 5, 5)),
        (20, dict(heads=3, key_dim=0, value_dim=0, latent_dim=2), (3, 6, 6, 2)),
    ],
)
def test_dims(d_out, given, resolved):
    assert resolve_dims(d_out, **given) == resolved
    assert RAM(4, d_out, kernel_type="R", **given).out_channels == resolved[0] * resolved[2]


@pytest.mark.parametrize(
    "heads, dim, features, cpu, gpu",
    [
        (1, 4, False, False, True),
        (1, 16, False, True, True),
        (2, 8, True, False, True),
        (8, 8, True, False, False),
        (8, 16, True, False, True),
        (8, 40, True, True, True),
        (8, 40, False, True, True),
        (1, 320, True, True, True),
    ],
)
def test_the_cheaper_order(heads, dim, features, cpu, gpu):
    dims = resolve_dims(heads * dim, heads=heads, key_dim=0, value_dim=0, latent_dim=0)
    assert kernels_come_first(dims, relational_features=features, on_cpu=True) == cpu
    assert kernels_come_first(dims, relational_features=features, on_cpu=False) == gpu


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(kernel_type="VR"), "RAM kernel_type 'VR' is not known; known: V, R, VplusR"),
        (dict(feature_type="v"), "RAM feature_type 'v' is not known; known: V, R, VplusR"),
        (dict(order="fast"), "RAM order 'fast' is not known; known: auto, kernels, convolutions"),
        (
            dict(kernel_size=(3, 4, 7)),
            r"RAM kernel_size must be three odd numbers \(time, height, width\); got \(3, 4, 7\)",
        ),
        (dict(kernel_size=(7, 7)), r"RAM kernel_size must be three odd numbers \(time, height, width\); got \(7, 7\)"),
        (
            dict(latent_dim=8),
            "RAM kernel_type V uses the query as kernel coefficients and needs latent_dim == key_dim; got 8 and 16",
        ),
        (
            dict(latent_dim=1),
            "needs latent_dim == key_dim; got 1 and 16; set latent_dim to 0, or kernel_type to R or VplusR",
        ),
        (dict(heads=0), "RAM needs heads >= 1, dims >= 0 and d_out >= heads; got heads=0, d_out=8"),
        (dict(heads=9), "RAM needs heads >= 1, dims >= 0 and d_out >= heads; got heads=9, d_out=8"),
        (dict(key_dim=-1), "RAM needs heads >= 1, dims >= 0 and d_out >= heads; got heads=1, key_dim=-1"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(RamError, match=message):
        RAM(8, 8, **settings)


def test_an_implementation_that_is_not_here(monkeypatch):
    with pytest.raises(KernelError, match="the implementation 'cuda' is not known; known: auto, torch, triton"):
        RAM(8, 8, impl="cuda")
    monkeypatch.setattr(taps, "triton_is_installed", lambda: False)
    with pytest.raises(
        KernelError, match="the implementation 'triton' needs the package triton, which is not installed"
    ):
        RAM(8, 8, impl="triton")
    RAM(8, 8, impl="auto")(torch.randn(1, 8, 1, 2, 2))


def test_triton_wants_a_gpu(monkeypatch):
    monkeypatch.setattr(taps, "triton_is_installed", lambda: True)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(
        KernelError, match="the implementation 'triton' needs tensors on a CUDA GPU, got cpu; use 'auto' or 'torch'"
    ):
        RAM(8, 8, impl="triton")(torch.randn(1, 8, 1, 2, 2))


CUDA_SETTINGS = [
    dict(kernel_type="VplusR", feature_type="R"),
    dict(heads=8, key_dim=0, kernel_type="VplusR", feature_type="VplusR"),
]


@pytest.mark.cuda
@pytest.mark.parametrize("impl", ["torch", "triton"])
@pytest.mark.parametrize("settings", [{}, *CUDA_SETTINGS])
def test_cuda_equals_the_cpu(settings, impl):
    torch.manual_seed(0)
    module = RAM(64, 64, **settings, impl="auto", order="kernels")
    x = torch.randn(2, 64, 4, 15, 14)
    expected = outputs_and_gradients(module.double(), x.double())
    module.float().cuda().impl = impl
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.double).float().cuda()
    with torch.backends.cudnn.flags(allow_tf32=False):
        found = outputs_and_gradients(module, x.cuda(), grad)
    for a, b in zip(found, expected, strict=True):
        assert (a.cpu() - b).abs().max() <= 1e-4 * b.std()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        found = outputs_and_gradients(module, x.cuda(), grad.bfloat16())
    for a, b in zip(found, expected, strict=True):
        assert (a.cpu() - b).std() <= 2e-2 * b.std()


@pytest.mark.parametrize("shape", [(8, 4, 5, 5), (2, 7, 4, 5, 5), (2, 1, 8, 4, 5, 5), (8,)])
def test_what_is_no_volume_of_its_channels(shape):
    ram = RAM(8, 8, kernel_size=(3, 3, 3))
    for call in (ram, ram.kernels):
        with pytest.raises(UserError) as caught:
            call(torch.zeros(shape))
        assert str(caught.value) == f"RAM needs a volume (N, 8, T, H, W), a batch of clips; got the shape {shape}"


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [(1, 1, 1), (1, 2, 5), (2, 4, 4), (1, 7, 7), (3, 2, 2), (4, 4, 1)], ids=str)
def test_bfloat16_on_the_cpu_is_float32_up_to_its_rounding(size, order, memory_format):
    """Also where the map is smaller than the filters, where oneDNN's own numbers are wrong or none."""
    torch.manual_seed(0)
    for kernel_size, heads in (((3, 7, 7), 2), ((5, 5, 5), 1), ((3, 3, 3), 4)):
        settings = {"heads": heads, "kernel_size": kernel_size, "kernel_type": "VplusR", "feature_type": "VplusR"}
        ram = RAM(16, 16, **settings, order=order)
        x = torch.randn(2, 16, *size).contiguous(memory_format=memory_format).requires_grad_()
        grad = torch.randn(2, 16, *size)
        found = []
        for enabled in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                y = ram(x)
            found.append([y, *torch.autograd.grad(y, [x, *ram.parameters()], grad.to(y.dtype))])
        for exact, ours in zip(*found, strict=True):
            assert (ours.float() - exact).abs().max() <= 0.05 * exact.abs().max() + 1e-6, kernel_size
