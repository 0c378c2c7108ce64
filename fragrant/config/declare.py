"""Config keys that are declared from outside the package."""

import re
from collections.abc import Collection

from fvcore.common.config import CfgNode

from fragrant.config import check, defaults
from fragrant.config.errors import ConfigError

MEANINGS: dict[str, str] = {}  # of the declared keys


def declare_key(
    key: str, default: object, meaning: str, *, allowed: Collection | None = None, kind: defaults.Kind | None = None
) -> None:
    """Makes a key known to every config that is read from now on; a plug-in calls it when it is imported.

    Args:
        key: ``"MY_NET.WIDTH"``, capital letters, digits and _.
        default: bool, int, float, text or a list of these.
        meaning: one line.
        allowed: its values, or those of a list's entries: ``range(1, 4097)``, ``("a", "b")``; None = all.
        kind: needed where the default is None or []: what the key holds.

    Raises:
        ConfigError: the key is there already, its name cannot be one, or the default does not fit.
    """
    known = defaults.leaves(defaults.default_cfg())
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*(\.[A-Z][A-Z0-9_]*)*", key):
        raise ConfigError(
            [f"declare_key: '{key}' cannot be a key; allowed: capital letters, digits, _ and dots, MY_NET.WIDTH"]
        )
    if any(other == key or other.startswith(f"{key}.") or key.startswith(f"{other}.") for other in known):
        raise ConfigError([f"declare_key: {key} is a key or a block of keys already"])
    if kind is None and (default is None or default == []):
        raise ConfigError(
            [f"declare_key: {key} with the default {default} needs a kind: kind=Kind(float, is_list=True)"]
        )
    *blocks, name = key.split(".")
    node = defaults._C
    for block in blocks:
        node = node.setdefault(block, CfgNode())
    node[name] = default
    if kind is not None:
        defaults._KINDS[key] = kind
    if allowed is not None:
        check.DECLARED[key] = allowed
    MEANINGS[key] = meaning
