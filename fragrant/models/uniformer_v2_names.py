"""State dicts of CLIP and of UniFormerV2, as others write them, with the names of this package."""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Rename = Callable[[str], str]

IN_A_BLOCK = [  # nn.MultiheadAttention and CLIP -> ours
    (r"\.attn\.in_proj_(weight|bias)$", r".attn.qkv.\1"),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.ln_([123])\.", r".norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"\.lmhra([12])\.pos_embed\.0\.", r".local\1.norm."),
    (r"\.lmhra([12])\.pos_embed\.1\.", r".local\1.reduce."),
    (r"\.lmhra([12])\.pos_embed\.2\.", r".local\1.time."),
    (r"\.lmhra([12])\.pos_embed\.3\.", r".local\1.expand."),
]
IMAGE_PART = [(r"^ln_pre\.", "norm_pre."), (r"^transformer\.resblocks\.", "blocks."), *IN_A_BLOCK]
TRAINED = [  # UniFormerV2's own files and mmaction2's
    (r"^backbone\.", ""),
    (r"^cls_head\.fc_cls\.", "head."),
    (r"^transformer\.(proj\.0|norm)\.", "norm."),
    (r"^transformer\.proj\.2\.", "head."),
    (r"^transformer\.(?!resblocks\.)", ""),
    *IMAGE_PART,
]
HUGGING_FACE = [
    (r"^vision_model\.embeddings\.class_embedding$", "class_embedding"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "conv1."),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^vision_model\.pre_layrnorm\.", "norm_pre."),
    (r"^vision_model\.encoder\.layers\.", "blocks."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"\.layer_norm([12])\.", r".norm\1."),
]
TIMM = [
    (r"^cls_token$", "class_embedding"),
    (r"^pos_embed$", "positional_embedding"),
    (r"^patch_embed\.proj\.", "conv1."),
]
QUERY_KEY_VALUE = re.compile(r"(blocks\.\d+)\.self_attn\.([qkv])_proj\.(weight|bias)")
OF_A_LAYER = re.compile(r"\.local[12]\.(reduce|time|expand)\.weight$")


def layout_of(names: Mapping[str, Tensor]) -> str:
    """Who wrote a file, told by its names; "" = this package, or nobody that is known."""
    plain = {name.removeprefix("backbone.") for name in names}
    if any(name.startswith("visual.transformer.") for name in names):
        return "CLIP (OpenAI, open_clip)"
    if any(name.startswith("vision_model.") for name in names):
        return "CLIP (Hugging Face)"
    if "patch_embed.proj.weight" in names and "norm_pre.weight" in names:
        return "CLIP (timm)"
    if any(name.startswith(("cls_head.", "backbone.transformer.norm.")) for name in names):
        return "mmaction2"
    if "transformer.temporal_cls_token" in plain:
        return "UniFormerV2"
    return "CLIP (image part)" if any(name.startswith("transformer.resblocks.") for name in plain) else ""


def renamed_to_ours(state: Mapping[str, Tensor], *, frames: int) -> dict[str, Tensor]:
    """Renames a state dict of CLIP, UniFormerV2 or mmaction2, and shapes what has another shape here; a file of this
    package stays as it is. What no network here has, CLIP's text part for one, keeps its name and so is reported.

    Args:
        frames: that a patch sees.
    """
    layout = layout_of(state)
    if layout == "CLIP (OpenAI, open_clip)":
        ours = _image_part(state, "visual.", IMAGE_PART, ("proj", "ln_post."))
    elif layout == "CLIP (image part)":
        ours = _image_part(state, "", IMAGE_PART, ("proj", "ln_post."))
    elif layout == "CLIP (Hugging Face)":
        ours = _packed(_image_part(state, "", HUGGING_FACE, ("vision_model.post_layernorm.", "text_model.")))
    elif layout == "CLIP (timm)":
        ours = _image_part(state, "", TIMM, ("norm.", "head.", "fc_norm."))
    else:
        ours = {_substituted(name, TRAINED if layout else []): value for name, value in state.items()}
    return {name: _shaped(name, value, frames=frames) for name, value in ours.items()}


def block_renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the state dict of a single published block, or of a local relation, ``pos_embed.0.weight``."""
    ours = {}
    for name, value in state.items():
        inside = f".lmhra1.{name}" if name.startswith("pos_embed.") else f".{name}"
        renamed = _substituted(inside, IN_A_BLOCK)
        ours[renamed.removeprefix(".local1." if inside != f".{name}" else ".")] = _shaped(renamed, value)
    return ours


def _substituted(name: str, renames: list[tuple[str, str]]) -> str:
    for pattern, replacement in renames:
        name = re.sub(pattern, replacement, name)
    return name


def _image_part(
    state: Mapping[str, Tensor], prefix: str, renames: list[tuple[str, str]], unused: tuple[str, ...]
) -> dict[str, Tensor]:
    """The tensors of an image transformer, renamed; the others under ``unused: NAME`` where ours has the name too."""
    ours, others = {}, {}
    for name, value in state.items():
        inner = name.removeprefix(prefix)
        if name.startswith(prefix) and not inner.startswith(unused):
            ours[_substituted(inner, renames)] = value
        else:
            others[name] = value
    clashing = ("norm.", "head.", "positional_embedding")
    named = {f"unused: {name}" if name in ours or name.startswith(clashing) else name: x for name, x in others.items()}
    return {**ours, **named}


def _packed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Packs projections to queries, keys and values into one, in this order."""
    packed: dict[str, Tensor] = {}
    for name, value in state.items():
        found = QUERY_KEY_VALUE.fullmatch(name)
        if not found:
            packed[name] = value
        elif found[2] == "q":
            parts = [state.get(f"{found[1]}.self_attn.{part}_proj.{found[3]}") for part in "qkv"]
            if all(isinstance(part, Tensor) for part in parts):
                packed[f"{found[1]}.attn.qkv.{found[3]}"] = torch.cat([part for part in parts if part is not None])
    return packed


def _shaped(name: str, value: Tensor, *, frames: int = 1) -> Tensor:
    """The tensor in the shape that it has here: convolutions as linear layers."""
    if not isinstance(value, Tensor):
        return value
    if OF_A_LAYER.search(name) and value.ndim == 5:
        return value.flatten(2) if ".time." in name else value.flatten(1)  # (hidden, 1, 3) | (out, in)
    if name == "conv1.weight" and value.ndim in (4, 5) and value.shape[2:-2] != (frames,):
        image = value.sum(2) if value.ndim == 5 else value  # (C, 3, p, p)
        weight = image.new_zeros(*image.shape[:2], frames, *image.shape[2:])
        weight[:, :, frames // 2] = image
        return weight
    if name == "class_embedding":
        return value.flatten()
    if name == "positional_embedding":
        return value.flatten(0, -2)  # timm: (1, L, C)
    return value
