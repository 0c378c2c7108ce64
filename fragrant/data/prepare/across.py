"""What two lists have in common besides files: groups on both sides, and videos that look alike."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from fragrant.data.datasets.splits import leak_between
from fragrant.data.prepare.check import Checked
from fragrant.data.prepare.picture_hash import FRAMES, SIDE

NEAR = 12  # of FRAMES * SIDE**2 = 192 bits: copies coded anew differ in up to 5, clips of different places in about 90
_SHOWN = 5
_ROWS = 2048  # compared at once


def near_copies(hashes: Sequence[str], others: Sequence[str]) -> list[tuple[int, int, int]]:
    """The nearest of ``hashes`` to each of ``others``, where it is near: (place there, place here, bits apart)."""
    known, asked = ([at for at, text in enumerate(texts) if text] for texts in (hashes, others))
    if not known or not asked:
        return []
    first = _signs([hashes[at] for at in known])
    found = []
    for begin in range(0, len(asked), _ROWS):
        part = asked[begin : begin + _ROWS]
        differ = (first.shape[1] - _signs([others[at] for at in part]) @ first.T) / 2  # (rows, known)
        nearest = differ.argmin(1)
        found += [
            (at, known[near], int(bits))
            for at, near, bits in zip(part, nearest.tolist(), differ.min(1).tolist(), strict=True)
            if bits <= NEAR
        ]
    return found


def _signs(texts: Sequence[str]) -> np.ndarray:
    """(n, bits) of -1 and 1: their products count equal bits."""
    packed = np.array([np.frombuffer(bytes.fromhex(text), np.uint8) for text in texts])
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1


def across(lists: Mapping[str, Checked], *, group_by: str, dataset: str) -> list[str]:
    """What each two of the lists share, in lines: groups by DATA.GROUP_BY or the set's own rule, near copies."""
    return [
        line
        for (name, one), (other, two) in combinations(lists.items(), 2)
        for line in _of_two(name, one, other, two, group_by, dataset)
    ]


def _of_two(name: str, one: Checked, other: str, two: Checked, group_by: str, dataset: str) -> Iterator[str]:
    if len(one.records) and len(two.records):
        if shared := leak_between(one.records, two.records, group_by=group_by, dataset=dataset):
            yield f"note: {other} shares {shared} with {name}"
    copies = near_copies([found.picture for found in one.probes], [found.picture for found in two.probes])
    if copies:
        some = [f"{two.records.where(at)} like {one.records.where(near)}" for at, near, _ in copies[:_SHOWN]]
        more = ", ..." if len(copies) > _SHOWN else ""
        yield (
            f"note: {len(copies)} of {len(two.records)} videos of {other} look like one of {name}, near copies "
            f"(at most {NEAR} of {FRAMES * SIDE**2} bits of a picture hash differ): {', '.join(some)}{more}"
        )
