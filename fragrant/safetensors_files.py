"""Files of tensors in the safetensors format: no code in them, and in those written here a checksum and a config."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from fragrant.files import read_plain

ENDING = ".safetensors"
FACTS = {"cfg", "class_names", "plugins"}  # entries of a checkpoint that stand beside its weights
_OURS = "fragrant"  # the one entry of the metadata: the library writes several in any order


def to_half(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights and buffers in half precision; whole numbers stay, and so does a tensor with a number that half precision
    has no place for (above 65504)."""

    def narrow(value: Tensor) -> Tensor:
        half = value.to(torch.float16) if value.is_floating_point() else value
        return half if torch.equal(half.isfinite(), value.isfinite()) else value

    return {name: narrow(value.detach().cpu()).contiguous() for name, value in weights.items()}


def safetensors_bytes(weights: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """The content of a file; the same weights and facts give the same bytes.

    Args:
        facts: of ``FACTS``, each a text or a list of texts.
    """
    assert facts.keys() <= FACTS, facts.keys()
    apart = {name: value.clone() for name, value in weights.items()}  # the format holds no shared tensors
    ours = {"facts": dict(facts), "sha256": _digest(apart, facts)}
    return safetensors.torch.save(apart, {_OURS: json.dumps(ours, sort_keys=True)})


def read_safetensors(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a file: a checkpoint with "model_state" and what of ``FACTS`` it has, or of one from elsewhere the tensors
    by name. Half precision becomes float32 when it is loaded into a model, without a loss.

    Raises:
        OSError, ValueError, SafetensorError: it cannot be read, or is damaged. Files from elsewhere have no checksum.
    """
    content = read_plain(path)
    weights = safetensors.torch.load(content)  # checks the header, which is read again for what it leaves out
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    if _OURS not in metadata:
        return weights
    ours = json.loads(metadata[_OURS])
    if ours["sha256"] != _digest(weights, ours["facts"]):
        raise ValueError("wrong checksum")
    return {"model_state": weights, **{name: value for name, value in ours["facts"].items() if name in FACTS}}


def _digest(weights: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, value in sorted(weights.items()):
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy().data if value.numel() else b"")
    return digest.hexdigest()
