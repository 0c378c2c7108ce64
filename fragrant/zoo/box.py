"""Finds the files of the models in the box: ``zoo:NAME`` names one wherever a checkpoint or a config is named."""

import hashlib
import os
import re
from pathlib import Path

from fragrant.errors import UserError
from fragrant.files import open_plain
from fragrant.texts import did_you_mean
from fragrant.zoo.card import load_card

PREFIX = "zoo:"
FOLDER = Path(__file__).parent
WEIGHTS, CONFIG, CARD = ".safetensors", ".yaml", ".json"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class ZooError(UserError):
    """A model that the box does not hold, or does not hold whole. The text follows what was asked for."""


def model_names(folder: Path = FOLDER) -> list[str]:
    """The names of the models in the box, sorted."""
    return sorted(path.stem for path in folder.glob(f"*{CARD}"))


def is_in_box(path: str | os.PathLike) -> bool:
    """Whether it is ``zoo:NAME`` rather than a path or an address."""
    return os.fspath(path).startswith(PREFIX)


def checkpoint_named(name: str | os.PathLike) -> str | os.PathLike:
    """A checkpoint by its path or address, or a model of the box by its bare name: ``"dark6-xs"`` -> ``"zoo:dark6-xs"``
    where no file has that name."""
    return f"{PREFIX}{name}" if isinstance(name, str) and NAME.fullmatch(name) and not os.path.exists(name) else name


def _entry(path: str | os.PathLike, ending: str, folder: Path) -> Path:
    name = os.fspath(path).removeprefix(PREFIX)
    if name not in (known := model_names(folder)):
        raise ZooError(
            f"is none of the models that ship with fragrant; {did_you_mean(name, known)}Known: "
            f"{', '.join(known) or 'none'}"
        )
    return folder / f"{name}{ending}"


def config_file(path: str, folder: Path = FOLDER) -> str:
    """The yaml file of ``zoo:NAME``: what differs from the defaults.

    Raises:
        ZooError: there is no such model.
    """
    return str(_entry(path, CONFIG, folder))


def weights_file(path: str, folder: Path = FOLDER) -> str:
    """The weights of ``zoo:NAME``, compared with the checksum on its card.

    Raises:
        ZooError: there is no such model, or its file is damaged.
    """
    file = _entry(path, WEIGHTS, folder)
    try:
        intact = sha256_of(file) == load_card(file.with_suffix(CARD)).sha256
    except OSError as error:
        raise ZooError(f"is damaged: {file.name} cannot be read: {error.strerror}; install fragrant again") from error
    except UserError as error:
        raise ZooError(f"is damaged: {error}; install fragrant again") from error
    if not intact:
        raise ZooError(f"is damaged: the SHA-256 of {file} is not that of its card; install fragrant again")
    return str(file)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in 64 digits; about 1 s per GB.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with open_plain(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
