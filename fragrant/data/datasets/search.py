"""Finds the lists and the videos of a set below the folder that it was unpacked in: mirrors differ in their folders."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fragrant.data.datasets.known_set import Source
from fragrant.data.lists.class_names import ClassTable
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.locations import Folders
from fragrant.data.lists.records import RecordList, parse_list, read_list

_DEPTH = 3  # folders below the root
_MANY = 500  # a folder with more subfolders holds videos, not parts of a set
_TRIED = 20  # rows whose videos are looked for


def levels(root: Path, depth: int = _DEPTH) -> Iterator[list[Path]]:
    """Yields the levels of a folder tree: the root, its folders, the folders of those, ..."""
    level = [root]
    for _ in range(depth + 1):
        yield level
        level = [Path(path) for folder in level if len(paths := _subfolders(folder)) <= _MANY for path in paths]


def _subfolders(folder: Path) -> list[str]:
    try:
        return sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
    except PermissionError:
        return []


def find_file(root: Path, *names: str) -> Path | None:
    """Finds the file of that name (which may have ``*``) nearest to the root; of several names the first."""
    for level in levels(root):
        for name in names:
            found = sorted(path for folder in level for path in folder.glob(name) if path.is_file())
            if found:
                return found[0]
    return None


def need_file(root: Path, *names: str) -> Path:
    """Finds a file as ``find_file`` does.

    Raises:
        ListError: there is no such file.
    """
    found = find_file(root, *names)
    if found is None:
        raise ListError(f"no file {' or '.join(names)} in '{root}' or up to {_DEPTH} folders below it")
    return found


def video_folder(source: Source, paths: Sequence[str], hint: str = "") -> Path | None:
    """The folder in which the videos of these relative paths lie, None where they are not below the root.

    Args:
        hint: part of the folder's path, to choose among several ("0.mp4" lies in validate/ and in test/).

    Raises:
        ListError: they lie in several folders.
    """
    if source.videos is not None:
        return source.videos
    some = list(paths)[:: max(1, len(paths) // _TRIED)]
    folders = Folders()
    for level in levels(source.root):
        found = [folder for folder in level if any(folders.find(str(folder / path)) for path in some)]
        if len(found) > 1 and hint:
            found = [folder for folder in found if hint in str(folder.relative_to(source.root))] or found
        if len(found) > 1:
            raise ListError(
                f"'{some[0]}' may lie in '{found[0]}' and in '{found[1]}': say which folder has the videos "
                "(DATA.PATH_PREFIX, --videos)"
            )
        if found:
            return found[0]
    return None


def read_split(
    source: Source,
    path: Path,
    *,
    classes: ClassTable | None = None,
    hint: str = "",
    mend: Callable[[str], str] | None = None,
) -> RecordList:
    """Reads a list of the set, with its videos where they lie; a video that is not there keeps its name.

    Raises:
        ListError: as ``read_list``.
    """
    names = [row.path for row in parse_list(path, mend=mend).rows.values()]
    folder = video_folder(source, names, hint)
    return read_list(path, prefix=str(folder or source.root), classes=classes, mend=mend)
