"""Fields in OUTPUT_DIR, ``runs/{config}/{date}-{n}``: which there are, and what stands in their place."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from fvcore.common.config import CfgNode

from fragrant.config.errors import ConfigError
from fragrant.texts import did_you_mean

FIELD = re.compile(r"(?<!\$)\{([^{}]*)\}")
FIXED = ("config", "seed", "job")  # the same whenever the same command is given: the run goes on
FORMS = {"date": r"\d{4}-\d\d-\d\d", "time": r"\d\d-\d\d-\d\d", "n": r"[1-9]\d{0,8}"}  # of each start: a new run
KNOWN = ("config", "seed", "date", "time", "n", "job")
LOCAL = "local"  # {job} where there is none


class RunFolder(NamedTuple):
    """The folder of a run whose OUTPUT_DIR has fields."""

    path: str
    note: str  # why it is this one, for the user
    again: str  # how the run goes on, for the user


def fields_of(template: str) -> list[str]:
    """The names of the fields in a path, in their order.

    Raises:
        ConfigError: one is not known.
    """
    fields = FIELD.findall(template)
    for field in fields:
        if field not in KNOWN:
            known = ", ".join(f"{{{name}}}" for name in KNOWN)
            hint = did_you_mean(field, KNOWN)
            raise ConfigError([f"OUTPUT_DIR '{template}': {{{field}}} is not known; {hint}Known: {known}"])
    return fields


def filled(template: str, values: Mapping[str, str]) -> str:
    """The path with values in the place of these fields; others stay."""
    return FIELD.sub(lambda match: values.get(match[1], match[0]), template)


def fixed_values(template: str, config: str | None, seed: int, environ: Mapping[str, str]) -> dict[str, str]:
    """What {config}, {seed} and {job} stand for.

    Args:
        config: the --cfg file.

    Raises:
        ConfigError: there is none, and the template has its name.
    """
    if "config" in fields_of(template) and not config:
        raise ConfigError([f"OUTPUT_DIR '{template}': {{config}} is the name of the --cfg file, and none is given"])
    name = re.sub(r"[{}]", "_", Path(config).stem) if config else ""  # the saved config is read again
    return {"config": name, "seed": str(seed), "job": environ.get("SLURM_JOB_ID") or LOCAL}


def with_output_dir(cfg: CfgNode, path: str) -> CfgNode:
    """A frozen copy with another OUTPUT_DIR, whatever a yaml file would make of its text."""
    copy = cfg.clone()
    copy.defrost()
    copy.OUTPUT_DIR = path
    copy.freeze()
    return copy


def moment(now: float | None = None) -> dict[str, str]:
    """What {date} and {time} stand for, in the time of this machine."""
    then = time.localtime(now)
    return {"date": time.strftime("%Y-%m-%d", then), "time": time.strftime("%H-%M-%S", then)}


def refuse_fields(output_dir: str) -> None:
    """Raises ConfigError where fields are left that only a run fills."""
    if left := fields_of(output_dir):
        raise ConfigError(
            [f"OUTPUT_DIR '{output_dir}': {{{left[0]}}} is filled by tools/run_net.py alone; here name the folder"]
        )


# ---------------------------------------------------------------------------------------------------- folders there are
def folders_of(template: str) -> list[tuple[dict[str, str], Path]]:
    """The folders that {date}, {time} and {n} of a template have made, the oldest first, with their values."""
    path = Path(template)
    found = _matches(Path(path.anchor or "."), path.parts[bool(path.anchor) :], {})
    return sorted(found, key=lambda one: (*(one[0].get(name, "") for name in ("date", "time")), _number(one[0])))


def _number(values: Mapping[str, str]) -> int:
    return int(values.get("n", 0))


def highest_number(template: str) -> int:
    """The highest {n} of the folders there are; 0 without any."""
    return max((_number(values) for values, _ in folders_of(template)), default=0)


def _matches(folder: Path, parts: tuple[str, ...], values: dict[str, str]) -> Iterator[tuple[dict[str, str], Path]]:
    if not parts:
        yield values, folder
        return
    known = filled(parts[0], values)
    if not FIELD.search(known):
        if (folder / known).is_dir():
            yield from _matches(folder / known, parts[1:], values)
        return
    pattern, names = _pattern(known), set(FIELD.findall(known))
    try:
        entries = [(entry.name, entry.path) for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:  # not there yet
        return
    for name, path in entries:
        if match := pattern.fullmatch(name):
            yield from _matches(Path(path), parts[1:], values | {field: match[field] for field in names})


def _pattern(part: str) -> re.Pattern:
    """Of the names that one part of a template gives; a field that comes twice has one value."""
    text, seen, at = "", set[str](), 0
    for match in FIELD.finditer(part):
        name = match[1]
        text += re.escape(part[at : match.start()])
        text += f"(?P={name})" if name in seen else f"(?P<{name}>{FORMS[name]})"
        seen.add(name)
        at = match.end()
    return re.compile(text + re.escape(part[at:]))
