"""Files that say which classes the pictures of TensorBoard show, in SlowFast's forms."""

import json
from collections.abc import Sequence
from typing import Any

from fragrant.errors import UserError
from fragrant.files import read_plain
from fragrant.texts import did_you_mean


class ClassFileError(UserError):
    """A file of class names that is missing, of another form, or names another class."""


def _content(path: str, key: str) -> str:
    try:
        return read_plain(path).decode("utf-8-sig")
    except OSError as error:
        raise ClassFileError(f"{key} '{path}' cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ClassFileError(f"{key} '{path}' is no text (UTF-8)") from error


def _object(path: str, key: str, form: str) -> dict[str, Any]:
    try:
        content = json.loads(_content(path, key))
    except (ValueError, RecursionError) as error:
        raise ClassFileError(f"{key} '{path}' is no JSON: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(content, dict):
        raise ClassFileError(f"{key} '{path}' must be {form}")
    return content


def check_known(names: Sequence[str], known: Sequence[str], path: str, key: str) -> None:
    """Raises ClassFileError where a name is none of the classes."""
    for name in names:
        if name not in known:
            raise ClassFileError(
                f"{key} '{path}': '{name}' is no class; {did_you_mean(name, known)}there are {len(known)}"
            )


def read_class_numbers(path: str, num_classes: int, key: str) -> list[str]:
    """The names of a file {"class": number} in the order of their numbers, 0 .. ``num_classes`` - 1.

    Raises:
        ClassFileError: it is not there, of another form, or has other numbers.
    """
    content = _object(path, key, '{"class": number, ...}')
    numbers = [number for number in content.values() if type(number) is int]
    if sorted(numbers) != list(range(num_classes)) or len(numbers) < len(content):
        raise ClassFileError(
            f"{key} '{path}' must give each of the numbers 0 to {num_classes - 1} (MODEL.NUM_CLASSES {num_classes}) to "
            "one class"
        )
    return sorted(content, key=lambda name: content[name])


def read_subset(path: str, known: Sequence[str], key: str) -> list[str]:
    """The classes of a file with one per line.

    Raises:
        ClassFileError: it is not there, names none, or one that is no class.
    """
    names = list(dict.fromkeys(line.strip() for line in _content(path, key).splitlines() if line.strip()))
    if not names:
        raise ClassFileError(f"{key} '{path}' names no class; allowed: one per line")
    check_known(names, known, path, key)
    return names


def read_categories(path: str, known: Sequence[str], key: str) -> dict[str, list[str]]:
    """The classes of each category, of a file {"category": ["class", ...]}.

    Raises:
        ClassFileError: it is not there, of another form, or names one that is no class.
    """
    content = _object(path, key, '{"category": ["class", ...], ...}')
    for category, names in content.items():
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ClassFileError(f"{key} '{path}': '{category}' must be a list of classes")
        check_known(names, known, path, key)
    return content
