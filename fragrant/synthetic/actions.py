"""The actions that can be drawn: programs, files of key poses, those of the package and those of a user, recordings."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fragrant.registry import did_you_mean
from fragrant.synthetic import keyposes, recorded
from fragrant.synthetic.keyposes import ActionError, KeyPoses, built_in, read_action
from fragrant.synthetic.motions import PROGRAMS, Motion, Style
from fragrant.synthetic.recorded import Recording

ARID6 = ("jump", "run", "sit", "stand", "turn", "walk")


class Action(NamedTuple):
    """A class of motions: a program of its name, or variants as key poses or recordings."""

    name: str
    variants: tuple[KeyPoses | Recording, ...] = ()


def known_actions() -> list[str]:
    return sorted([*PROGRAMS, *built_in()])


def actions_of(words: Sequence[str]) -> tuple[Action, ...]:
    """The actions that ``words`` name: names of known ones, "all", and files of key poses. Files of one action are its
    variants, and take the place of a known one of that name.

    Raises:
        ActionError: a name is not known, or stands there twice, or something in a file is wrong.
        RecordingError: a recording cannot be used.
        ConfigError: a file cannot be read.
    """
    known, files = built_in(), dict[str, list[KeyPoses | Recording]]()
    names: list[str] = []
    for word in words:
        if word.endswith((".yaml", ".yml")):
            form = read_action(word)
            if form.action not in files:
                names.append(form.action)
            files.setdefault(form.action, []).append(form)
            continue
        if word != "all" and word not in PROGRAMS and word not in known:
            hint = did_you_mean(word, known_actions())
            raise ActionError(
                f"--actions: '{word[:60]}' is not known; {hint}known: {', '.join(known_actions())}, all, and files of "
                "key poses (*.yaml)"
            )
        names += known_actions() if word == "all" else [word]
    names = [name for i, name in enumerate(names) if name not in files or name not in names[:i]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ActionError(f"--actions: {', '.join(twice)} named twice; each action is one class")
    made = {name: tuple(files.get(name) or (read_action(path) for path in known.get(name, ()))) for name in names}
    return tuple(Action(name, variants) for name, variants in made.items())


def motion_of(action: Action, time: np.ndarray, style: Style, rng: np.random.Generator) -> Motion:
    """The motion at each ``time`` (T,), in a variant drawn from ``rng``."""
    if not action.variants:
        return PROGRAMS[action.name](time, style, rng)
    form = action.variants[rng.integers(len(action.variants))]
    program = (recorded if isinstance(form, Recording) else keyposes).program_of(form)  # type: ignore[arg-type]
    return program(time, style, rng)
