"""Lists that a set does not have, drawn from its training list: whole groups, about the same share of every class."""

from collections.abc import Sequence

from fragrant.data.datasets.known_set import KnownSet, group_rules
from fragrant.data.datasets.splits import draw_few, leak_between
from fragrant.data.lists.errors import ListError
from fragrant.data.lists.groups import groups_of
from fragrant.data.lists.parts import draw_parts
from fragrant.data.lists.records import RecordList, each_label

NONE = "none"  # draw nothing: a set without a validation list validates on its test list
WHOLE = "trainval"  # the training list before anything was drawn from it
_DRAWN = ("val", "test")
_USUAL = 0.2  # of a set without a validation list
_OF_ALL = {"val": 0.1, "test": 0.2}  # of a set without any list of its own
_SEED = 0  # the same lists for everybody


def parse_shares(words: Sequence[str]) -> dict[str, float] | None:
    """The shares of ``["val=0.2", "test=0.2"]``; {} for ["none"], None for nothing.

    Raises:
        ListError: a word is something else, or nothing would be left to train on.
    """
    if not words:
        return None
    if list(words) == [NONE]:
        return {}
    shares = {}
    for word in words:
        split, _, number = word.partition("=")
        try:
            shares[split] = float(number)
        except ValueError:
            shares[split] = 0.0
        if split not in _DRAWN or not 0 < shares[split] < 1:
            raise ListError(
                f"--split '{word}' is not of the form val=0.2 or test=0.2, a share between 0 and 1, or none"
            )
    _leave_some(shares)
    return shares


def _leave_some(shares: dict[str, float]) -> None:
    if sum(shares.values()) >= 1:
        told = " ".join(f"{split}={share:g}" for split, share in shares.items())
        raise ListError(f"--split {told}: the shares are 1 or more together, nothing is left to train on")


def with_drawn(found: KnownSet, name: str, words: Sequence[str], *, group_by: str = "") -> KnownSet:
    """The set with lists drawn from its training list; that list as it was is then called ``WHOLE``.

    Without ``words`` a set that has no validation list of its own gets one, ``_USUAL`` of the training list. A set that
    has no list at all is drawn anew from all its videos if ``words`` or ``group_by`` ask for anything.

    Args:
        name: of the set, whose rule draws where ``group_by`` (see ``groups_of``) is "".
        words: see ``parse_shares``.

    Raises:
        ListError: see ``parse_shares``; the rule does not fit, or leaves a class without a training video.
    """
    shares = parse_shares(words)
    if found.drawn and (shares or (shares is None and group_by)):
        return _drawn_anew(found, _OF_ALL | (shares or {}), name, group_by)
    own = "val" in found.splits and found.splits["val"] is not found.splits.get("test")
    if shares is None:
        shares = {} if own or "train" not in found.splits else {"val": _USUAL}
    if not shares:
        return found
    train = found.splits["train"]
    if (train.labels < 0).all():
        return found
    by, parts = _drawn(train, list(shares.values()), name, group_by, asked=bool(words))
    if not words and not all(parts):  # too few videos to take any away
        return found
    splits = {"train": train.pick(parts[0]), WHOLE: train}
    splits |= {split: train.pick(ids) for split, ids in zip(shares, parts[1:], strict=True)}
    if "test" in shares and "val" not in shares and not own:
        splits["val"] = splits["test"]
    told = " and ".join(f"{split}.csv ({100 * share:g} %)" for split, share in shares.items())
    notes = [note for note in found.notes if "val" not in splits or not note.endswith("val repeats test")]
    notes.append(f"{told} drawn from the training list {by}; {WHOLE}.csv is that list as it was")
    published = {WHOLE if split == "train" else split: count for split, count in found.published.items()}
    published = {split: count for split, count in published.items() if split not in shares}
    return found._replace(splits={**found.splits, **splits}, notes=tuple(notes), published=published)


def _drawn_anew(found: KnownSet, shares: dict[str, float], name: str, group_by: str) -> KnownSet:
    """The set with all its lists drawn from all its videos; what the shares leave is to train on."""
    _leave_some(shares)
    source = found.splits["train"].source
    videos = RecordList([record for part in found.splits.values() for record in part], source=source)
    by, parts = _drawn(videos, list(shares.values()), name, group_by, asked=True)
    splits = {split: videos.pick(ids) for split, ids in zip(("train", *shares), parts, strict=True)}
    told = " and ".join(f"{split}.csv ({100 * share:g} %)" for split, share in shares.items())
    return found._replace(splits=splits, notes=(f"{told} drawn from all {len(videos)} videos {by}",))


def with_few(found: KnownSet, name: str, shots: int, *, group_by: str = "", seed: int = 0) -> KnownSet:
    """The set with ``shots`` videos of each class to train on, see ``draw_shots``; its training list as it was is then
    called ``WHOLE``.

    Args:
        name: of the set, whose rule says what a group is where ``group_by`` (see ``groups_of``) is "".

    Raises:
        ListError: a class has fewer videos, ``shots`` is below 1, or the rule does not fit.
    """
    train, rules = found.splits["train"], group_rules()
    if shots < 1:
        raise ListError(f"--few-shot {shots}: allowed: 1 or more")
    rule = group_by or (name if name in rules and rules[name].pattern else "")
    few = draw_few(train, shots, group_by=rule, seed=seed, told="--few-shot")
    by = f", by {rules[rule].what if rule in rules else rule}" if rule else ", each video by itself"
    note = f"train.csv has {shots} videos of each class (seed {seed}{by}); {WHOLE}.csv is the whole training list"
    splits = {**found.splits, "train": few, WHOLE: found.splits.get(WHOLE, train)}
    published = {WHOLE if split == "train" else split: count for split, count in found.published.items()}
    return found._replace(splits=splits, notes=(*found.notes, note), published=published)


def with_leaks_named(found: KnownSet, name: str, *, group_by: str = "") -> KnownSet:
    """The set with a note for each list that shares groups with the training list: near copies of what is trained on.

    Args:
        name: of the set, whose rule counts where ``group_by`` (see ``groups_of``) is "".
    """
    train, notes = found.splits.get("train"), []
    told: list[RecordList] = []  # val may be test
    for split, records in found.splits.items():
        if split in ("train", WHOLE) or train is None or any(records is other for other in told):
            continue
        told.append(records)
        try:
            shared = leak_between(train, records, group_by=group_by, dataset=name)
        except ListError:  # names of another kind, of a list that nothing was drawn from
            continue
        if shared:
            notes.append(f"{split}.csv shares {shared} with train.csv: near copies, its numbers are too good")
    return found._replace(notes=(*found.notes, *notes))


def _drawn(
    train: RecordList, shares: list[float], name: str, group_by: str, *, asked: bool
) -> tuple[str, list[list[int]]]:
    """By what is drawn, in words, and the ids of each part, what stays for training first."""
    rules, labels = group_rules(), [each_label(record.label) for record in train]
    all_shares = [1 - sum(shares), *shares]
    rule = group_by or (name if name in rules and rules[name].pattern else "")
    what = rules[name].what if name in rules else ""
    reason = f"its groups are {what}s, which its names do not tell" if what else "nothing is known of its groups"
    if rule:
        try:
            groups = groups_of(train, rule, rules)
            drawn = draw_parts(labels, groups, all_shares, seed=_SEED, folds=False)
            if not drawn.swallowed:
                what = rules[rule].what if rule in rules else f"'{rule}'"
                return f"by {what}", [drawn.ids(part) for part in range(len(all_shares))]
            raise ListError(f"class {drawn.swallowed[0][1]} would lose all its training videos")
        except ListError as error:
            if group_by or asked:
                raise ListError(f"--split of {train!r}: {error}") from None
            reason = str(error)
    drawn = draw_parts(labels, None, all_shares, seed=_SEED, folds=False)
    parts = [drawn.ids(part) for part in range(len(all_shares))]
    return f"video by video ({reason}): clips cut from one recording may be in several lists", parts
