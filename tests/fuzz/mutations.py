"""Damages bytes as disks, networks and attackers do, the same ones for the same seed."""

import random

INTERESTING = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\x7f", b"\x00" * 8, b"\xff" * 8, b"\x00\x00\x00\x80")


def mutated(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """``content`` with one to four changes: bits, bytes, pieces left out, doubled, moved, or taken from the others."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, length = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 4, 8, 30))
        piece = bytes(data[at : at + length])
        way = rng.randrange(8)
        if way == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif way == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif way == 2:
            data[at : at + length] = b""
        elif way == 3:
            data[at:at] = piece * rng.choice((1, 2, 50))
        elif way == 4:
            to = rng.randrange(len(data) + 1)
            data[to:to] = piece
        elif way == 5:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            data[at : at + length] = other[start : start + rng.choice((1, 4, 16, 60))]
        elif way == 6:
            some = rng.choice(INTERESTING)
            data[at : at + len(some)] = some
        else:
            data[at:] = b"" if rng.randrange(4) == 0 else data[at:]
    return bytes(data)
