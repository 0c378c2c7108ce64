"""Settings of a search: every combination of some values, or random ones of them, or of ranges."""

import itertools
import math
import random
from collections.abc import Sequence
from typing import NamedTuple

from fragrant.config.keys import KEYS
from fragrant.errors import UserError
from fragrant.texts import did_you_mean

SPANS = {"log": "log:1e-5:1e-2", "even": "even:0:0.5"}  # the first word of a range, and how it is written
MOST_TRIES = 1000  # draws in search of a setting that is not there yet
OWN = ("OUTPUT_DIR", "RNG_SEED", "DATA.FOLD", "DATA.FOLDS", "TRAIN.ENABLE", "TEST.ENABLE", "TRAIN.AUTO_RESUME")

Setting = dict[str, str]  # key -> value, as on a command line


class Span(NamedTuple):
    """A range: ``even``, or even in the logarithm."""

    low: float
    high: float
    log: bool
    whole: bool  # of a key that takes whole numbers

    def draw(self, random_numbers: random.Random) -> str:
        if self.log:
            value = math.exp(random_numbers.uniform(math.log(self.low), math.log(self.high)))
        elif self.whole:
            return str(random_numbers.randint(math.ceil(self.low), math.floor(self.high)))
        else:
            value = random_numbers.uniform(self.low, self.high)
        return str(round(value)) if self.whole else f"{value:.3g}"


class Varied(NamedTuple):
    """A key, and what it may have: values, or a range."""

    key: str
    values: tuple[str, ...]
    span: Span | None = None


def read_varied(words: Sequence[str]) -> Varied:
    """The words behind a --vary: a key and its values, or a key and a range, ``log:1e-5:1e-2`` or ``even:0:0.5``.

    Raises:
        UserError: no such key, one that an experiment sets by itself, no value, or no range.
    """
    key, *values = words
    if key not in KEYS:
        raise UserError(f"--vary {key}: no such key; {did_you_mean(key, KEYS)}docs/config.md has them all")
    if key in OWN:
        instead = {"RNG_SEED": "; give --seeds", "DATA.FOLDS": "; give --folds", "DATA.FOLD": "; give --folds"}
        raise UserError(f"--vary {key}: an experiment sets this key by itself{instead.get(key, '')}")
    if not values:
        raise UserError(f"--vary {key}: give values behind it, or a range ({', '.join(SPANS.values())})")
    if len(values) == 1 and values[0].split(":")[0] in SPANS:
        return Varied(key, (), _read_span(key, values[0]))
    if twice := [value for value in dict.fromkeys(values) if values.count(value) > 1]:
        raise UserError(f"--vary {key}: {twice[0]} comes twice")
    return Varied(key, tuple(values))


def _read_span(key: str, text: str) -> Span:
    kind, *ends = text.split(":")
    try:
        low, high = map(float, ends)
    except ValueError:
        raise UserError(f"--vary {key}: '{text}' is no range; write it as {SPANS[kind]}") from None
    least = 0 if kind == "log" else -math.inf
    if not least < low < high < math.inf:
        above = ", both above 0" if kind == "log" else ""
        raise UserError(f"--vary {key}: the range '{text}' must rise from a lower to a higher number{above}")
    whole = KEYS[key].kind.element is int
    if whole and math.ceil(low) > math.floor(high):
        raise UserError(f"--vary {key}: there is no whole number in the range '{text}'")
    return Span(low, high, kind == "log", whole)


def grid(varied: Sequence[Varied]) -> list[Setting]:
    """Every combination, the last key changing fastest; one empty setting of nothing.

    Raises:
        UserError: a range has no end of values.
    """
    for one in varied:
        if one.span:
            raise UserError(f"--vary {one.key} names a range: say how many settings to draw, --random 20")
    keys = [one.key for one in varied]
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*(one.values for one in varied))]


def draw(varied: Sequence[Varied], number: int, seed: int) -> list[Setting]:
    """``number`` different settings, drawn independently of each other; the first of a longer list are a shorter one.

    Raises:
        UserError: there are not so many.
    """
    random_numbers, drawn = random.Random(f"settings-{seed}"), list[Setting]()
    tries = 0
    while len(drawn) < number:
        one = {v.key: v.span.draw(random_numbers) if v.span else random_numbers.choice(v.values) for v in varied}
        tries = 0 if one not in drawn else tries + 1
        if not tries:
            drawn.append(one)
        elif tries > MOST_TRIES:
            raise UserError(f"--random {number}: there are only {len(drawn)} different settings")
    return drawn
