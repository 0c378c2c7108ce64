"""The confusion matrix as a picture: colours where the counts are."""

import pytest
import torch

from fragrant.report.matrix import RIGHT, SIDE, WHITE, WRONG, matrix_picture


def cell(picture, names: list[str], row: int, column: int) -> tuple:
    """The colour of a cell's corner, beside its number."""
    size = max(2, SIDE // len(names))
    left = picture.width - 12 - size * len(names)
    return picture.getpixel((left + column * size + size // 5, left + row * size + size // 5))


def test_blue_is_right_red_is_wrong_white_is_none():
    names = ["jump", "run", "a class with a name that is far too long"]
    picture = matrix_picture(torch.tensor([[4, 0, 0], [3, 0, 1], [0, 0, 0]]), names)
    assert cell(picture, names, 0, 0) == RIGHT and cell(picture, names, 0, 1) == WHITE
    assert cell(picture, names, 2, 2) == WHITE  # a class without a video
    often, seldom = cell(picture, names, 1, 0), cell(picture, names, 1, 2)
    assert often[0] > often[2] and sum(WRONG) < sum(often) < sum(seldom) < sum(WHITE)
    assert 640 < picture.width == picture.height < 900


@pytest.mark.parametrize("classes", [1, 41, 400])
def test_any_number_of_classes(classes):
    picture = matrix_picture(torch.eye(classes, dtype=torch.long), [str(k) for k in range(classes)])
    assert picture.width == picture.height < 1000
    assert cell(picture, list(range(classes)), classes - 1, classes - 1) == RIGHT
