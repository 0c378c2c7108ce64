"""Scores of every video of a list: validation and test are the same function."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from fragrant.data.loader import Batches
from fragrant.distributed import gather_objects, gather_rows
from fragrant.metrics import complete_order
from fragrant.models.backbone import Backbone
from fragrant.objectives import Unlabelled


class Scored(NamedTuple):
    """Scores of every video that can be read, each once, in the order of the list.

    labels (n,) or (n, K) bool, logits (n, V, K) float32, mean brightness (n,), place in the list (n,), and what the
    model chose for every view (n, V), by name; on the CPU."""

    labels: Tensor
    logits: Tensor
    luma: Tensor
    ids: Tensor
    choices: dict[str, Tensor]


def answers(model: nn.Module, clips: Tensor, names: Sequence[str]) -> Tensor:
    """Runs the model on clips (N, C, T, H, W) -> (N, K + choices) float32: the logits, then what the model chose for
    each clip, in the order of ``names``."""
    if not names:
        return model(clips).float()
    logits, choices = cast(Backbone, model).score(clips)
    return torch.cat([logits.float(), *(choices[name].float().unsqueeze(1) for name in names)], 1)


@torch.inference_mode()
def observe_videos(
    objective: Unlabelled,
    loader: Batches,
    *,
    num_videos: int,
    prepare: Callable[[Tensor], Tensor],
    autocast: Callable[[], AbstractContextManager],
    device: torch.device,
    watch: Callable = iter,
) -> Tensor:
    """What an objective without labels keeps of every video that can be read, (n, ...) in the order of the list, of all
    ranks, on the CPU; see ``Unlabelled.observe``.

    Raises:
        ValueError: a video came twice, or is missing though the loader did not skip it.
    """
    objective.eval()
    ids, rows = [torch.empty(0, dtype=torch.long, device=device)], []
    for batch in watch(loader):
        batch = batch.to(device)
        with autocast():
            rows.append(objective.observe(prepare(batch.clips.flatten(0, 1)), batch.ids.tolist()).float())
        ids.append(batch.ids)
    shapes = [tuple(rows[0].shape[1:])] if rows else []
    shape = next(filter(None, gather_objects(shapes)), [(1,)])[0]  # a rank may have no video
    empty = torch.empty(0, *shape, device=device)
    video, row = (gather_rows(torch.cat(parts)).cpu() for parts in (ids, [empty, *rows]))
    skipped = gather_rows(torch.tensor(sorted(loader.skipped), dtype=torch.long, device=device)).cpu()
    order = complete_order(torch.cat([video, skipped]), num_videos)
    return row[order[order < len(video)]]


@torch.inference_mode()
def score_videos(
    model: nn.Module,
    loader: Batches,
    *,
    num_videos: int,
    num_classes: int,
    clips_per_forward: int,
    prepare: Callable[[Tensor], Tensor],
    autocast: Callable[[], AbstractContextManager],
    device: torch.device,
    multi_label: bool = False,  # labels of a video
    watch: Callable = iter,
) -> Scored:
    """Scores all views of all videos and gathers the logits from all ranks.

    Raises:
        ValueError: a video came twice, or is missing though the loader did not skip it.
    """
    names = list(getattr(model.eval(), "choices", {}))  # of a Backbone
    ids = [torch.empty(0, dtype=torch.long, device=device)]
    labels = [torch.empty(0, num_classes, dtype=torch.bool, device=device) if multi_label else ids[0]]
    logits = [torch.empty(0, loader.num_views, num_classes + len(names), device=device)]  # and the choices behind them
    luma = [torch.empty(0, device=device)]  # zero rows first: a rank may have no video
    for batch in watch(loader):
        batch = batch.to(device)
        parts = batch.clips.flatten(0, 1).split(clips_per_forward)  # (B*clips, C, T, H, W) in parts
        with autocast():
            scores = torch.cat([answers(model, prepare(part), names) for part in parts])  # (B*clips, K')
        scores = scores.unflatten(0, batch.clips.shape[:2])  # (B, clips, K')
        ids.append(batch.ids)
        labels.append(batch.labels)
        logits.append(scores.take_along_dim(batch.views.unsqueeze(-1), dim=1))  # equal views were scored once
        luma.append(batch.luma)
    video, label, answer, light = (gather_rows(torch.cat(rows)).cpu() for rows in (ids, labels, logits, luma))
    skipped = gather_rows(torch.tensor(sorted(loader.skipped), dtype=torch.long, device=device)).cpu()
    order = complete_order(torch.cat([video, skipped]), num_videos)
    order = order[order < len(video)]
    own, chosen = answer[order].split([num_classes, len(names)], dim=-1)  # (n, V, K) and (n, V, choices)
    return Scored(label[order], own, light[order], video[order], dict(zip(names, chosen.unbind(-1), strict=True)))
