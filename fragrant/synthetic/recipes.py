"""Recipes: yaml files that narrow or widen the axes of drawn clips."""

from dataclasses import fields, replace
from pathlib import Path

from fragrant.config.yaml_text import Setting, read_yaml
from fragrant.errors import UserError
from fragrant.registry import did_you_mean
from fragrant.synthetic.axes import KINDS, Axes, Range
from fragrant.synthetic.settings import number_of

FOLDER = Path(__file__).parent / "recipes"
DEMO = "demo"  # the drawing of the demo set, which has no axes


class RecipeError(UserError):
    """A recipe that cannot be used: says where, what was found and what is allowed."""


def known_recipes() -> list[str]:
    return sorted([DEMO, *(path.stem for path in FOLDER.glob("*.yaml"))])


def _value(setting: Setting, usual: float | Range) -> float | Range:
    low, high = KINDS[setting.key]
    if not isinstance(usual, tuple):
        return number_of(setting, setting.value, low, high, RecipeError)
    given = setting.value if isinstance(setting.value, list) else [setting.value, setting.value]
    if len(given) != 2:
        raise RecipeError(f"{setting.where}: {setting.key} has {len(given)} values; one number, or two: [low, high]")
    first, last = (number_of(setting, text, low, high, RecipeError) for text in given)
    if first > last:
        raise RecipeError(f"{setting.where}: {setting.key} is [{first:g}, {last:g}]; the lower number comes first")
    return first, last


def read_recipe(name: str) -> Axes | None:
    """The axes of a recipe: the name of one of the package, or a file; None is the drawing of the demo set.

    Raises:
        RecipeError: no such recipe, or something in it is wrong.
        ConfigError: the file cannot be read, or is no yaml.
    """
    if not name.endswith((".yaml", ".yml")):
        if name not in known_recipes():
            hint = did_you_mean(name, known_recipes())
            known = ", ".join(known_recipes())
            raise RecipeError(f"--recipe: '{name[:60]}' is not known; {hint}known: {known}, and files (*.yaml)")
        if name == DEMO:
            return None
        name = str(FOLDER / f"{name}.yaml")
    usual = {field.name: field.default for field in fields(Axes)}
    found: dict[str, float | Range] = {}
    for setting in read_yaml(name):
        if setting.key not in usual:
            hint = did_you_mean(setting.key, list(usual))
            raise RecipeError(f"{setting.where}: '{setting.key[:60]}' is no axis; {hint}known: {', '.join(usual)}")
        found[setting.key] = _value(setting, usual[setting.key])  # type: ignore[arg-type]  # numbers and ranges
    axes = replace(Axes(), **found)  # type: ignore[arg-type]  # each of its own kind
    for kinds in (("rooms", "yards", "paths", "streets"), ("trousers", "shorts", "skirts")):
        if sum(getattr(axes, kind) for kind in kinds) <= 0:
            raise RecipeError(f"{name}: {', '.join(kinds[:-1])} and {kinds[-1]} are all 0; one of them needs a weight")
    return axes
