"""Two configs held against each other: that of a checkpoint and that of today, where a difference matters."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fvcore.common.config import CfgNode

from fragrant.config.casts import cast
from fragrant.config.defaults import default_cfg, leaves
from fragrant.config.errors import ConfigError
from fragrant.config.keys import KEYS
from fragrant.config.yaml_text import read_yaml_text

MOST_NAMED = 30  # differences in one line
USUAL_CROPS = (7 / 8, 4 / 3)  # test crop / training crop: 224 is tested at 224, 256, 288 (Touvron et al., FixRes)
USUAL_SHORT_SIDE = 4 / 3  # largest short side / test crop


class Difference(NamedTuple):
    """A key that has another value than before."""

    key: str
    before: object
    now: object

    def __str__(self) -> str:
        return f"{self.key} {_shown(self.now)} (before: {_shown(self.before)})"


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def named(differences: Sequence[Difference]) -> str:
    """``"SOLVER.BASE_LR 0.1 (before: 0.01), ..."``"""
    more = f", and {len(differences) - MOST_NAMED} more" if len(differences) > MOST_NAMED else ""
    return ", ".join(map(str, differences[:MOST_NAMED])) + more


def recorded(text: str, *, where: str) -> dict[str, object]:
    """The value of every key in a text of ``dump_cfg``, which earlier code may have written: a key that it did not know
    has its default, one that is gone is left out. What is allowed today is not asked of it.

    Raises:
        ConfigError: it is no yaml of keys and values.
    """
    values = leaves(default_cfg())
    for key, value, _ in read_yaml_text(text, where):
        if key in KEYS:
            try:
                values[key] = cast(value, KEYS[key].kind)
            except ValueError:  # of another kind than today: certainly another value
                values[key] = value
    return values


def differences(cfg: CfgNode, before: dict[str, object]) -> list[Difference]:
    """Every key of which ``before`` (see ``recorded``) has another value, in the order of declaration."""
    now = leaves(cfg)
    return [Difference(key, before[key], value) for key, value in now.items() if key in before and before[key] != value]


# ------------------------------------------------------------------------------------------------------------- a resume
def changes_on_resume(cfg: CfgNode, text: str, *, where: str) -> tuple[list[Difference], list[Difference]]:
    """What differs from the config of the weights that a run takes up again: what may not, and what may with a word.

    A key that is declared "free" is in neither. TRAIN.BATCH_SIZE counts the videos of one machine: it may change as
    long as all machines together take as many.

    Args:
        text: the config in the checkpoint; ``where`` it stands, for errors.

    Raises:
        ConfigError: ``text`` is no config.
    """
    before = recorded(text, where=where)
    videos_before = before["TRAIN.BATCH_SIZE"], before["NUM_SHARDS"]
    same_batch = _product(*videos_before) == _product(cfg.TRAIN.BATCH_SIZE, cfg.NUM_SHARDS)
    refused: list[Difference] = []
    told: list[Difference] = []
    for difference in differences(cfg, before):
        rule = KEYS[difference.key].on_resume
        if rule == "free" or difference.key == "TRAIN.BATCH_SIZE" and same_batch:
            continue
        allowed = rule == "rises" and _rises(difference) or rule == "moves" and _moves(difference)
        (told if allowed else refused).append(difference)
    return refused, told


def _product(first: object, second: object) -> object:
    return first * second if isinstance(first, int) and isinstance(second, int) else None


def _rises(difference: Difference) -> bool:
    before, now = difference.before, difference.now
    return isinstance(before, (int, float)) and isinstance(now, (int, float)) and now > before


def _moves(difference: Difference) -> bool:
    names = [os.path.basename(path) if isinstance(path, str) else None for path in difference[1:]]
    return bool(names[0]) and names[0] == names[1]


# --------------------------------------------------------------------------------------------------------------- a test
def changes_of_clips(cfg: CfgNode, text: str, *, where: str) -> list[Difference]:
    """What makes the clips of a test others than those of the training and validation behind a checkpoint: frames,
    pixels, crops beyond the usual sizes. How many views there are, and where they lie, is free.

    Raises:
        ConfigError: ``text`` is no config.
    """
    before, now = recorded(text, where=where), leaves(cfg)
    idle = set(_idle(before)) & set(_idle(now))
    return [
        difference
        for difference in differences(cfg, before)
        if KEYS[difference.key].of_clips and difference.key not in idle and not _usual(difference.key, before, now)
    ]


def _idle(values: dict[str, object]) -> Iterator[str]:
    """Keys that nothing reads beside the values of others."""
    if not values["DATA.FPS_CONVERT"]:
        yield "DATA.TARGET_FPS"
    if not values["DATA.GAMMA"]:
        yield "DATA.GAMMA_IN"
    if values["DATA.SAMPLING"] in ("sparse", "segment", "segment_dense", "uniform"):
        yield "DATA.SAMPLING_RATE"


def _usual(key: str, before: dict[str, object], now: dict[str, object]) -> bool:
    """Is this another size of the test's crops as people take them?"""
    if key == "DATA.INPUT_CHANNEL_NUM":  # one number per pathway, and the first counts
        return _first(before[key]) == _first(now[key])
    if key not in ("DATA.TEST_CROP_SIZE", "TEST.SHORT_SIDE"):
        return False
    crop, trained = now["DATA.TEST_CROP_SIZE"], before["DATA.TRAIN_CROP_SIZE"]
    if not isinstance(crop, int) or not isinstance(trained, int):
        return False
    short_side = now["TEST.SHORT_SIDE"] or crop
    smallest, largest = USUAL_CROPS
    if key == "TEST.SHORT_SIDE":
        return isinstance(short_side, int) and short_side <= USUAL_SHORT_SIDE * crop
    return smallest * trained <= crop <= largest * trained


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value


def note_on_training(cfg: CfgNode, text: object, *, where: str) -> str:
    """What belongs to a checkpoint's training and is otherwise in the config of a test, but for its clips: it does
    nothing there, and a reader must not take it for that of the weights. "" as ``note_on_clips``."""
    if not isinstance(text, str):
        return ""
    try:
        refused, told = changes_on_resume(cfg, text, where=where)
    except ConfigError:
        return ""
    return named([difference for difference in [*refused, *told] if not KEYS[difference.key].of_clips])


def note_on_clips(cfg: CfgNode, text: object, *, where: str) -> str:
    """One line where the clips of a test are not made as the config of a checkpoint says; "" where they are, and of
    files that carry no config."""
    if not isinstance(text, str):
        return ""
    try:
        found = changes_of_clips(cfg, text, where=where)
    except ConfigError:  # whoever needs it will say so
        return ""
    return f"clips are not made as for the weights {where}: {named(found)}" if found else ""
