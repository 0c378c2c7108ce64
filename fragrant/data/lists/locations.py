"""Locates the videos of a list on this machine: foreign roots, relative paths, other video extensions."""

import os
from collections.abc import Iterable
from unicodedata import normalize

from fragrant.data.lists.errors import ListError
from fragrant.data.shards import split_member
from fragrant.files import expanded, is_address

# Of two files of one name the one whose extension comes first here is taken.
VIDEO_EXTENSIONS = tuple(
    ".mp4 .avi .mkv .webm .mov .m4v .mpg .mpeg .wmv .flv .ts .h264 .h265 .3gp .asf .m2ts .mts .ogv".split()
)


class Folders:
    """The files in folders. A folder is listed once, which costs less than asking for each of its files.

    Names are found in whichever form of Unicode the disk has them: macOS writes an accent apart from its letter (NFD),
    other systems both as one (NFC), and archives and lists carry either from one machine to the other."""

    def __init__(self):
        self._names: dict[str, set[str] | None] = {}
        self._stems: dict[str, dict[str, str]] = {}
        self._forms: dict[str, dict[str, str]] = {}  # names that are not plain ASCII: NFC -> as on the disk
        self._moved: dict[str, str] = {}  # folder -> as on the disk

    def find(self, path: str) -> str | None:
        """The path itself if it is there, else in another form of Unicode, else the same video with another extension,
        or None; a member of a shard is taken to be there where the shard is."""
        shard, member = split_member(path)
        if member is not None:
            tar = self.find(shard)
            return f"{tar}::{member}" if tar and tar.endswith(".tar") else None
        folder, name = os.path.split(path)
        found = self._find_in(folder, name)
        if found is None and not folder.isascii() and (there := self._on_disk(folder)) != folder:
            found = self._find_in(there, name)
        return found

    def _find_in(self, folder: str, name: str) -> str | None:
        path = os.path.join(folder, name)
        names = self._listed(folder)
        if names is None:
            return path if os.path.exists(path) else None
        if name in names:
            return path
        if other := self._forms[folder].get(normalize("NFC", name)):
            return os.path.join(folder, other)
        stem, extension = os.path.splitext(name)
        stems = self._stems[folder]
        video = extension.lower() in VIDEO_EXTENSIONS
        other = (stems.get(normalize("NFC", stem)) if video else None) or stems.get(normalize("NFC", name))
        return os.path.join(folder, other) if other else None

    def _on_disk(self, folder: str) -> str:
        """The folder with every part of its path as the disk has it, as far as there is one."""
        if folder not in self._moved:
            parent, name = os.path.split(folder)
            if not name or parent == folder or os.path.isdir(folder):
                self._moved[folder] = folder
            else:
                parent = self._on_disk(parent)
                names = self._listed(parent) or ()
                same = name if name in names else self._forms[parent].get(normalize("NFC", name), name)
                self._moved[folder] = os.path.join(parent, same)
        return self._moved[folder]

    def _listed(self, folder: str) -> set[str] | None:
        """The names in a folder, none where there is no such folder, None where it may not be listed."""
        if folder not in self._names:
            try:
                self._names[folder] = set(os.listdir(folder or "."))
            except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a NUL byte
                self._names[folder] = set()
            except OSError:
                self._names[folder] = None
            names = sorted(self._names[folder] or ())
            self._stems[folder] = _videos_by_stem(names)
            self._forms[folder] = {normalize("NFC", name): name for name in names if not name.isascii()}
        return self._names[folder]


def _videos_by_stem(names: Iterable[str]) -> dict[str, str]:
    """``{"Drink_1_1": "Drink_1_1.mp4"}``, stems in NFC; of several the one whose extension comes first in the table."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        stem, extension = os.path.splitext(name)
        if extension.lower() in VIDEO_EXTENSIONS:
            found.setdefault(normalize("NFC", stem), []).append(name)
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


def kept_inside(path: str, *, prefix: str = "", root_replace: tuple[str, str] | None = None) -> str:
    """A path of a list, which must not climb out of the folder that it is put in by ``..``.

    The path alone decides, not what lies on the disk: a symbolic link inside the folder may point anywhere, since
    whoever owns the folder has made it; ``link/../x`` is ``x``. A path that is absolute in the list is taken as it is.

    Raises:
        ValueError: it does.
    """
    path, member = split_member(path)
    if member is not None:  # whose name is looked up in an index, not on the disk
        return f"{kept_inside(path, prefix=prefix, root_replace=root_replace)}::{member}"
    rest = move_root(path, root_replace[0], "") if root_replace else None
    if ".." not in path.split("/") or rest is None and (not prefix or os.path.isabs(path)):
        return path
    inside = os.path.normpath(path if rest is None else rest)
    if inside.split("/")[0] == "..":
        key = f"DATA.PATH_PREFIX '{prefix}'" if rest is None else f"DATA.ROOT_REPLACE {list(root_replace or ())}"
        raise ValueError(f"the path '{path}' leads out of {key}; DATA.ALLOW_OUTSIDE_PREFIX True allows it")
    return inside if rest is None else os.path.join(path[: len(path) - len(rest)], inside)


def locate(
    paths: Iterable[str],
    *,
    folder: str,
    prefix: str = "",
    root_replace: tuple[str, str] | None = None,
    found: Folders | None = None,
) -> list[str]:
    """Locates the videos of a list on this machine, or below the address ``prefix``, in the order given.

    A relative path lies in ``prefix`` if given, else beside the list if it exists there, else it is taken as it is.
    What is nowhere keeps its name: reading it says so.

    Args:
        folder: the folder of the list file.
        root_replace: (old, new): paths of another machine, which begin with ``old``.
        found: folders that were listed already.

    Raises:
        ListError: no path lies in ``old``, nor in ``new``.
    """
    paths, found = list(paths), found or Folders()
    if root_replace and paths:
        # The list may write ~ or $VARIABLE, which the key's value has open.
        moved = [move_root(path, *root_replace) or move_root(expanded(path), *root_replace) for path in paths]
        old, new = root_replace
        # what was written on this machine, such as pseudo-labels, has paths that lie in ``new`` already
        here = os.path.abspath(expanded(new)) if new else None
        own = here is not None and any(move_root(path, here, "") is not None for path in paths)
        if not own and not any(path is not None for path in moved):
            raise ListError(
                f"DATA.ROOT_REPLACE ['{old}', '{new}']: no path of the list begins with '{old}'; the first is "
                f"'{paths[0]}'"
            )
        paths = [path if new is None else new for path, new in zip(paths, moved, strict=True)]
    return [_locate_one(path, folder, prefix, found) for path in paths]


def _locate_one(path: str, folder: str, prefix: str, found: Folders) -> str:
    if is_address(prefix) and not os.path.isabs(path):
        return f"{prefix.rstrip('/')}/{path}"
    if not os.path.isabs(path) and not prefix:
        return found.find(os.path.join(folder, path)) or found.find(path) or path
    path = os.path.join(prefix, path)  # which is an absolute path itself where it is one
    return found.find(path) or path
