"""Which videos two lists have in common, whatever way their paths are written."""

import os
from collections.abc import Iterable


class _Places:
    """Real paths; a folder is looked at once, which costs less than a question for each of its files."""

    def __init__(self):
        self._folders: dict[str, tuple[str, set[str] | None]] = {}

    def real(self, path: str) -> str:
        folder, name = os.path.split(path.rstrip("/") or path)
        if name in ("", ".", ".."):
            return os.path.realpath(path)
        if folder not in self._folders:
            self._folders[folder] = self._looked_at(os.path.realpath(folder))
        real, links = self._folders[folder]
        return os.path.realpath(path) if links is None or name in links else os.path.join(real, name)

    @staticmethod
    def _looked_at(folder: str) -> tuple[str, set[str] | None]:
        """The folder and the links in it; None where it cannot be read."""
        try:
            with os.scandir(folder) as entries:
                return folder, {entry.name for entry in entries if entry.is_symlink()}
        except OSError:
            return folder, None


def shared_videos(paths: Iterable[str], others: Iterable[str]) -> list[str]:
    """Those of ``paths`` that are among ``others``: the same file or folder, by another path or a link, too."""
    places = _Places()
    known = {places.real(path) for path in others}
    return [path for path in paths if places.real(path) in known]
