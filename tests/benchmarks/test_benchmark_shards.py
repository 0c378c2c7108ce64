"""The table of clips from shards and from files."""

from conftest import load_tool
from make_video import encode


def test_the_table(tmp_path, capsys):
    for number in range(3):
        encode(tmp_path / f"{number}.mp4", 9, seed=number)
    (tmp_path / "train.csv").write_text("".join(f"{number}.mp4 0\n" for number in range(3)))
    words = f"shards --rounds 1 TRAIN.DATASET kinetics MODEL.NUM_CLASSES 1 DATA.PATH_TO_DATA_DIR {tmp_path} NUM_GPUS 0 OUTPUT_DIR {tmp_path}"
    assert load_tool("benchmark").start(words.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("3 videos of ") and " in 1 shards" in lines[0]
    assert [line[:34].strip() for line in lines[2:]] == ["open", "open, read 8 frames", "open, read 8 frames, cold"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.mp4", "1.mp4", "2.mp4", "train.csv"]
