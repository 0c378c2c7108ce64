"""Makes an entry of the box from a trained model: weights in half precision, config and card, compared with the
original."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from fragrant.config.yaml_text import read_yaml_text
from fragrant.errors import UserError
from fragrant.files import read_plain, said_once, write_whole
from fragrant.inference.predictor import Predictor
from fragrant.safetensors_files import safetensors_bytes, to_half
from fragrant.scores.scoreboard import Row
from fragrant.version import __version__
from fragrant.zoo import Card, Score
from fragrant.zoo.box import NAME, WEIGHTS, sha256_of
from fragrant.zoo.card import HalfPrecision

MOST_BYTES = 6_000_000  # of all files in the box
TEXTS = ("summary", "trained_on", "licence", "warning")  # of an ABOUT file; warning may be left out
LISTS = ("commands", "not_for")


@dataclass(frozen=True)
class Trained:
    """What an entry takes from a checkpoint: the weights that a test takes, and the config without a machine's
    paths."""

    weights: dict[str, Tensor]
    config: str
    class_names: list[str]
    plugins: list[str]
    network: str
    clip: list[int]  # (C, T, H, W)
    parameters: int
    seed: int


def read_about(path: str) -> dict[str, str | list[str]]:
    """Reads the prose of a card: a yaml file with a text for each of ``TEXTS`` and a list for each of ``LISTS``.

    Raises:
        UserError: it cannot be read, or an entry is missing, unknown, or of the other kind.
    """
    try:
        text = read_plain(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from error
    about = {setting.key: setting.value for setting in read_yaml_text(text, path)}
    about.setdefault("warning", "")
    for name in (*TEXTS, *LISTS):
        kind = str if name in TEXTS else list
        if not isinstance(about.get(name), kind) or not about[name] and name != "warning":
            raise UserError(f"{path}: {name} must be {'a text' if kind is str else 'a list of texts'}")
    if unknown := about.keys() - {*TEXTS, *LISTS}:
        raise UserError(f"{path}: {min(unknown)} is not known; Known: {', '.join((*TEXTS, *LISTS))}")
    return about  # type: ignore[return-value]


def score_of(row: Row) -> Score:
    share = row.share
    percent, low, high = (round(number, 4) for number in (share.percent, share.low, share.high))
    return Score(row.label, share.total, percent, low, high, len(row.runs))


def write_entry(
    folder: Path, name: str, trained: Trained, about: dict[str, str | list[str]], scores: Sequence[Row]
) -> Card:
    """Writes the weights and the config of an entry; its card is not yet compared with the checkpoint and not written.

    Raises:
        UserError: a name that is none, or files that cannot be written or make the box larger than ``MOST_BYTES``.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"the name '{name}' must be small letters and digits, parted by -, such as dark6-xs")
    facts = {"cfg": trained.config, "class_names": trained.class_names, "plugins": trained.plugins}
    content = safetensors_bytes(to_half(trained.weights), facts)
    others = sum(path.stat().st_size for path in folder.glob("*.*") if path.stem != name)
    if others + len(content) + len(trained.config) > MOST_BYTES:
        raise UserError(
            f"{name} has {len(content) / 1e6:.1f} MB, the other models {others / 1e6:.1f} MB; allowed: "
            f"{MOST_BYTES / 1e6:g} MB together"
        )
    file = folder / f"{name}{WEIGHTS}"
    with said_once(folder):
        write_whole(file, content)
        write_whole(file.with_suffix(".yaml"), trained.config)
    facts = {key: getattr(trained, key) for key in ("network", "parameters", "clip", "class_names", "seed")}
    made = {"bytes": len(content), "sha256": sha256_of(file), "fragrant": __version__}
    return Card(name=name, scores=[score_of(row) for row in scores], **facts, **made, **about)  # type: ignore[arg-type]


def compared(card: Card, original: Predictor, entry: Predictor, videos: Sequence[str]) -> Card:
    """The card with the difference of two predictors on videos, the float32 checkpoint and the entry.

    Raises:
        VideoError: a video cannot be read.
    """
    largest, same = 0.0, 0
    for path in videos:
        logits = original.logits(path), entry.logits(path)  # (1, V, K) each
        largest = max(largest, float((logits[0] - logits[1]).abs().max()))
        same += original.predict(path).top[0].number == entry.predict(path).top[0].number
    return replace(card, half_precision=HalfPrecision(len(videos), largest, same))
