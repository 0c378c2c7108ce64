"""docs/config.md is what the declarations say."""

from conftest import ROOT

from fragrant.config.defaults import KEYS
from fragrant.config.keys import Allowed, Key, Kind
from fragrant.config.reference import reference


def test_the_page_is_current():
    page = (ROOT / "docs/config.md").read_text(encoding="utf-8")
    assert page == reference(), "docs/config.md is out of date: run python tools/config_docs.py"


def test_every_key_has_a_row():
    lines = reference().splitlines()
    for name in KEYS:
        assert len([line for line in lines if line.startswith(f"| `{name}` |")]) == 1, name


def test_a_row():
    key = Key(
        "A.B", [0.5], "share | of <x>", Kind(float, is_list=True, named={"half": [0.5]}), Allowed(above=0, at_most=1)
    )
    assert reference([key]).splitlines()[-5:] == [
        "## A",
        "",
        "| Key | Default | Values | Meaning |",
        "| --- | --- | --- | --- |",
        r"| `A.B` | `[0.5]` | list of numbers, or half; above 0 and at most 1 | share \| of \<x\> |",
    ]
