"""Figures have the size asked for, to the point, with their type inside."""

import re
import sys
from types import SimpleNamespace

import pytest
from PIL import Image

from fragrant.report.figure_style import (
    COLORS,
    Look,
    centimetres,
    figure_style,
    legend_columns,
    look_of,
    new_figure,
    save_figure,
    shortened,
)
from fragrant.report.strips import PictureError

ASKED = {"size": None, "width": None, "dpi": 300.0, "font_size": 8.0, "latex": False}


def asked(**changes) -> SimpleNamespace:
    return SimpleNamespace(**(ASKED | changes))


def saved(path, look: Look):
    pytest.importorskip("matplotlib")
    with figure_style(look):
        figure = new_figure(look, layout="constrained")
        axes = figure.subplots()
        axes.set_title("a $name$ – 1 €")
        axes.plot([0, 1], [-1, 1])
        save_figure(path, figure, look)
    return path


@pytest.mark.parametrize(
    "text, value",
    [
        ("17cm", 17),
        ("17", 17),
        ("85 mm", 8.5),
        ("3.25in", 8.255),
        ("240pt", 8.4350),
        ("column", 8.255),
        ("text", 17.4625),
    ],
)
def test_lengths(text, value):
    assert centimetres(text, "--width") == pytest.approx(value, abs=1e-3)


def test_a_look_of_arguments():
    assert look_of(asked(size="17x6cm")) == Look(17, 6, 300, 8, False)
    assert look_of(asked(size="5x2.5in"))[:2] == (pytest.approx(12.7), pytest.approx(6.35))  # one unit for both
    assert look_of(asked(size="60mmx4cm"))[:2] == (pytest.approx(6), pytest.approx(4))
    assert look_of(asked(width="column", latex=True)) == Look(8.255, None, 300, 8, True)
    assert look_of(asked(width="9")).sized(1, 5)[:2] == (9, 5) and look_of(asked()).sized(1, 5)[:2] == (1, 5)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"width": "wide"}, "--width 'wide' is no length; allowed: a number with cm, mm, in, pt, or column, text"),
        ({"width": "1cm"}, "--width '1cm' is 1 cm; allowed: 2 to 120 cm"),
        ({"size": "17cm"}, "--size '17cm' is no size; allowed: WxH as in 17x6cm"),
        ({"size": "17x0cm"}, "--size, height '0cm' is 0 cm; allowed: 2 to 120 cm"),
        ({"dpi": 5.0}, "--dpi 5 is out of range; allowed: 30 to 1200"),
        ({"dpi": float("nan")}, "--dpi nan is out of range"),
        ({"font_size": 100.0}, "--font-size 100 is out of range; allowed: 3 to 40"),
    ],
)
def test_no_look(changes, message):
    with pytest.raises(PictureError, match=re.escape(message)):
        look_of(asked(**changes))


def test_sizes_are_exact(tmp_path):
    look = Look(17, 6, dpi=100)
    svg = saved(tmp_path / "a.svg", look).read_text()
    width, height = (
        float(re.search(rf'<svg [^>]*{name}="([\d.]+)pt"', svg, re.DOTALL)[1]) for name in ("width", "height")
    )
    assert (width / 72 * 2.54, height / 72 * 2.54) == (pytest.approx(17, abs=1e-4), pytest.approx(6, abs=1e-4))
    pdf = saved(tmp_path / "a.pdf", look).read_bytes()
    box = [float(number) for number in re.search(rb"/MediaBox \[ ?([\d. ]+?) ?\]", pdf)[1].split()]
    assert [side / 72 * 2.54 for side in box] == [0, 0, pytest.approx(17, abs=1e-4), pytest.approx(6, abs=1e-4)]
    picture = Image.open(saved(tmp_path / "a.png", look))
    assert picture.size == (669, 236) and picture.info["dpi"] == (pytest.approx(100, abs=0.1),) * 2


@pytest.mark.parametrize("latex, font", [(False, b"DejaVuSans"), (True, b"STIXGeneral")])
def test_the_type_is_inside(latex, font, tmp_path):
    pdf = saved(tmp_path / "a.pdf", Look(6, 4, latex=latex)).read_bytes()
    assert b"/FontFile2" in pdf and font in pdf and b"/Type3" not in pdf  # TrueType, in the file
    svg = saved(tmp_path / "a.svg", Look(6, 4, latex=latex)).read_text()
    assert "<!-- a $name$ – 1 € -->" in svg  # no formula is made of a name
    assert not re.findall(r'href="(?!#|data:)|url\((?!#)|font-family|@import', svg)  # outlines, nothing from elsewhere


def test_the_same_figure_has_the_same_bytes(tmp_path):
    for kind in ("pdf", "svg"):
        one, two = (saved(tmp_path / f"{name}.{kind}", Look(6, 4)).read_bytes() for name in "ab")
        assert one == two


def test_settings_of_the_user_do_not_count(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context(
        {"font.size": 30, "axes.grid": True, "savefig.bbox": "tight", "figure.facecolor": "red"}
    ):
        changed = saved(tmp_path / "a.svg", Look(6, 4)).read_bytes()
        assert matplotlib.rcParams["font.size"] == 30  # and stay
    assert saved(tmp_path / "b.svg", Look(6, 4)).read_bytes() == changed


def test_a_figure_that_cannot_be(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    with pytest.raises(PictureError, match="'a.jpg' has no known ending; allowed: .png, .svg, .pdf"):
        saved("a.jpg", Look(6, 4))
    with pytest.raises(PictureError, match="120 x 120 cm at --dpi 1200 is too large; take fewer dpi"):
        saved(tmp_path / "a.png", Look(120, 120, dpi=1200))
    with pytest.raises(PictureError, match="'/dev/null/a.png' cannot be written"):
        saved("/dev/null/a.png", Look(6, 4))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with (
        pytest.raises(PictureError, match=r"figures need matplotlib: pip install -e '.\[report\]'"),
        figure_style(Look()),
    ):
        pass


def _luma(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


# Machado, Oliveira, Fernandes 2009, severity 1: what readers without one kind of cones see.
BLIND = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}


@pytest.mark.parametrize("kind", BLIND)
def test_the_first_colours_differ_for_colour_blind_readers(kind):
    seen = []
    for color in COLORS[:5]:
        rgb = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        seen.append([sum(weight * part for weight, part in zip(row, rgb, strict=True)) for row in BLIND[kind]])
    apart = [
        sum((a - b) ** 2 for a, b in zip(one, two, strict=True)) ** 0.5
        for at, one in enumerate(seen)
        for two in seen[:at]
    ]
    assert min(apart) > 0.15 and all(_luma(color) < 0.5 for color in COLORS)  # and lines are seen on white


def test_names_that_are_long():
    assert shortened("a\nb", 10) == "a\\nb" and shortened("abcdef", 4) == "abc…"
    assert legend_columns(["a"] * 9, Look(8)) > legend_columns(["a rather long name of a run"] * 9, Look(8)) >= 1
