"""Contact sheets: sources as columns, videos as rows."""

import numpy as np
import pytest

from fragrant.report.contact_sheet import contact_sheet, picked, videos_of, write_contact_sheet
from fragrant.report.strips import PictureError
from fragrant.synthetic.encoding import encode


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for number in range(3):
        encode(folder / f"v{number}.mp4", np.full((6, 48, 64, 3), 20 + 5 * number, np.uint8))
    (folder / "some.csv").write_text("v0.mp4 0\nv2.mp4 1\n")
    return folder


def test_sources(folder, tmp_path):
    assert [path[-6:] for path in videos_of(str(folder))] == ["v0.mp4", "v1.mp4", "v2.mp4"]
    assert [path[-6:] for path in videos_of(str(folder / "some.csv"))] == ["v0.mp4", "v2.mp4"]
    assert len(videos_of(str(folder / "v1.mp4"))) == 1
    for nothing in (tmp_path, tmp_path / "none", tmp_path / "none.mp4"):
        with pytest.raises(PictureError, match="no videos there"):
            videos_of(str(nothing))


def test_picking():
    names = [str(number) for number in range(10)]
    assert picked(names, 3, None) == ["0", "4", "9"]
    assert picked(names, 3, 1) == picked(names, 3, 1) != picked(names, 3, 2)
    assert picked(names, 99, None) == names


def test_a_sheet_has_rows_and_columns_and_is_brightened(folder):
    one = contact_sheet([str(folder)], rows=3, frames=4, height=48)
    two = contact_sheet([str(folder), str(folder / "some.csv")], rows=3, frames=4, height=48)
    assert one.size == (4 * 64 + 9, 3 * 48 + 8)
    assert two.size == (2 * one.size[0] + 12, one.size[1])
    dark = contact_sheet([str(folder)], rows=3, frames=4, height=48, brighten=False)
    assert np.asarray(one)[:48, :64].mean() > 2 * np.asarray(dark)[:48, :64].mean()


def test_what_cannot_be_written(folder, tmp_path):
    write_contact_sheet([str(folder)], str(tmp_path / "sheet.png"), rows=1)
    assert (tmp_path / "sheet.png").stat().st_size > 100
    with pytest.raises(PictureError, match="ends in .png or .jpg"):
        write_contact_sheet([str(folder)], str(tmp_path / "sheet.xyz"))
    with pytest.raises(PictureError, match="--rows must be from 1 to 200, got 0"):
        contact_sheet([str(folder)], rows=0)
