"""A name table whose error lists the names and the closest match."""

from collections.abc import Sequence

import fvcore.common.registry as fvcore_registry

from fragrant.errors import UserError
from fragrant.plugins import missing_hint
from fragrant.texts import did_you_mean as did_you_mean

_BY_KEY: dict[str, "Registry"] = {}  # config key -> the registry that it picks an entry of


def registered_names(key: str) -> list[str]:
    """Names that a config key may have as far as their files are imported, those of plug-ins among them."""
    return _BY_KEY[key].names() if key in _BY_KEY else []


class Registry(fvcore_registry.Registry):
    """fvcore's registry with names given in full: ``@MODELS.register("Uniformer")``.

    Args:
        name: the config key that picks an entry, for error messages (``"MODEL.MODEL_NAME"``).
        keys: the config keys whose allowed values are the names of this registry, beside those that the config knows by
            itself.
    """

    def __init__(self, name: str, *, keys: Sequence[str] = ()):
        super().__init__(name)
        _BY_KEY.update(dict.fromkeys(keys, self))

    def register(self, name: str):
        def keep(entry):
            self._do_register(name, entry)
            return entry

        return keep

    def names(self) -> list[str]:
        return sorted(name for name, _ in self)

    def get(self, name: str, *, key: str = ""):
        """Returns the entry called ``name``.

        Args:
            key: the config key that has the name, where it is not that of the registry.

        Raises:
            UserError: the name is not known.
        """
        if name not in self:
            key = key or self._name
            if hint := missing_hint():
                raise UserError(f"{key} '{name}' is not known: {hint}")
            raise UserError(
                f"{key} '{name}' is not known; {did_you_mean(name, self.names())}Known: {', '.join(self.names())}"
            )
        return super().get(name)
