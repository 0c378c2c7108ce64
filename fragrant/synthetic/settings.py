"""Numbers of the yaml files that a user writes for the drawing."""

import math

from fragrant.config.yaml_text import Setting
from fragrant.errors import UserError


def number_of(setting: Setting, text: object, low: float, high: float, error: type[UserError]) -> float:
    """A number from ``low`` to ``high``; raises ``error`` with the place of the setting for anything else."""
    try:
        value = float(text) if isinstance(text, str) else math.nan
    except ValueError:
        value = math.nan
    if not low <= value <= high:  # nan as well
        said = str(text)[:60]
        raise error(f"{setting.where}: {setting.key} is '{said}'; a number from {low:g} to {high:g} is expected")
    return value
