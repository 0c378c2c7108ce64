"""Which videos are near copies of each other: those of one scene, person or recording are a group."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fragrant.data.lists.columns import column_of
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.records import RecordList
from fragrant.data.shards import MARK
from fragrant.registry import did_you_mean

COLUMN = "column:"  # before the name of a column that is also the name of a rule


class GroupRule(NamedTuple):
    """How the videos of a known set fall into groups.

    Attributes:
        what: what a group is, in a word: "scene", "person".
        pattern: finds the group in a path: what its parentheses catch; "" = the names of the set do not tell.
        apart: where the set's own lists keep less apart than ``pattern``: what they do keep apart.
    """

    what: str
    pattern: str = ""
    apart: str = ""


def groups_of(records: RecordList, group_by: str, rules: Mapping[str, GroupRule]) -> list[str]:
    """The group of every record.

    Args:
        group_by: the name of one of ``rules``, a regular expression with parentheses around what names the group
            (several pairs: all of them together), or the name of a column of the list.

    Raises:
        ListError: the rule is not understood, or finds no group in a path, or there is no such column.
    """
    rule = rules.get(group_by)
    if rule is not None:
        return _by_pattern(records, known_pattern(group_by, rule), f"{group_by} (its {rule.what}s)")
    if "(" in group_by and not group_by.startswith(COLUMN):
        return _by_pattern(records, group_by, f"'{group_by}'")
    name = group_by.removeprefix(COLUMN)
    try:
        if not records.source:
            raise ListError("these videos are of no list file")
        return column_of(records.source, name, records.lines)
    except ListError as error:
        close = did_you_mean(group_by, rules)
        raise ListError(
            f"DATA.GROUP_BY '{group_by}': {error}; {close}allowed: the name of a column, a regular expression with "
            f"parentheses around the group, such as '_(\\d+)_\\d+\\.mp4$', or a set: {', '.join(sorted(rules))}"
        ) from None


def known_pattern(name: str, rule: GroupRule) -> str:
    """The pattern of a known set.

    Raises:
        ListError: its file names do not tell.
    """
    if not rule.pattern:
        raise ListError(
            f"DATA.GROUP_BY {name}: a group of this set is a {rule.what}, which its file names do not tell; give a "
            f"list with a column of {rule.what}s and its name, or a regular expression"
        )
    return rule.pattern


def _by_pattern(records: RecordList, pattern: str, told: str) -> list[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ListError(f"DATA.GROUP_BY {told} is no regular expression: {error}") from None
    if not compiled.groups:
        raise ListError(
            f"DATA.GROUP_BY {told} has no parentheses around what names the group; allowed: '_(\\d+)_\\d+\\.mp4$'"
        )
    found = [compiled.search(record.path.replace(MARK, "/")) for record in records]
    missing = [at for at, match in enumerate(found) if match is None or not any(match.groups())]  # "" names nothing
    if missing:
        first, count = missing[0], len(found) - len(missing)
        raise ListError(
            f"{records.where(first)}: DATA.GROUP_BY {told} finds a group in "
            f"{count or 'none'} of {len(found)} paths, not in '{records[first].path}'; every video needs one"
        )
    return ["/".join(part or "" for part in match.groups()) for match in found if match]


class Shared(NamedTuple):
    """What two lists have in common: of the second list the groups that the first has too, and their videos."""

    groups: int
    of_groups: int
    videos: int
    of_videos: int
    example: str

    def __str__(self) -> str:
        return (
            f"{self.groups} of {self.of_groups} groups, with {self.videos} of {self.of_videos} videos "
            f"(group '{self.example}' for one)"
        )


def shared_groups(groups: Sequence[str], others: Sequence[str]) -> Shared | None:
    """Counts which groups of ``others`` stand in ``groups`` too; None where none does."""
    both = sorted(set(groups) & set(others))
    if not both:
        return None
    videos = sum(group in set(both) for group in others)
    return Shared(len(both), len(set(others)), videos, len(others), both[0])
