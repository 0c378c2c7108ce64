"""Every Triton kernel compiles for the GPUs that it is meant for, without one: nothing spilled, within their shared
memory."""

import importlib.util
import inspect
import os
import sys

import pytest

from fragrant.kernels.variants import TRITON_MODULES, Variant, all_variants

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed"),
    pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="needs the compiler"),
]


@pytest.fixture(autouse=True)
def compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # Triton 3.9 warns where this is not said
    from triton.backends import backends

    if "nvidia" not in backends:
        pytest.skip("this Triton does not compile for NVIDIA GPUs")


def those_that_do_not_fit(variants: list[Variant], capability: int) -> list[str]:
    from fragrant.kernels.compiled import compile_for

    found = [(variant.name, compile_for(variant, capability)) for variant in variants]
    return [f"{name}: {usage}" for name, usage in found if not usage.fits(capability)]


def multiplies_matrices(variant: Variant) -> bool:
    """These are other instructions on every generation of GPUs; all else is the same but for the limits, which are
    tightest for the oldest."""
    return "tl.dot" in inspect.getsource(sys.modules[variant.kernel.fn.__module__])


@pytest.mark.parametrize("capability", [80, 90])
def test_kernels_fit(capability):
    quick = [variant for variant in all_variants() if variant.quick]
    chosen = quick if capability == 80 else [variant for variant in quick if multiplies_matrices(variant)]
    assert chosen and those_that_do_not_fit(chosen, capability) == []


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90, 100])
def test_all_kernels_fit(capability):
    assert those_that_do_not_fit(all_variants(), capability) == []


def test_what_does_not_fit_is_found():
    """A kernel with 1 KiB for each thread, in registers."""
    import triton
    import triton.language as tl

    from fragrant.kernels.compiled import Usage, compile_for

    @triton.jit
    def wasteful_kernel(x, n, SIZE: tl.constexpr):
        place = tl.arange(0, SIZE)
        kept = tl.load(x + place)
        for step in range(n):
            kept = kept * kept + step
        tl.store(x + place, kept)

    used = compile_for(Variant("wasteful", wasteful_kernel, {"x": "*fp32", "n": 5, "SIZE": 1 << 13}, num_warps=1), 90)
    assert used.spilled_bytes > 0 and not used.fits(90)
    assert not Usage(registers=32, spilled_bytes=0, shared_bytes=164 << 10).fits(80)
    assert Usage(registers=32, spilled_bytes=0, shared_bytes=164 << 10).fits(90)


def test_arguments_are_specialised_as_a_launch_does_it():
    import triton
    import triton.language as tl

    from fragrant.kernels.compiled import source_of

    @triton.jit(do_not_specialize=["free"])
    def kernel(x, one, sixteen, odd, share, free, SIZE: tl.constexpr):
        pass

    arguments = {"x": "*bf16", "one": 1, "sixteen": 32, "odd": 7, "share": 0.5, "free": 16, "SIZE": 8}
    source = source_of(Variant("", kernel, arguments))
    types = ["*bf16", "constexpr", "i32", "i32", "fp32", "i32", "constexpr"]
    assert source.signature == dict(zip(arguments, types, strict=True))
    assert source.constants == {(1,): 1, (6,): 8}
    assert list(source.attrs) == [(0,), (2,)]


def test_every_module_of_kernels_is_listed():
    import fragrant.kernels

    files = {
        file.removesuffix(".py") for file in os.listdir(fragrant.kernels.__path__[0]) if file.endswith("_triton.py")
    }
    assert files == set(TRITON_MODULES)
