"""UniFormerV2 as the golden files describe it."""

import torch
from conftest import fill_v1, golden
from torch import Tensor, nn

from fragrant.models.uniformer_v2 import Trunk, UniFormerV2
from fragrant.models.weights import load_weights

ORIGINAL = "backbone."  # before the names in the published trainer's files


def published_model(build: dict, **options) -> UniFormerV2:
    """The model of a golden file's ``build`` entry, without dropout."""
    sizes = (build[name] for name in ("input_resolution", "patch_size", "width", "layers", "heads"))
    settings: dict = dict(
        num_classes=build["num_classes"],
        trunk=Trunk(*sizes),
        global_at=build["return_list"],
        global_heads=build["n_head"],
        mlp_factor=build["mlp_factor"],
        relations=0 if build["no_lmhra"] else 1 + build.get("double_lmhra", True),
        reduction=build.get("dw_reduction", 1.5),
        temporal_downsample=build["temporal_downsample"],
        layer_drop_path_rate=build.get("backbone_drop_path_rate", 0.0),
        drop_path_rate=build.get("drop_path_rate", 0.0),
        mlp_dropout=0.0,
        dropout_rate=0.0,
        frozen=build.get("frozen", False),
    )
    return UniFormerV2(**settings | options).eval()


def filled_model(name: str, **options) -> tuple[UniFormerV2, dict[str, str]]:
    """The model of a golden file with its weights, and our name of each published one."""
    content = golden(f"uniformer_v2/{name}")
    state = fill_v1(content["state"])
    model = published_model(content["build"], **options)
    report = load_weights(model, state)
    assert not (report.missing or report.dropped or report.unexpected), report.summary()
    ours = model.rename_published(dict(state))
    return model, dict(zip(state, ours, strict=True))


def outputs_by_name(model: UniFormerV2, names, clips: Tensor) -> dict[str, Tensor]:
    """Outputs of parts by their published names, in their published shapes, and the logits."""
    seen: dict[str, Tensor] = {}
    hooks = []
    shapes = {
        "conv1": lambda module, x, y: y,
        "ln_pre": lambda module, x, y: y.flatten(0, 1),
        "resblocks": lambda module, x, y: y.flatten(0, 1).transpose(0, 1),
        "dpe": lambda module, x, y: y - x,  # published: without the sum
        "dec": lambda module, x, y: y[None],
    }
    for name in set(names) - {"head_in"}:
        inner = name.removeprefix("transformer.").replace("ln_pre", "norm_pre").replace("resblocks", "blocks")

        def keep(module: nn.Module, inputs: tuple, output: Tensor, name: str = name) -> None:
            kind = name.removeprefix("transformer.").split(".")[0]
            seen[name] = shapes[kind](module, inputs[0], output)

        hooks.append(model.get_submodule(inner).register_forward_hook(keep))
    hooks.append(model.norm.register_forward_pre_hook(lambda module, inputs: seen.update(head_in=inputs[0])))
    with torch.no_grad():
        seen["logits"] = model(clips)
    for hook in hooks:
        hook.remove()
    return seen
