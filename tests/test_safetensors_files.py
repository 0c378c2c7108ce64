"""Files of safetensors: the same weights and config come back, damage is one line, no bit can flip unseen."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from fragrant.checkpoint import CheckpointError, load_checkpoint, read_verified
from fragrant.models.weights import WeightsError, read_checkpoint
from fragrant.safetensors_files import read_safetensors, safetensors_bytes, to_half

FACTS = {"cfg": "MODEL:\n  NUM_CLASSES: 2\n", "class_names": ["a", "b"], "plugins": []}
WEIGHTS = {
    "conv.weight": torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0)),
    "norm.running_var": torch.rand(4),
    "norm.num_batches_tracked": torch.tensor(7),
    "empty": torch.zeros(0, 3),
}


def written(path, weights=WEIGHTS, facts=FACTS):
    path.write_bytes(safetensors_bytes(weights, facts))
    return path


def test_what_is_written_comes_back(tmp_path):
    content = load_checkpoint(written(tmp_path / "a.safetensors"))
    assert {name: content[name] for name in FACTS} == FACTS
    assert content["model_state"].keys() == WEIGHTS.keys()
    assert all(torch.equal(content["model_state"][name], value) for name, value in WEIGHTS.items())


def test_the_same_bytes_each_time(tmp_path):
    assert len({safetensors_bytes(WEIGHTS, FACTS) for _ in range(8)}) == 1


def test_half_precision():
    """Whole numbers stay, and what half precision has no number for; an infinity is one."""
    values = {
        "whole": torch.tensor(2**40),
        "large": torch.tensor([1e5, 1.0]),
        "small": torch.tensor([1 / 3, 65504.0]),
        "infinite": torch.tensor([float("inf")]),
    }
    half = to_half(values)
    assert {name: value.dtype for name, value in half.items()} == {
        "whole": torch.int64,
        "large": torch.float32,
        "small": torch.float16,
        "infinite": torch.float16,
    }
    assert half["whole"] == 2**40 and (half["small"].float() / values["small"] - 1).abs().max() < 2**-11


def test_shared_tensors_are_written_apart(tmp_path):
    shared = torch.ones(3)
    content = read_safetensors(written(tmp_path / "a.safetensors", {"a": shared, "b": shared, "c": shared[1:]}))
    assert torch.equal(content["model_state"]["b"], shared) and len(content["model_state"]["c"]) == 2


def test_files_from_elsewhere_are_tensors_by_name(tmp_path):
    path = tmp_path / "a.SAFETENSORS"
    safetensors.torch.save_file({"head.weight": torch.ones(2, 2).bfloat16()}, path, {"format": "pt"})
    assert list(read_verified(path)) == ["head.weight"] and read_checkpoint(path)["head.weight"].sum() == 4


@pytest.mark.parametrize("cut", [0, 4, 8, 100, 500, -1])
def test_a_part_of_a_file(cut, tmp_path):
    path = written(tmp_path / "a.safetensors")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match=r"a.safetensors is damaged or not a checkpoint: [^\n]+$"):
        load_checkpoint(path)
    with pytest.raises(WeightsError, match="damaged, or not a PyTorch checkpoint"):
        read_checkpoint(path)


def test_no_flipped_bit_is_taken_for_a_weight(tmp_path):
    """Every byte of the header and of the numbers: an error, or exactly what was written."""
    path = written(tmp_path / "a.safetensors")
    whole, rng = path.read_bytes(), np.random.RandomState(0)
    unseen = []
    for at in range(0, len(whole), 4):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randint(8)]) + whole[at + 1 :])
        try:
            content = load_checkpoint(path)
        except CheckpointError as error:
            assert "\n" not in str(error)
            continue
        same = "model_state" in content and all(
            torch.equal(content["model_state"].get(name, torch.ones(())), value) for name, value in WEIGHTS.items()
        )
        if not same or {name: content.get(name) for name in FACTS} != FACTS:
            unseen.append(at)
    # But for the few letters that say whose file it is: without them it is one from elsewhere, and has no config.
    marked = whole.index(b"__metadata__"), whole.index(b"fragrant") + len(b"fragrant")
    assert all(marked[0] <= at <= marked[1] for at in unseen), unseen


@pytest.mark.parametrize("facts", [[], {}, {"facts": {}}, {"sha256": 1, "facts": 2}, "x", None])
def test_facts_of_another_form(facts, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors.torch.save({"a": torch.ones(1)}, {"fragrant": json.dumps(facts)}))
    with pytest.raises(CheckpointError, match="is damaged or not a checkpoint"):
        load_checkpoint(path)
