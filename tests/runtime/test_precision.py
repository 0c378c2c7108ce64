import pytest
import torch

from fragrant.errors import UserError
from fragrant.runtime.precision import pick_precision


@pytest.mark.parametrize(
    "name, device, picked",
    [("auto", "cpu", "fp32"), ("auto", "cuda", "bf16"), ("fp16", "cuda", "fp16"), ("bf16", "cpu", "bf16")],
)
def test_pick(name, device, picked):
    assert pick_precision(name, torch.device(device), key="TRAIN.PRECISION").name == picked


@pytest.mark.parametrize("name, message", [("fp8", "TRAIN.PRECISION 'fp8' is not known"), ("fp16", "needs a CUDA GPU")])
def test_wrong(name, message):
    with pytest.raises(UserError) as error:
        pick_precision(name, torch.device("cpu"), key="TRAIN.PRECISION")
    assert message in str(error.value)


@pytest.mark.parametrize("name, dtype", [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast(name, dtype):
    precision = pick_precision(name, torch.device("cpu"), key="TRAIN.PRECISION")
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert not precision.grad_scaler().is_enabled()
