"""Locates the videos of a list on this machine: foreign roots, relative paths, other video extensions."""

import os
from collections.abc import Iterable

from fragrant.data.lists.errors import ListError

# Of two files of one name the one whose extension comes first here is taken.
VIDEO_EXTENSIONS = tuple(
    ".mp4 .avi .mkv .webm .mov .m4v .mpg .mpeg .wmv .flv .ts .h264 .h265 .3gp .asf .m2ts .mts .ogv".split()
)


class Folders:
    """The files in folders. A folder is listed once, which costs less than asking for each of its files."""

    def __init__(self):
        self._names: dict[str, set[str] | None] = {}
        self._stems: dict[str, dict[str, str]] = {}

    def find(self, path: str) -> str | None:
        """The path itself if it is there, else the same video with another extension, or None."""
        folder, name = os.path.split(path)
        names = self._listed(folder)
        if names is None:
            return path if os.path.exists(path) else None
        if name in names:
            return path
        stem, extension = os.path.splitext(name)
        stems = self._stems[folder]
        other = (stems.get(stem) if extension.lower() in VIDEO_EXTENSIONS else None) or stems.get(name)
        return os.path.join(folder, other) if other else None

    def _listed(self, folder: str) -> set[str] | None:
        """The names in a folder, none where there is no such folder, None where it may not be listed."""
        if folder not in self._names:
            try:
                self._names[folder] = set(os.listdir(folder or "."))
            except (FileNotFoundError, NotADirectoryError):
                self._names[folder] = set()
            except OSError:
                self._names[folder] = None
            self._stems[folder] = _videos_by_stem(self._names[folder] or ())
        return self._names[folder]


def _videos_by_stem(names: Iterable[str]) -> dict[str, str]:
    """Maps stems to file names of videos, ``{"Drink_1_1": "Drink_1_1.mp4"}``; of several the one whose extension comes
    first in the table."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        stem, extension = os.path.splitext(name)
        if extension.lower() in VIDEO_EXTENSIONS:
            found.setdefault(stem, []).append(name)
    rank = {extension: at for at, extension in enumerate(VIDEO_EXTENSIONS)}
    return {
        stem: min(videos, key=lambda name: rank[os.path.splitext(name)[1].lower()]) for stem, videos in found.items()
    }


def move_root(path: str, old: str, new: str) -> str | None:
    """The path with the folder ``new`` in place of ``old``; None where it does not lie in ``old``. ``new`` may be "":
    relative then."""
    old = old.rstrip("/")
    if path != old and not path.startswith(old + "/"):
        return None
    return os.path.join(new, path[len(old) + 1 :])


def locate(
    paths: Iterable[str],
    *,
    folder: str,
    prefix: str = "",
    root_replace: tuple[str, str] | None = None,
    found: Folders | None = None,
) -> list[str]:
    """Locates the videos of a list on this machine, in the order given.

    A relative path lies in ``prefix`` if given, else beside the list if it exists there, else it is taken as it is.
    What is nowhere keeps its name: reading it says so.

    Args:
        folder: the folder of the list file.
        root_replace: (old, new): paths of another machine, which begin with ``old``.
        found: folders that were listed already.

    Raises:
        ListError: no path lies in ``old``.
    """
    paths, found = list(paths), found or Folders()
    if root_replace and paths:
        moved = [move_root(path, *root_replace) for path in paths]
        if not any(path is not None for path in moved):
            old, new = root_replace
            raise ListError(
                f"DATA.ROOT_REPLACE ['{old}', '{new}']: no path of the list begins with '{old}'; the first is "
                f"'{paths[0]}'"
            )
        paths = [path if new is None else new for path, new in zip(paths, moved, strict=True)]
    return [_locate_one(path, folder, prefix, found) for path in paths]


def _locate_one(path: str, folder: str, prefix: str, found: Folders) -> str:
    if not os.path.isabs(path) and not prefix:
        return found.find(os.path.join(folder, path)) or found.find(path) or path
    path = os.path.join(prefix, path)  # which is an absolute path itself where it is one
    return found.find(path) or path
