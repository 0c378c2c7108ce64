"""Loads a predictor, a mixer, or a model to export from a checkpoint."""

import contextlib
import os
from collections.abc import Sequence
from functools import partial

import torch
from fvcore.common.config import CfgNode

from fragrant.checkpoint import CheckpointError, load_checkpoint
from fragrant.config.portable import portable_text
from fragrant.config.streams import alone_in_test, has_pairs, has_two_streams, lists_folder, test_channels
from fragrant.data import build_source
from fragrant.data.build import build_records
from fragrant.data.lists.records import each_label
from fragrant.data.transforms.build import build_normalization
from fragrant.errors import UserError
from fragrant.inference.entry import Trained
from fragrant.inference.export import Deployed
from fragrant.inference.predictor import Predictor
from fragrant.objectives.selective_module import SelectiveModule
from fragrant.runtime.build import build_preparation, load_trained
from fragrant.runtime.precision import pick_precision
from fragrant.runtime.weights import weights_of_part


def listed_classes(cfg: CfgNode, path: str) -> tuple[int, ...]:
    """The classes of a video by number, as the test, validation or training list of the config says; () where it is in
    none, or where there is none on this machine."""
    if not os.path.isdir(lists_folder(cfg, alone_in_test(cfg) or 0)):
        return ()
    wanted = os.path.realpath(path)
    for split in ("test", "val", "train"):
        with contextlib.suppress(UserError, OSError):
            records = build_records(cfg, split).records
            for at, path_of in enumerate(records.paths()):
                if os.path.realpath(path_of) == wanted:
                    label = records[at % len(records)].label
                    return tuple(one for one in each_label(label) if one >= 0)
    return ()


def load_predictor(
    checkpoint: str | os.PathLike,
    *,
    cfg_path: str | os.PathLike | None = None,
    pairs: Sequence[str] = (),
    device: torch.device | str | None = None,
) -> Predictor:
    """Loads a trained model as a predictor for videos; the checkpoint holds its config and class names.

    Args:
        cfg_path: a yaml file in place of the checkpoint's own config; files from elsewhere carry none.
        pairs: KEY VALUE overrides, ``["TEST.NUM_ENSEMBLE_VIEWS", "4"]``.
        device: None = the first GPU if there is one.

    Raises:
        UserError: the file is no checkpoint, fits the model only in part, has no config and none is given, or takes
            pairs of videos and no TEST.MODALITY says which of them it gets.
    """
    device = torch.device(device or ("cuda:0" if torch.cuda.is_available() else "cpu"))
    cfg, model, names = load_trained(checkpoint, cfg_path, pairs, device)
    if has_pairs(cfg) and alone_in_test(cfg) is None:
        raise UserError(
            f"checkpoint {checkpoint} takes pairs of videos, a visible and an infrared one, and gets single videos "
            "here; allowed: TEST.MODALITY color or thermal, or a test of both lists by tools/run_net.py"
        )
    return Predictor(
        model,
        build_source(cfg),
        class_names=names,
        rule=f"{cfg.DATA.ENSEMBLE_METHOD}-{cfg.TEST.ENSEMBLE_SPACE}",
        prepare=build_preparation(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST),
        autocast=pick_precision(cfg.TEST.PRECISION, device, key="TEST.PRECISION").autocast,
        clips_per_forward=cfg.TEST.BATCH_SIZE,
        device=device,
        multi_label=cfg.DATA.MULTI_LABEL,
        labels_of=partial(listed_classes, cfg),
    )


def load_mixer(checkpoint: str | os.PathLike, device: torch.device) -> SelectiveModule:
    """Loads the mixer that a run with MIXUP.TYPE svmix has trained.

    Raises:
        UserError: there is no mixer in the file.
    """
    state = weights_of_part(load_checkpoint(os.fspath(checkpoint)), "mixer.").get("model_state", {})
    query = state.get("query.weight") if isinstance(state, dict) else None
    if not isinstance(query, torch.Tensor) or query.ndim != 2 or query.shape[1] < 2:
        raise CheckpointError(f"checkpoint {checkpoint} holds no mixer; allowed: one of a run with MIXUP.TYPE svmix")
    mixer = SelectiveModule(query.shape[1] - 1, query.shape[0])
    try:
        mixer.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:  # names, shapes, kinds
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"checkpoint {checkpoint} holds another mixer: {reason}") from error
    return mixer.to(device)


def load_deployed(
    checkpoint: str | os.PathLike, *, cfg_path: str | os.PathLike | None = None, pairs: Sequence[str] = ()
) -> tuple[Deployed, dict]:
    """Loads a trained model that takes pixels, for ``export_model``, and the facts that a user of the exported file has
    to know; see ``load_predictor``."""
    cfg, model, names = load_trained(checkpoint, cfg_path, pairs, torch.device("cpu"))
    channels = "2C" if test_channels(cfg) > cfg.DATA.INPUT_CHANNEL_NUM[0] else "C"
    facts = {
        "input": f"clips: float32 (N, {channels}, T, H, W), pixel values 0..255, RGB{_streams_in_words(cfg)}",
        "output": "logits: float32 (N, K)",
        "clip_shape": [
            test_channels(cfg),
            cfg.DATA.NUM_FRAMES,
            cfg.DATA.TEST_CROP_SIZE,
            cfg.DATA.TEST_CROP_SIZE,
        ],
        "sampling": f"{cfg.DATA.SAMPLING}, {cfg.DATA.NUM_FRAMES} frames x rate {cfg.DATA.SAMPLING_RATE}",
        "short_side": cfg.TEST.SHORT_SIDE or cfg.DATA.TEST_CROP_SIZE,
        "model": cfg.MODEL.MODEL_NAME,
        "class_names": names,
    }
    return Deployed(build_normalization(cfg), model), facts


def _streams_in_words(cfg) -> str:
    """What the channels of a test clip are; "" for one stream."""
    if not has_two_streams(cfg):
        return ""
    if has_pairs(cfg):
        alone = alone_in_test(cfg)
        return ": " + (
            "the visible clip's channels, then the infrared one's"
            if alone is None
            else f"the {('visible', 'infrared')[alone]} clip's, the other is missing"
        )
    return (
        f": the clip's own channels, then those of its copy with DUAL.ENHANCE {cfg.DUAL.ENHANCE} and DUAL.GAMMA "
        f"{cfg.DUAL.GAMMA:g}"
    )


def load_for_entry(
    checkpoint: str | os.PathLike, *, cfg_path: str | os.PathLike | None = None, pairs: Sequence[str] = ()
) -> Trained:
    """Loads from a checkpoint what an entry of the box holds; see ``load_predictor``."""
    cfg, model, names = load_trained(checkpoint, cfg_path, pairs, torch.device("cpu"))
    if has_pairs(cfg):  # which an entry without folders would take for a network of a clip and its copy
        raise UserError(
            f"checkpoint {checkpoint} takes pairs of videos; allowed in an entry: networks of single videos"
        )
    size = cfg.DATA.TEST_CROP_SIZE
    return Trained(
        dict(model.state_dict()),
        portable_text(cfg),
        names,
        list(load_checkpoint(os.fspath(checkpoint)).get("plugins") or ()),
        network=cfg.MODEL.MODEL_NAME,
        clip=[cfg.DATA.INPUT_CHANNEL_NUM[0], cfg.DATA.NUM_FRAMES, size, size],
        parameters=sum(weight.numel() for weight in model.parameters()),
        seed=cfg.RNG_SEED,
    )
