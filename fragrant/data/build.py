"""Builds the loader of a split from the config."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import torch

from fragrant.config.defaults import AUTO_WEIGHTS
from fragrant.config.label_free import learns_without_labels
from fragrant.config.streams import alone_in_test, has_pairs
from fragrant.data.balance import SAMPLERS as SAMPLERS_OF_CLASSES
from fragrant.data.balance import balanced_order, inverse_frequency
from fragrant.data.clips import ClipDataset, ViewTransform
from fragrant.data.datasets.build import VideoSet, extra_records, read_set
from fragrant.data.datasets.splits import describe_part, draw_few, draw_folds, draw_held_out, leak_between
from fragrant.data.figures import check_tracks
from fragrant.data.lists.hold_out import hold_out
from fragrant.data.lists.records import ListError, RecordList, VideoRecord, each_label
from fragrant.data.loader import ClipLoader, EvaluationBatches, TrainBatches
from fragrant.data.sampling import SAMPLERS, ClipSettings
from fragrant.data.transforms.clip_transforms import transforms_of
from fragrant.data.transforms.color_jitter import ColorJitter
from fragrant.data.transforms.crop_roundings import CROP_ROUNDINGS
from fragrant.data.transforms.darken import Darken
from fragrant.data.transforms.enhance import enhancement_of
from fragrant.data.transforms.gamma import middle_gamma
from fragrant.data.transforms.pairs import PairTransform, UnlitEvaluationTransform, UnlitTrainTransform
from fragrant.data.transforms.randaugment import parse_randaugment
from fragrant.data.transforms.view_transforms import EvaluationTransform, TrainTransform
from fragrant.data.video.cache import CachedFrames
from fragrant.data.video.frames import Frames, Limits, OpenFrames, open_frames
from fragrant.data.video.gray_range import GrayRange
from fragrant.data.video.other_decoders import require
from fragrant.data.video.pairs import open_pair
from fragrant.data.video.timing import evenly
from fragrant.data.views import ViewPlan, evaluation_plan, train_plan
from fragrant.distributed import rank, shard, world_size
from fragrant.errors import UserError
from fragrant.files import is_address

SPLITS = ("train", "val", "test")
MORE_BYTES = 2.0  # of frames than of clips: what may travel to a GPU so that it makes the clips
SPARSE_WINDOW_SECONDS = 4.0  # of a long video that is looked at in windows


def _plan(cfg, split: str, clip_counts: Sequence[int] = ()) -> tuple[ViewPlan, int]:
    """The views of a video, and how many they are; validation is a test with one view.

    Args:
        clip_counts: of a test with several numbers of clips; none = TEST.NUM_ENSEMBLE_VIEWS.
    """
    data = cfg.DATA
    clip = {
        "length": data.NUM_FRAMES,
        "stride": data.SAMPLING_RATE,
        "mode": data.SAMPLING,
        "run": data.SEGMENT_LENGTH,
        "target_fps": data.TARGET_FPS if data.FPS_CONVERT else None,
    }
    if split == "train" or validates_as_it_trains(cfg, split):
        own_time = (
            cfg.AUG.SAMPLE_TIME == "own" or cfg.AUG.SAMPLE_TIME == "auto" and cfg.TRAIN.OBJECTIVE == "contrastive"
        )
        faster = data.TRAIN_JITTER_FPS / data.TARGET_FPS
        return train_plan(**clip, views=cfg.AUG.NUM_SAMPLE, apart=own_time, faster=faster), cfg.AUG.NUM_SAMPLE
    clips, crops = [1], 1
    if split == "test":
        clips, crops = list(clip_counts) or [cfg.TEST.NUM_ENSEMBLE_VIEWS], cfg.TEST.NUM_SPATIAL_CROPS
    return evaluation_plan(**clip, clips=clips, crops=crops, offset=data.USE_OFFSET_SAMPLING), sum(clips) * crops


def validates_as_it_trains(cfg, split: str) -> bool:
    """Whether a split is the validation of views against each other: it needs the random ones of training."""
    return split == "val" and cfg.TRAIN.OBJECTIVE == "contrastive"


def gamma_range(cfg, split: str) -> tuple[float, float]:
    """The range of a clip's gamma."""
    values = cfg.DATA.GAMMA if cfg.DATA.GAMMA_IN in ("both", "train" if split == "train" else "test") else []
    return (values[0], values[-1]) if values else (1.0, 1.0)


def enhancement_name(cfg) -> str:
    """Name of the enhancement of a test's views, ``"clahe gamma=3"``: views of another enhancement are other views."""
    words = [cfg.DATA.ENHANCE] if cfg.DATA.ENHANCE != "none" else []
    if cfg.DATA.GAMMA and cfg.DATA.GAMMA_IN in ("both", "test"):
        words.append(f"gamma={middle_gamma(cfg.DATA.GAMMA):g}")
    return " ".join(words)


def _augment(cfg) -> list[Callable]:
    """Builds the augmentations of training clips in the workers; random erasing is done on the device."""
    aug = cfg.AUG
    if not aug.ENABLE:
        return []
    brightness, contrast, saturation = aug.BRI_CON_SAT or (0.0, 0.0, 0.0)
    jitter = ColorJitter(brightness=brightness, contrast=contrast, saturation=saturation, hue=aug.HUE)
    steps = [jitter] if jitter.changes else []
    return steps + ([parse_randaugment(aug.AA_TYPE, interpolation=aug.INTERPOLATION)] if aug.AA_TYPE else [])


def _darken(cfg) -> Darken | None:
    data = cfg.DATA
    if not data.DARKEN:
        return None
    noise, blocking = tuple(data.DARKEN_NOISE) or (0.0, 0.0), tuple(data.DARKEN_BLOCKING)
    share = {"share": data.DARKEN_SHARE, "color": data.DARKEN_COLOR}
    return Darken(tuple(data.DARKEN), shot=noise, blocking=blocking, **share)


def _transform(cfg, split: str, stream: int | None = 0) -> ViewTransform:
    """The transform of a split; of pairs that of one stream, or (None) that of both."""
    if stream is None:
        return PairTransform(*(cast(Any, _transform(cfg, split, one)) for one in range(2)))
    split = "train" if validates_as_it_trains(cfg, split) else split
    data, dtype, gamma = cfg.DATA, getattr(torch, cfg.DATA.CLIP_DTYPE), gamma_range(cfg, split)
    rounding = CROP_ROUNDINGS.get(data.CROP_ROUNDING)
    if split != "train":
        short_side = cfg.TEST.SHORT_SIDE or data.TEST_CROP_SIZE
        return (UnlitEvaluationTransform if stream else EvaluationTransform)(
            crop_size=data.TEST_CROP_SIZE,
            short_side=short_side,
            rounding=rounding,
            one_crop=split == "val" or cfg.TEST.NUM_SPATIAL_CROPS == 1,
            darken=_darken(cfg) if split == "val" and data.DARKEN_VAL else None,
            enhance=enhancement_of(data.ENHANCE),
            gamma=middle_gamma(gamma),
            dtype=dtype,
        )
    return (UnlitTrainTransform if stream else TrainTransform)(
        crop_size=data.TRAIN_CROP_SIZE,
        jitter_scales=tuple(data.TRAIN_JITTER_SCALES),
        inverse_scales=data.INV_UNIFORM_SAMPLE,
        areas=tuple(data.TRAIN_JITTER_SCALES_RELATIVE) or None,
        aspects=tuple(data.TRAIN_JITTER_ASPECT_RELATIVE) or None,
        scales=tuple(data.TRAIN_MULTI_SCALE),
        flip=data.RANDOM_FLIP,
        darken=_darken(cfg),
        enhance=enhancement_of(data.ENHANCE),
        gamma=gamma,
        short_side=data.TRAIN_SHORT_SIDE,
        moving=data.TRAIN_JITTER_MOTION_SHIFT,
        rounding=rounding,
        augment=_augment(cfg),
        augment_first=cfg.AUG.ORDER == "published",
        **({"then": transforms_of(data.TRANSFORMS)} if data.TRANSFORMS else {}),
        dtype=dtype,
    )


def _batches(cfg, split: str, records: RecordList, num_views: int) -> TrainBatches | EvaluationBatches:
    """Builds the batch sampler of a split of these videos: TRAIN.BATCH_SIZE counts videos and TEST.BATCH_SIZE views,
    both of all processes of this machine together."""
    processes = max(1, world_size() // cfg.NUM_SHARDS)
    place = {"rank": rank(), "world_size": world_size()}
    num_videos = len(records)
    if split == "train":
        power = SAMPLERS_OF_CLASSES.get(cfg.TRAIN.SAMPLER)
        draw = None if power is None else partial(balanced_order, records.labels, power)
        size = max(1, cfg.TRAIN.BATCH_SIZE // processes)
        return TrainBatches(num_videos, batch_size=size, seed=cfg.RNG_SEED, draw=draw, **place)
    videos = cfg.TRAIN.BATCH_SIZE if split == "val" else cfg.TEST.BATCH_SIZE // num_views
    if split == "test" and cfg.TEST.ADAPT != "none":
        videos = processes  # a network is adapted to one video after the other
    return EvaluationBatches(num_videos, batch_size=max(1, videos // processes), **place)


def pair_opener(cfg) -> Callable[[str, str], Frames]:
    """Builds the function that opens the frames of a pair."""
    first, second = (frame_opener(cfg, stream, even=False) for stream in range(2))
    return partial(open_pair, open_first=first, open_second=second, even=makes_even(cfg))


def gray_range(cfg, stream: int = 0) -> GrayRange | None:
    """What DATA.THERMAL_RANGE says about a stream of pairs, of which it is the second's, or about all videos."""
    values = cfg.DATA.THERMAL_RANGE
    return (values[0], values[1]) if values and (stream or not has_pairs(cfg)) else None


def makes_even(cfg) -> bool:
    """Whether a clip of so many frames per second lasts as long in a video of a variable rate."""
    return cfg.DATA.FPS_CONVERT and cfg.DATA.SAMPLING == "dense"


def frame_opener(cfg, stream: int = 0, *, even: bool = True) -> OpenFrames:
    """Builds the function that opens the frames of a list's path; of pairs that of one stream.

    Args:
        even: make videos of a variable rate even where the clips are of so many frames per second.
    """
    data, gray = cfg.DATA, gray_range(cfg, stream)
    require(data.DECODING_BACKEND)
    limits = Limits(data.MAX_FRAME_MEGAPIXELS, data.MAX_DECODED_GB)
    opened: OpenFrames = partial(
        open_frames,
        backend=data.DECODING_BACKEND,
        multi_thread=cfg.DATA_LOADER.ENABLE_MULTI_THREAD_DECODE,
        short_side=data.DECODE_SHORT_SIDE,
        template=data.IMAGE_TEMPLATE,
        base=data.IMAGE_BASE,
        limits=limits,
        remote=remote_of(cfg),
        gray_range=gray,
    )
    if data.CACHE_DIR:
        opened = _cached(data, opened, limits, remote_of(cfg), gray)
    return evenly(opened) if even and makes_even(cfg) else opened


def _cached(data, opened: OpenFrames, limits: Limits, remote: str, gray: GrayRange | None) -> CachedFrames:
    settings = f"{data.DECODE_SHORT_SIDE} {data.DECODING_BACKEND} {data.IMAGE_TEMPLATE} {data.IMAGE_BASE}"
    settings += f" {gray}" if gray else ""
    room = data.CACHE_GB * 1e9
    return CachedFrames(opened, data.CACHE_DIR, settings=settings, max_bytes=room, limits=limits, remote=remote)


def remote_of(cfg) -> str:
    """The address below which videos may be fetched, "" where DATA.PATH_PREFIX is a folder of this machine."""
    return cfg.DATA.PATH_PREFIX if is_address(cfg.DATA.PATH_PREFIX) else ""


class ClipSource(NamedTuple):
    """Source of clips from any video, without a list.

    Attributes:
        whole: all views of a test, and how many they are.
        window: the one view of a validation, for a part of a long video.
        window_frames: frames that a part should have, from the video's frame rate.
        short_side, limits: of frames that come from elsewhere than ``open_frames``, see there.
    """

    whole: ViewPlan
    num_views: int
    window: ViewPlan
    window_frames: Callable[[float | None], int]
    transform: EvaluationTransform
    open_frames: OpenFrames
    short_side: int = 0
    limits: Limits = Limits()

    def dataset(self, paths: Sequence[str], plan: ViewPlan, *, open_frames: OpenFrames | None = None) -> ClipDataset:
        return ClipDataset(
            [VideoRecord(path, -1) for path in paths],
            plan,
            self.transform,
            seed=0,
            open_frames=open_frames or self.open_frames,
            measure_luma=True,
        )


def build_source(cfg) -> ClipSource:
    """Builds the source of a test's clips from any video files; of pairs those of the visible stream, or of the one
    that TEST.MODALITY names."""
    data = cfg.DATA

    def window_frames(fps: float | None) -> int:
        covers = SAMPLERS.get(data.SAMPLING).covers
        if covers is None:  # frames from all over the video: what is asked is how long an action may be
            return round(SPARSE_WINDOW_SECONDS * (fps or 30))
        target_fps = data.TARGET_FPS if data.FPS_CONVERT else None
        return math.ceil(covers(ClipSettings(data.NUM_FRAMES, data.SAMPLING_RATE, target_fps=target_fps, fps=fps)))

    whole, num_views = _plan(cfg, "test")
    stream = alone_in_test(cfg) or 0
    transform = cast(EvaluationTransform, _transform(cfg, "test", stream))
    opener = frame_opener(cfg, stream)
    more = {"short_side": data.DECODE_SHORT_SIDE, "limits": Limits(data.MAX_FRAME_MEGAPIXELS, data.MAX_DECODED_GB)}
    return ClipSource(whole, num_views, _plan(cfg, "val")[0], window_frames, transform, opener, **more)


def hand_over(cfg, split: str) -> float:
    """Bytes of frames per clip up to which the clips of a video are made on the device, see DATA.TRANSFORM_ON."""
    where, on_cuda = cfg.DATA.TRANSFORM_ON, cfg.NUM_GPUS != 0 and torch.cuda.is_available()
    if where != "auto":
        return math.inf if where == "device" else 0.0
    side = cfg.DATA.TRAIN_CROP_SIZE if split == "train" else cfg.DATA.TEST_CROP_SIZE
    channels = 6 if _stream(cfg, split) is None else 3
    clip_bytes = channels * cfg.DATA.NUM_FRAMES * side**2 * getattr(torch, cfg.DATA.CLIP_DTYPE).itemsize
    return MORE_BYTES * clip_bytes if on_cuda else 0.0


def _stream(cfg, split: str) -> int | None:
    """Which stream the clips of a split show, 0 without pairs; None = both of a pair."""
    if not has_pairs(cfg):
        return 0
    return alone_in_test(cfg) if split == "test" else None


def _in_streams(cfg, split: str, records: Sequence[VideoRecord]) -> tuple[Sequence[VideoRecord], dict[str, Any]]:
    """The records that a split reads, and how the frames of their streams are opened.

    Raises:
        ListError: pairs are asked for, and the records are none.
    """
    stream = _stream(cfg, split)
    are_pairs = isinstance(records, RecordList) and records.paired
    if stream is None and not are_pairs:
        raise ListError(
            f"{records!r:.200} are no pairs, and DATA.COLOR_PATH_TO_DATA_DIR and DATA.THERMAL_PATH_TO_DATA_DIR are "
            "given; allowed: the lists there, or TEST.MODALITY color or thermal"
        )
    if stream == 1 and are_pairs:
        records = cast(RecordList, records).of_partners()
    pair = {"open_pair": pair_opener(cfg)} if stream is None else {}
    return records, {"open_frames": frame_opener(cfg, stream or 0), **pair}


def build_dataset(
    cfg, split: str, records: Sequence[VideoRecord], *, hand_over: float = 0.0, clip_counts: Sequence[int] = ()
) -> tuple[ClipDataset, int]:
    """The clips of these videos as a split makes them, and how many views each has; ``hand_over``: see ClipDataset,
    ``clip_counts``: see ``build_loader``."""
    plan, num_views = _plan(cfg, split, clip_counts)
    records, opened = _in_streams(cfg, split, records)
    options: dict[str, Any] = {
        "seed": cfg.RNG_SEED,
        **opened,
        "measure_luma": split == "test",
        "replace": split == "train",
        "hand_over": hand_over,
    }
    unlabelled = learns_without_labels(cfg)
    several_of = cfg.MODEL.NUM_CLASSES if cfg.DATA.MULTI_LABEL and not unlabelled else None
    options |= {"unlabelled": unlabelled, "tracked": split == "train" and cfg.TRAIN.OBJECTIVE == "figure"}
    if split == "train" and isinstance(records, RecordList) and records.soft and not unlabelled:
        options["soft_of"] = cfg.MODEL.NUM_CLASSES
    transform = _transform(cfg, split, _stream(cfg, split))
    return ClipDataset(records, plan, transform, several_of=several_of, **options), num_views


def build_records(cfg, split: str) -> VideoSet:
    """The videos of "train", "val" or "test"; with DATA.HOLD_OUT the training list serves for both training and
    validation, with DATA.FOLDS for all three; with DATA.SHOTS a few of it train.

    Raises:
        ListError, DemoSetError: the lists are missing or wrong, or cannot be made; no such part can be drawn.
    """
    assert split in SPLITS, split
    videos = _all_records(cfg, split)
    if split != "train" or not cfg.DATA.SHOTS:
        return videos
    few = draw_few(videos.records, cfg.DATA.SHOTS, group_by=cfg.DATA.GROUP_BY, seed=cfg.RNG_SEED)
    return videos._replace(records=few)


def _all_records(cfg, split: str) -> VideoSet:
    name = (cfg.TEST if split == "test" else cfg.TRAIN).DATASET
    if not cfg.DATA.FOLDS and (split == "test" or not cfg.DATA.HOLD_OUT):
        return read_set(cfg, name, split)
    records, class_names = read_set(cfg, name, "train")
    if cfg.DATA.FOLDS:
        drawn = draw_folds(records, cfg.DATA.FOLDS, group_by=cfg.DATA.GROUP_BY, seed=cfg.RNG_SEED)
        tested = drawn.ids(cfg.DATA.FOLD)
        if split == "test" or split == "val" and not cfg.DATA.HOLD_OUT:
            return VideoSet(records.pick(tested), class_names)
        records = records.pick(sorted({*range(len(records))} - {*tested}))
    if cfg.DATA.HOLD_OUT:
        train, val = _held_out(cfg, records)
        records = records.pick(train if split == "train" else val)
    return VideoSet(records, class_names)


def _as_trained(cfg, records: RecordList, class_names: list[str] | None) -> RecordList:
    """The training videos as an epoch meets them: so many times as DATA.TRAIN_REPEAT says, with those of
    DATA.EXTRA_TRAIN_LIST.

    Raises:
        ListError: the extra list is not there or wrong, or has other classes; UserError: no video has a track.
    """
    if cfg.DATA.TRAIN_REPEAT > 1:
        records = records.pick([*range(len(records))] * cfg.DATA.TRAIN_REPEAT)
    if cfg.DATA.EXTRA_TRAIN_LIST:
        records = records.followed_by(extra_records(cfg, class_names))
    if cfg.TRAIN.OBJECTIVE == "figure":
        check_tracks(records)
    return records


def _held_out(cfg, records: RecordList) -> tuple[list[int], list[int]]:
    share, seed = cfg.DATA.HOLD_OUT, cfg.RNG_SEED
    if cfg.DATA.GROUP_BY:
        return draw_held_out(records, share, group_by=cfg.DATA.GROUP_BY, seed=seed)
    labels = [0] * len(records) if learns_without_labels(cfg) else records.labels.tolist()
    train, val = hold_out(labels, share, seed=seed)
    if not val:
        raise ListError(f"DATA.HOLD_OUT {share} holds out no video: no class of {records!r} has two")
    return train, val


def fold_of(cfg) -> dict:
    """Which fold is tested, and by what the folds were drawn, for the header of the scores; {} without folds."""
    data = cfg.DATA
    facts = {"fold": data.FOLD, "folds": data.FOLDS, "group_by": data.GROUP_BY, "seed": cfg.RNG_SEED}
    return facts if data.FOLDS else {}


def stream_of(cfg) -> dict:
    """Which stream of pairs a test has, for the header of the scores; {} where it has all there is."""
    return {} if alone_in_test(cfg) is None else {"modality": cfg.TEST.MODALITY}


def describe_fold(cfg) -> str:
    """The fold in a line for the log; "" without folds."""
    if not cfg.DATA.FOLDS:
        return ""
    (train, names), test = build_records(cfg, "train"), build_records(cfg, "test").records
    classes = sorted({label for records in (train, test) for record in records for label in each_label(record.label)})
    by = f" by {cfg.DATA.GROUP_BY}" if cfg.DATA.GROUP_BY else ", each video by itself"
    trained, tested = (describe_part(records, classes, names) for records in (train, test))
    return (
        f"fold {cfg.DATA.FOLD} of {cfg.DATA.FOLDS} (0 .. {cfg.DATA.FOLDS - 1}){by}: training {trained}; test {tested}"
    )


def leaks(cfg) -> list[str]:
    """Groups that stand in the training list and in that of validation or test: one line for each of the two."""
    lines = []
    train = build_records(cfg, "train").records
    for split in ("val", "test"):
        try:
            other = build_records(cfg, split).records
        except UserError:  # a training needs no test list; of the validation list its loader says it
            continue
        if shared := leak_between(train, other, group_by=cfg.DATA.GROUP_BY, dataset=cfg.TRAIN.DATASET):
            lines.append(
                f"{split} shares {shared} with the training list: near copies of what was trained on, its numbers "
                "are too good; DATA.HOLD_OUT and DATA.FOLDS draw by DATA.GROUP_BY"
            )
    return lines


def class_weights(cfg, records: RecordList) -> list[float]:
    """LOSS.CLASS_WEIGHTS of a training on these videos, "auto" worked out, see ``inverse_frequency``; a video of
    several labels counts for each."""
    if cfg.LOSS.CLASS_WEIGHTS != AUTO_WEIGHTS:
        return list(cfg.LOSS.CLASS_WEIGHTS)
    several = (label for record in records for label in each_label(record.label))
    counts = Counter(several if cfg.DATA.MULTI_LABEL else records.labels.tolist())
    return inverse_frequency([counts[number] for number in range(cfg.MODEL.NUM_CLASSES)])


def build_loader(cfg, split: str, *, views_of: str | None = None, clip_counts: Sequence[int] = ()) -> ClipLoader:
    """The loader of "train", "val" or "test"; reading a video happens later, while iterating.

    Args:
        views_of: split whose views, transforms and batches the videos get; None = their own.
        clip_counts: a test has the views of each of these numbers of clips, one after the other; none =
            TEST.NUM_ENSEMBLE_VIEWS alone.

    Raises:
        ListError, DemoSetError: see ``build_records``.
        UserError: AUG.AA_TYPE is no RandAugment, or DATA.DECODING_BACKEND is not installed.
    """
    return loader_of(cfg, build_records(cfg, split), views_of or split, clip_counts=clip_counts)


def loader_of(cfg, videos: VideoSet, split: str, *, clip_counts: Sequence[int] = ()) -> ClipLoader:
    """The loader of any videos, with the views, transforms and batches of a split."""
    records, class_names = videos
    share = range(len(records)), len(records)
    if split == "test" and cfg.TEST.NUM_PARTS > 1:
        share = shard(len(records), cfg.TEST.PART, cfg.TEST.NUM_PARTS), len(records)
        records = records.pick(share[0])
    if split == "train":
        records = _as_trained(cfg, records, class_names)
    dataset, num_views = build_dataset(cfg, split, records, hand_over=hand_over(cfg, split), clip_counts=clip_counts)
    return ClipLoader(
        dataset,
        _batches(cfg, split, records, num_views),
        num_workers=cfg.DATA_LOADER.NUM_WORKERS,
        pin_memory=cfg.DATA_LOADER.PIN_MEMORY and cfg.NUM_GPUS != 0 and torch.cuda.is_available(),
        class_names=class_names,
        num_views=num_views,
        share=share,
        max_bad_fraction=cfg.DATA.MAX_BAD_FRACTION,
        timeout=cfg.DATA_LOADER.TIMEOUT,
    )
