"""What a list of pseudo-labels is made of: the clips that the networks have met which wrote it, kept or not."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from fragrant.data.lists.errors import ListError
from fragrant.data.lists.records import RecordList
from fragrant.files import is_address, read_plain, whole_path

LIST, ABOUT = "pseudo.csv", ".about.json"  # the second beside the first: pseudo.about.json
SEEN = "seen"  # in it: paths of clips


def about_path(path: str) -> str:
    return os.path.splitext(path)[0] + ABOUT


def clips_behind(records: RecordList) -> list[str]:
    """The clips that pseudo-labels were made of: those of a list with probabilities as targets, and all that its file
    ``ABOUT`` names; [] for lists with labels. Of pairs both videos count.

    A list that was copied without that file stands for its own clips alone.

    Raises:
        ListError: such a file is there and cannot be read.
    """
    videos = [path for at in records.soft for path in (records[at].path, records.partner(at)) if path is not None]
    own = [whole_path(path) for path in videos]
    if not own:
        return []
    return unique([*own, *(path for source in records.sources for path in _seen(source))])


def unique(paths: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(paths))


def _seen(source: str) -> list[str]:
    path = Path(about_path(source))
    if is_address(source) or not source or not path.is_file():
        return []
    try:
        seen = json.loads(read_plain(path))[SEEN]
        if not isinstance(seen, list) or not all(isinstance(entry, str) for entry in seen):
            raise ValueError(f"'{SEEN}' is no list of paths")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ListError(
            f"{path}, which says what the pseudo-labels are made of, cannot be read: {error}; write them anew"
        ) from error
    return seen
