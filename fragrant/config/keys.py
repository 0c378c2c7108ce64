"""Declaration of config keys: each once, with its default, its meaning, its kind and its allowed values."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fragrant.registry import did_you_mean


@dataclass(frozen=True)
class Kind:
    """The kind of a key's values."""

    element: type | str  # bool, int, float, str, or "number": an int stays an int, a float a float
    is_list: bool = False
    may_be_none: bool = False
    equal_list: bool = False  # a list of equal values counts as that value: some published files repeat it per stage
    named: dict[str, list[float]] = field(default_factory=dict)  # names that stand for a value
    is_path: bool = False  # a file or folder of this machine: ~ and $VARIABLES in it are opened
    words: Sequence[str] = ()  # that are values, too, and stay as they are: auto


@dataclass(frozen=True)
class Allowed:
    """The values that a key may have. Choices and limits hold for every element of a list; None passes all limits."""

    one_of: Sequence | None = None
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    sizes: Sequence[int] | None = None  # of a list
    rising: bool = False  # no element is below the one before it
    form: str = ""  # what sizes and rising mean, in words that follow "must"
    needed: str = ""  # what an empty value lacks, in words that follow "give"
    contains: str = ""  # a piece of every text, in words and quotes that follow "has no"

    def problems(self, name: str, value: Any, *, more: Sequence = (), hint: str = "") -> Iterator[str]:
        """Yields one line for each rule that ``value`` breaks.

        Args:
            more: further choices, those of plug-ins.
            hint: why a choice may be unknown, instead of the closest known one.
        """
        elements = value if isinstance(value, list) else [value]
        if self.one_of is not None:
            known = list(dict.fromkeys([*self.one_of, *more]))
            unknown = [element for element in elements if element not in known]
            yield from (
                f"{name} {element!r:.120} is not known{_explained(element, known, hint)}" for element in unknown
            )
        if not all(element is None or self._in_range(element) for element in elements):
            yield f"{name} {value!s:.120} must be {self.limits()}"
        if self.needed and not value:
            yield f"{name} is empty; give {self.needed}"
        if self.sizes and len(value) not in self.sizes or self.rising and value != sorted(value):
            yield f"{name} {value!s:.120} must {self.form}"
        if self.contains and self.contains not in value:
            yield f"{name} {value!r:.120} has no {self.contains}"

    def _in_range(self, number: float | str) -> bool:
        if isinstance(number, str):  # one of Kind.words, to which no limit applies
            return True
        return (
            (self.above is None or number > self.above)
            and (self.at_least is None or number >= self.at_least)
            and (self.below is None or number < self.below)
            and (self.at_most is None or number <= self.at_most)
        )

    def limits(self) -> str:
        """The limits in words that follow "must be": "above 0", "from 0 to 1"; "" without any."""
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least} to {self.at_most}"
        if self.at_least is not None and self.below is None:
            return f"{self.at_least} or {'more' if self.at_least > 0 else 'above'}"
        words = {"above": self.above, "at least": self.at_least, "below": self.below, "at most": self.at_most}
        return " and ".join(f"{word} {limit}" for word, limit in words.items() if limit is not None)

    def words(self) -> str:
        """The allowed values in words, for the reference; "" where every value of the kind is allowed."""
        parts = [", ".join(map(str, self.one_of))] if self.one_of is not None else []
        parts += [self.limits()] if self.limits() else []
        parts += [self.form.removeprefix("be ")] if self.form else []
        parts += ["not empty"] if self.needed else []
        parts += [f"contains {self.contains}"] if self.contains else []
        return "; ".join(parts)


def _explained(element: object, known: list, hint: str) -> str:
    if hint:
        return f": {hint}"
    return f"; {did_you_mean(str(element), map(str, known))}Known: {', '.join(map(str, known))}"


# What a run that is taken up again may do with a key, and how the reference says it.
ON_RESUME = {
    "kept": "",  # it belongs to the weights
    "free": "free to change when a run resumes",
    "rises": "may rise when a run resumes",
    "moves": "the folder may change when a run resumes, the file name not",
}


@dataclass(frozen=True)
class Key:
    """A declared key."""

    name: str  # with its blocks: "TRAIN.BATCH_SIZE"
    default: object
    meaning: str
    kind: Kind
    allowed: Allowed
    on_resume: str = "kept"  # of ON_RESUME
    of_clips: bool = False  # decides the frames or the pixels that a network gets in a test


KEYS: dict[str, Key] = {}  # name -> key, in the order of declaration


def key(
    name: str,
    default: object,
    meaning: str,
    *,
    of: type | str | None = None,
    may_be_none: bool = False,
    equal_list: bool = False,
    named: dict[str, list[float]] | None = None,
    path: bool = False,
    words: Sequence[str] = (),
    on_resume: str = "kept",
    of_clips: bool = False,
    **allowed,
) -> None:
    """Declares a key.

    Args:
        of: type of the values, or of a list's elements: bool, int, float, str or "number" (an int stays an int, a float
            a float); left out, that of the default.
        may_be_none: None is a value, too.
        equal_list: a list of equal values stands for that value.
        named: names that stand for values.
        path: the value, or each element, names a file or folder of this machine.
        words: words that are values, too, beside those of the type.
        on_resume: what a run that is taken up again may have: "kept": the value of its checkpoint | "free": any |
            "rises": a larger one | "moves": a path with the same file name.
        of_clips: the key decides which frames or pixels a network gets in a test.
        **allowed: fields of Allowed, such as one_of or at_least.

    Raises:
        ValueError: the key is there already, is a block of keys, lies below a key, or forbids its own default.
    """
    if name in KEYS:
        raise ValueError(f"config key {name} is declared twice")
    for other in KEYS:
        if other.startswith(f"{name}.") or name.startswith(f"{other}."):
            raise ValueError(f"config key {name}: a key is a value or a block of keys, and {other} is declared")
    element = of or (type(default[0]) if isinstance(default, list) and default else type(default))
    kind = Kind(element, isinstance(default, list), may_be_none, equal_list, named or {}, path, tuple(words))
    rules = Allowed(**allowed)
    wrong = list(rules.problems(name, default))
    if wrong:
        raise ValueError(f"default of a config key: {wrong[0]}")
    if on_resume not in ON_RESUME:
        raise ValueError(
            f"on_resume '{on_resume}' of config key {name} is not known; {did_you_mean(on_resume, ON_RESUME)}"
            f"Known: {', '.join(ON_RESUME)}"
        )
    KEYS[name] = Key(name, copy.deepcopy(default), meaning, kind, rules, on_resume, of_clips)
