"""The card of a model in the box: what it was made of, how well it does, what it is not good for."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from fragrant.errors import UserError
from fragrant.files import read_plain, save_file


@dataclass(frozen=True)
class Score:
    """A measured top-1 accuracy with its 95 % interval (Wilson), all in percent.

    Attributes:
        data: the videos, and what of them the model has seen: "ARID, 150 clips, none seen".
        runs: how many trainings, of which the numbers are the mean: the videos are the same in each.
    """

    data: str
    videos: int
    percent: float
    low: float
    high: float
    runs: int = 1


@dataclass(frozen=True)
class HalfPrecision:
    """What storing the weights in half precision has changed, measured against the float32 checkpoint.

    Attributes:
        largest_difference: of a logit, over all views of all videos.
        same_answer: videos with the same most likely class.
    """

    videos: int
    largest_difference: float
    same_answer: int


@dataclass(frozen=True)
class Card:
    """The card of a model.

    Attributes:
        summary: one sentence.
        warning: what a user must know before all else; "" without.
        clip: (C, T, H, W) of the clips that the network gets.
        parameters: their number; bytes: size of the file of weights.
        commands: that train it from nothing, in order.
        sha256: of the file of weights. fragrant: version that made the entry.
    """

    name: str
    summary: str
    network: str
    parameters: int
    clip: list[int]
    class_names: list[str]
    trained_on: str
    commands: list[str]
    seed: int
    licence: str
    not_for: list[str]
    bytes: int
    sha256: str
    fragrant: str
    warning: str = ""
    scores: list[Score] = field(default_factory=list)
    half_precision: HalfPrecision | None = None


_KINDS = {"parameters": int, "seed": int, "bytes": int} | dict.fromkeys(
    ("clip", "class_names", "commands", "not_for", "scores"), list
)


def save_card(path: Path, card: Card) -> None:
    """Writes a card; UserError where the file cannot be written."""
    save_file(path, json.dumps(asdict(card), indent=1, ensure_ascii=False) + "\n")


def load_card(path: Path) -> Card:
    """Reads a card.

    Raises:
        UserError: there is none, or it is damaged.
    """
    try:
        content = json.loads(read_plain(path).decode())
        unknown = set(content) - {entry.name for entry in fields(Card)}
        wrong = [name for name, value in content.items() if not isinstance(value, _KINDS.get(name, object))]
        if unknown or wrong:
            raise ValueError(f"it has a wrong '{min(unknown or wrong)}'")
        half = content.pop("half_precision", None)
        content["scores"] = [Score(**score) for score in content.get("scores", [])]
        return Card(**content, half_precision=HalfPrecision(**half) if half else None)
    except OSError as error:
        raise UserError(f"card {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"card {path} is damaged: {' '.join(str(error).split())[:200]}") from error


def load_cards(folder: Path) -> list[Card]:
    """The cards of a folder, by name; errors as ``load_card``."""
    return [load_card(path) for path in sorted(folder.glob("*.json"))]
