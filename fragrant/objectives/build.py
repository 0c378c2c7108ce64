"""Builds the objective, its loss and its mixing of clips from the config."""

import inspect
import random
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.checkpoint import load_checkpoint
from fragrant.config import cfg_from_text
from fragrant.config.defaults import AUTO_WEIGHTS
from fragrant.config.frozen import frozen_in_dgam
from fragrant.config.streams import clip_channels, has_pairs
from fragrant.data.transforms.build import build_normalizations, build_streams, clip_enhancement, prepared_streams
from fragrant.data.transforms.gamma import middle_gamma
from fragrant.errors import UserError
from fragrant.layers.curve_net import CurveNet
from fragrant.layers.pixel_decoder import PixelDecoder
from fragrant.models.backbone import Backbone
from fragrant.models.build import names_with
from fragrant.models.dual_stream import DualStream
from fragrant.objectives.classify import Classify, unmixed
from fragrant.objectives.contrast import Contrast, Projector
from fragrant.objectives.darkened import DarkCopies, Darkened
from fragrant.objectives.darkener import LearnDarkener, Weights
from fragrant.objectives.darkening import Darkener, Exposures
from fragrant.objectives.distill import Distill, TeacherInput
from fragrant.objectives.each_stream import EachStream
from fragrant.objectives.ema import Ema
from fragrant.objectives.figure import Figure, maps_of
from fragrant.objectives.gate import ExpectedLoss, Gated
from fragrant.objectives.losses import Loss, binary_cross_entropy, cross_entropy
from fragrant.objectives.masked import MaskedTubes, check_tubes
from fragrant.objectives.mixup import Mixup
from fragrant.objectives.objective import Objective
from fragrant.objectives.pixel_clips import PixelClips
from fragrant.objectives.selective_module import SelectiveModule
from fragrant.objectives.supcon import SupCon
from fragrant.objectives.sv_mix import SvMix, draw
from fragrant.registry import Registry

# name -> function(cfg, model, *, teacher) -> Objective; a teacher is given where DISTILL.CHECKPOINT names one, and only
# then
OBJECTIVES = Registry("TRAIN.OBJECTIVE")
LOSSES = Registry("MODEL.LOSS_FUNC", keys=("MODEL.LOSS_FUNC",))
# published files with mixup ask for the second: the first takes shares too
for name in (
    "cross_entropy",
    "soft_cross_entropy",
    "focal",
):
    LOSSES.register(name)(cross_entropy)
LOSSES.register("bce_logit")(binary_cross_entropy)
BUILT_IN = ("classify", "distill", "svmix")  # objectives that follow from MIXUP and DISTILL
DARKENER = "darkener."  # before the names of a darkener's weights in a checkpoint
Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
PROCESS_RNG = cast(random.Random, random)  # this process's own generator: the module has the same methods


class Teacher(NamedTuple):
    """A trained model on its device, and the config that it was trained with."""

    model: nn.Module
    cfg: CfgNode


def build_loss(cfg) -> Loss:
    """Builds the loss that MODEL.LOSS_FUNC names.

    Raises:
        UserError: MODEL.LOSS_FUNC is not known, or LOSS.CLASS_WEIGHTS auto has not been worked out.
    """
    name, loss = cfg.MODEL.LOSS_FUNC, cfg.LOSS
    if loss.CLASS_WEIGHTS == AUTO_WEIGHTS:
        raise UserError("LOSS.CLASS_WEIGHTS auto follows from a training list, and there is none here; give numbers")
    settings = {"smoothing": loss.LABEL_SMOOTHING} | ({"focus": loss.FOCAL_GAMMA} if name == "focal" else {})
    return Loss(LOSSES.get(name), class_weights=tuple(loss.CLASS_WEIGHTS), settings=settings)


def build_mixup(cfg, rng: random.Random) -> Mixup:
    return Mixup(
        cfg.MODEL.NUM_CLASSES,
        rng,
        alpha=cfg.MIXUP.ALPHA,
        cutmix_alpha=cfg.MIXUP.CUTMIX_ALPHA,
        prob=cfg.MIXUP.PROB,
        switch_prob=cfg.MIXUP.SWITCH_PROB,
        smoothing=cfg.MIXUP.LABEL_SMOOTH_VALUE,
    )


def build_mix(cfg) -> Mix:
    """Builds the mixing of a batch's clips and labels by MIXUP; where MIXUP.ENABLE is False it changes nothing. Draws
    from the module ``random``."""
    return build_mixup(cfg, PROCESS_RNG) if cfg.MIXUP.ENABLE else unmixed


@OBJECTIVES.register("svmix")
def build_sv_mix(cfg, model: Backbone, rng: random.Random = PROCESS_RNG) -> SvMix:
    sv = cfg.SVMIX
    rate = {"lr_scale": sv.MODULE_LR / cfg.SOLVER.BASE_LR} if sv.LR_SCHEDULED else {"fixed_lr": sv.MODULE_LR}
    settings = {"momentum": 0.9, "nesterov": False, "dampening": 0.0} if sv.MODULE_OPT == "sgd" else {}
    learning = {
        "optimizer": sv.MODULE_OPT,
        "weight_decay": sv.MODULE_WD,
        "clip_norm": sv.MODULE_CLIP,
        **rate,
        **settings,
    }
    draws = partial(
        draw,
        rng=rng,
        spatial_prob=sv.SPATIAL_PROB,
        alpha_spatial=sv.ALPHA_SPATIAL,
        alpha_temporal=sv.ALPHA_TEMPORAL,
        prob=sv.PROB,
    )
    return SvMix(
        model,
        SelectiveModule(model.num_features, sv.MODULE_DIM or None, learning=learning),
        draws,
        num_classes=cfg.MODEL.NUM_CLASSES,
        loss_fn=build_loss(cfg),
        smoothing=cfg.MIXUP.LABEL_SMOOTH_VALUE,
        lam_margin=sv.LAM_MARGIN,
        mask_weight=sv.MASK_LOSS,
        mask_margin=sv.MASK_MARGIN,
        decay=sv.EMA,
        teacher_batch_stats=sv.TEACHER_BATCH_STATS,
        evaluate=sv.EVAL,
    )


def build_enhancement(teacher_cfg) -> Callable[[Tensor], Tensor]:
    """Builds the teacher's brightening of clips, by its config: uint8 pixels (N, C, T, H, W) -> the same shape.

    Raises:
        UserError: the teacher was trained on dark clips.
    """
    data = teacher_cfg.DATA
    if not data.GAMMA and data.ENHANCE == "none":
        raise UserError(
            "DISTILL.INPUT enhanced, but DISTILL.CHECKPOINT was trained with DATA.ENHANCE none and DATA.GAMMA "
            "[]; allowed: dark"
        )
    return clip_enhancement(data.ENHANCE, middle_gamma(data.GAMMA))


@OBJECTIVES.register("distill")
def build_distill(cfg, model: Backbone, teacher: Teacher) -> Distill:
    """Builds the distillation objective from a model and its teacher. A teacher of two streams gets both, made of the
    student's first.

    Raises:
        UserError: the teacher knows other classes.
    """
    found, wanted = teacher.cfg.MODEL.NUM_CLASSES, cfg.MODEL.NUM_CLASSES
    if found != wanted:
        raise UserError(
            f"DISTILL.CHECKPOINT '{cfg.DISTILL.CHECKPOINT}' knows {found} classes; allowed: the {wanted} of "
            "MODEL.NUM_CLASSES"
        )
    if has_pairs(teacher.cfg):
        raise UserError(
            f"DISTILL.CHECKPOINT '{cfg.DISTILL.CHECKPOINT}' was trained on pairs of videos, and the second cannot be "
            "made of the student's clips; allowed: a teacher of single videos"
        )
    device = next(teacher.model.parameters()).device
    student = build_normalizations(cfg)[0].to(device)
    enhance = [build_enhancement(teacher.cfg)] if cfg.DISTILL.INPUT == "enhanced" else []
    return Distill(
        model,
        teacher.model,
        build_loss(cfg),
        teacher_input=TeacherInput(student, prepared_streams(teacher.cfg, device), *enhance),
        alpha=cfg.DISTILL.ALPHA,
        temperature=cfg.DISTILL.TEMPERATURE,
        mix=build_mix(cfg),
    )


def build_supcon(cfg, model: Backbone) -> SupCon:
    loss = cfg.LOSS
    projector = Projector(model.num_features, width=loss.SUPCON_WIDTH, dim=loss.SUPCON_DIM)
    return SupCon(model, projector, build_loss(cfg), weight=loss.SUPCON, temperature=loss.SUPCON_TEMPERATURE)


def build_pixel_clips(cfg, device: torch.device) -> PixelClips:
    each = [normalize.to(device) for normalize in build_normalizations(cfg)]
    return PixelClips(each, build_streams(cfg), channels_last=cfg.TRAIN.CHANNELS_LAST)


def build_exposures(cfg) -> Exposures:
    options = cfg.DARKENER
    return Exposures(tuple(options.EXPOSURE), options.PIXEL_NOISE, options.PATCH_NOISE, options.PATCH)


def build_darkener(cfg) -> Darkener:
    """Builds the darkener of a config, which changes nothing yet."""
    options = cfg.DARKENER
    sizes = {"width": options.WIDTH, "iterations": options.ITERATIONS, "scale": options.SCALE}
    return Darkener(CurveNet(cfg.DATA.INPUT_CHANNEL_NUM[0], **sizes))


def trained_darkener(path: str, channels: int) -> Darkener:
    """Reads a darkener from a checkpoint of TRAIN.OBJECTIVE darkener, which knows its sizes.

    Raises:
        UserError: there is no such file, it holds none, or one for other colours.
    """
    where = f"DARKENER.CHECKPOINT '{path}'"
    state = load_checkpoint(path)
    of_objective, text = state.get("objective_state"), state.get("cfg")
    own = {
        name.removeprefix(DARKENER): value
        for name, value in (of_objective if isinstance(of_objective, dict) else {}).items()
        if isinstance(name, str) and name.startswith(DARKENER)
    }
    if not own or not isinstance(text, str):
        raise UserError(f"{where} holds no darkener; give a checkpoint of TRAIN.OBJECTIVE darkener")
    its_cfg = cfg_from_text(text, where=f"config in {path}")
    if (found := its_cfg.DATA.INPUT_CHANNEL_NUM[0]) != channels:
        raise UserError(f"{where} darkens clips of {found} channels; allowed: the {channels} of DATA.INPUT_CHANNEL_NUM")
    with torch.random.fork_rng():  # its first weights cost the run no random numbers
        darkener = build_darkener(its_cfg)
    try:
        darkener.load_state_dict(own)
    except RuntimeError as error:
        raise UserError(f"{where} is damaged: {' '.join(str(error).split())[:200]}") from error
    return darkener


@OBJECTIVES.register("darkener")
def build_learn_darkener(cfg, model: Backbone) -> LearnDarkener:
    options = cfg.DARKENER
    weights = Weights(
        options.SIMILARITY_WEIGHT, options.EXPOSURE_WEIGHT, options.SMOOTHNESS_WEIGHT, options.COLOR_WEIGHT
    )
    pixels = build_pixel_clips(cfg, next(model.parameters()).device)
    return LearnDarkener(model, build_darkener(cfg), build_exposures(cfg), pixels, weights=weights, seed=cfg.RNG_SEED)


def build_darkened(cfg, model: Backbone) -> Darkened:
    """Builds the classification of clips and their dark copies.

    Raises:
        UserError: DARKENER.CHECKPOINT is no file, or holds no darkener.
    """
    loss, device = cfg.LOSS, next(model.parameters()).device
    darkener = trained_darkener(cfg.DARKENER.CHECKPOINT, cfg.DATA.INPUT_CHANNEL_NUM[0]).to(device)
    width = model.num_features
    return Darkened(
        model,
        DarkCopies(darkener, build_exposures(cfg), build_pixel_clips(cfg, device)),
        build_loss(cfg),
        predictor=Projector(width, width=loss.SIMILARITY_WIDTH, dim=width) if loss.SIMILARITY else None,
        mix=build_mix(cfg),
        weight=loss.SIMILARITY,
        decay=loss.SIMILARITY_EMA,
        seed=cfg.RNG_SEED,
    )


@OBJECTIVES.register("classify")
def build_classify(cfg, model: Backbone) -> Classify:
    dgam, mix = cfg.DGAM, build_mix(cfg)
    if cfg.LOSS.SUPCON:
        return build_supcon(cfg, model)
    if cfg.DARKENER.CHECKPOINT:
        return build_darkened(cfg, model)
    if cfg.LOSS.EACH_STREAM:
        return EachStream(cast(DualStream, model), build_loss(cfg), mix=mix, weight=cfg.LOSS.EACH_STREAM)
    if not hasattr(model, "decide") or "gate" in frozen_in_dgam(cfg):  # there is no gate, or it keeps its weights
        return Classify(model, build_loss(cfg), mix=mix)
    return (ExpectedLoss if dgam.SELECT == "expected" else Gated)(model, build_loss(cfg), balance=dgam.BALANCE, mix=mix)


@OBJECTIVES.register("masked")
def build_masked(cfg, model: Backbone) -> MaskedTubes:
    """Builds masked reconstruction around a network that can be masked.

    Raises:
        UserError: it cannot, or the tubes do not fit the clips.
    """
    masking, options, data = model.masking, cfg.PRETRAIN, cfg.DATA
    if masking is None:
        raise UserError(
            f"TRAIN.OBJECTIVE masked: nothing can be hidden from {cfg.MODEL.MODEL_NAME}; allowed: "
            f"{', '.join(names_with('forward_masked'))}, or contrastive for every network"
        )
    for side in (data.TRAIN_CROP_SIZE, data.TEST_CROP_SIZE):
        check_tubes(masking, options.TUBE_SIZE, frames=data.NUM_FRAMES, height=side, width=side)
    decoder = PixelDecoder(
        model.num_features,
        masking.sees,
        channels=data.INPUT_CHANNEL_NUM[0],
        width=options.DECODER_WIDTH,
        depth=options.DECODER_DEPTH,
    )
    return MaskedTubes(
        model,
        decoder,
        ratio=options.MASK_RATIO,
        tube_size=options.TUBE_SIZE,
        normalize=options.NORMALIZE_TARGETS,
        seed=cfg.RNG_SEED,
    )


@OBJECTIVES.register("contrastive")
def build_contrast(cfg, model: Backbone) -> Contrast:
    options = cfg.PRETRAIN
    return Contrast(
        model,
        Projector(model.num_features, width=options.PROJECTOR_WIDTH, dim=options.PROJECTOR_DIM),
        views=cfg.AUG.NUM_SAMPLE,
        temperature=options.TEMPERATURE,
        chunk=cfg.TRAIN.BATCH_SIZE,
    )


@OBJECTIVES.register("figure")
def build_figure(cfg, model: Backbone) -> Figure:
    """Builds classification that is guided by drawn figures.

    Raises:
        UserError: FIGURE.LAYER is no feature map of the model.
    """
    layer, data = cfg.FIGURE.LAYER or model.detail_layer, cfg.DATA
    side = data.TRAIN_CROP_SIZE
    device = next(model.parameters()).device
    clips = torch.zeros(1, clip_channels(cfg), data.NUM_FRAMES, side, side, device=device)
    try:
        with torch.no_grad():
            found, _ = maps_of(model.eval(), layer, clips)
    except AttributeError as error:
        raise UserError(f"FIGURE.LAYER '{layer}' is no part of {cfg.MODEL.MODEL_NAME}: {error}") from error
    if not isinstance(found, Tensor) or found.ndim != 5:
        raise UserError(f"FIGURE.LAYER '{layer}' puts out no feature map (N, D, T, H, W)")
    return Figure(
        model,
        build_loss(cfg),
        layer=layer,
        layer_width=found.shape[1],
        joints_weight=cfg.FIGURE.JOINTS_WEIGHT,
        motion_weight=cfg.FIGURE.MOTION_WEIGHT,
    )


def objective_name(cfg, *, taught: bool = False) -> str:
    """Name of the entry of ``OBJECTIVES`` that a config asks for: by TRAIN.OBJECTIVE, or through its keys MIXUP and
    DISTILL.

    Args:
        taught: a teacher is given, whether DISTILL.CHECKPOINT names it or not.

    Raises:
        UserError: the keys contradict each other.
    """
    svmix = cfg.MIXUP.ENABLE and cfg.MIXUP.TYPE == "svmix"
    follows = "svmix" if svmix else "distill" if taught or cfg.DISTILL.CHECKPOINT else "classify"
    name = cfg.TRAIN.OBJECTIVE or follows
    if name != follows and (svmix or name in BUILT_IN):
        raise UserError(
            f"TRAIN.OBJECTIVE {name} contradicts the keys MIXUP and DISTILL, which say {follows}; allowed: '' or "
            f"{follows}"
        )
    return name


def build_objective(cfg, model: Backbone, *, teacher: Teacher | None = None) -> Objective:
    """The objective around ``model``, which holds the weights that training starts with: averages and teachers begin as
    copies.

    What it draws at random comes from this process's own generator, the module ``random``: checkpoints hold its state.

    Args:
        teacher: the trained model that DISTILL.CHECKPOINT names; None = no distillation.

    Raises:
        UserError: MODEL.LOSS_FUNC or TRAIN.OBJECTIVE is not known, or the teacher does not fit.
    """
    name = objective_name(cfg, taught=teacher is not None)
    make = OBJECTIVES.get(name)
    if teacher and "teacher" not in inspect.signature(make).parameters:
        raise UserError(
            f"TRAIN.OBJECTIVE {name} takes no teacher, but DISTILL.CHECKPOINT is '{cfg.DISTILL.CHECKPOINT}'; give "
            "one of them"
        )
    objective = make(cfg, model, **({"teacher": teacher} if teacher else {}))
    if name == "svmix":  # it has a moving average of its own
        return objective
    return Ema(objective, decay=cfg.TRAIN.EMA.DECAY, evaluate=cfg.TRAIN.EMA.EVAL) if cfg.TRAIN.EMA.ENABLE else objective


def part_to_test(cfg) -> str:
    """Prefix, in the objective's state, of the weights that a test takes from a checkpoint; "" = those of the model
    itself."""
    if objective_name(cfg) == "svmix":
        return "teacher." if cfg.SVMIX.EVAL == "teacher" else ""
    return "averaged." if cfg.TRAIN.EMA.ENABLE and cfg.TRAIN.EMA.EVAL == "ema" else ""
