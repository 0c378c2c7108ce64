"""A list whose videos are packed, as the command packs them."""

from pathlib import Path

from conftest import load_tool

from fragrant.data.shards import read_index


def pack(root: Path, out: Path, *arguments: str, rows: str = "", split: str = "train") -> int:
    """Exit code of ``prepare_data.py pack`` over the rows, or over ``<root>/<split>.csv``."""
    if rows:
        (root / f"{split}.csv").write_text(rows)
    words = ["pack", "--root", root, "--list", f"{split}={root / f'{split}.csv'}", "--out", out, "--workers", 1]
    return load_tool("prepare_data").start([*map(str, words), *arguments])


def packed_rows(out: Path, split: str = "train") -> list[str]:
    """The paths of a packed list, absolute."""
    return [str(out / line.rsplit(" ", 1)[0]) for line in (out / f"{split}.csv").read_text().splitlines()]


def index_of_shard(out: Path, number: int = 0):
    shard = str(out / "shards" / f"{number:03d}.tar")
    return read_index(shard.replace(".tar", ".index.json"), shard=shard)
