"""Config keys that are declared from outside the package."""

import re
from collections.abc import Collection
from typing import Any

from fragrant.config.defaults import KEYS
from fragrant.config.errors import ConfigError
from fragrant.config.keys import Kind, key


def declare_key(
    name: str,
    default: object,
    meaning: str,
    *,
    allowed: Collection | None = None,
    kind: Kind | None = None,
    on_resume: str = "kept",
    of_clips: bool = False,
) -> None:
    """Makes a key known to every config that is read from now on; a plug-in calls it when it is imported.

    Args:
        name: ``"MY_NET.WIDTH"``, capital letters, digits and _.
        default: bool, int, float, text or a list of these.
        meaning: one line.
        allowed: the values that the key, or each entry of a list, may have: ``range(1, 4097)``, ``("a", "b")``; None =
            all of the default's kind.
        kind: needed where the default is None or []: what the key holds.
        on_resume: what a run that is taken up again may have: "kept": the value of its checkpoint | "free": any |
            "rises": a larger one | "moves": a path with the same file name.
        of_clips: the key decides which frames or pixels a network gets in a test.

    Raises:
        ConfigError: the key is there already, its name cannot be one, or the default does not fit.
    """
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*(\.[A-Z][A-Z0-9_]*)*", name):
        raise ConfigError(
            [f"declare_key: '{name}' cannot be a key; allowed: capital letters, digits, _ and dots, MY_NET.WIDTH"]
        )
    if any(other == name or other.startswith(f"{name}.") or name.startswith(f"{other}.") for other in KEYS):
        raise ConfigError([f"declare_key: {name} is a key or a block of keys already"])
    if kind is None and (default is None or default == []):
        raise ConfigError(
            [f"declare_key: {name} with the default {default} needs a kind: kind=Kind(float, is_list=True)"]
        )
    options: dict[str, Any] = dict(on_resume=on_resume, of_clips=of_clips)
    if kind is not None:
        options |= dict(of=kind.element, may_be_none=kind.may_be_none, equal_list=kind.equal_list, path=kind.is_path)
    if isinstance(allowed, range) and allowed.step == 1:
        options |= dict(at_least=allowed.start, at_most=allowed.stop - 1)
    elif allowed is not None:
        options["one_of"] = tuple(allowed)
    try:
        key(name, default, meaning, **options)
    except ValueError as error:
        raise ConfigError([f"declare_key: {error}"]) from None
