"""What a resumed run and a test hear about keys that are not those of the checkpoint: every key there is."""

import functools

import pytest

from fragrant.config import changed, compare, declare_key, dump_cfg, load_cfg
from fragrant.config.compare import Difference, changes_of_clips, changes_on_resume, named, note_on_clips, recorded
from fragrant.config.defaults import KEYS, default_cfg, leaves
from fragrant.config.keys import key

CFG = load_cfg(None)
TEXT = dump_cfg(CFG)
read_once = functools.cache(recorded)  # a text of 300 lines takes a while


@pytest.fixture
def read_quickly(monkeypatch):
    monkeypatch.setattr(compare, "recorded", read_once)


def another(name: str, cfg=CFG) -> object:
    """A value of the key's kind that the config does not have."""
    declared, now = KEYS[name], leaves(cfg)[name]
    if declared.kind.element is bool:
        return not now
    value = {str: "another", int: 1, float: 0.7, "number": 7}[declared.kind.element]
    value = next((choice for choice in declared.allowed.one_of or [value] if choice not in (now, None)), value)
    if declared.kind.is_list:
        return [value] * (len(now) or 2) if not now or [value] * len(now) != now else []
    value = type(now)(value) if isinstance(now, int | float) else value
    return value if value != now else value + 1


@pytest.mark.parametrize("name", [name for name in KEYS if name != "TRAIN.BATCH_SIZE"])
def test_every_key_is_kept_unless_it_is_declared_otherwise(read_quickly, name):
    refused, told = changes_on_resume(changed(CFG, {name: another(name)}), TEXT, where="x.pyth")
    kept = KEYS[name].on_resume in ("kept", "rises", "moves")  # rises: 3 is fewer epochs; moves: another file
    assert ([one.key for one in refused], told) == ([name] if kept else [], [])


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if key.of_clips])
def test_every_key_of_clips_is_named(name):
    base = changed(CFG, {"DATA.FPS_CONVERT": True, "DATA.GAMMA": [2.0]})  # so that all are read
    now = changed(base, {name: 1000 if name in ("DATA.TEST_CROP_SIZE", "TEST.SHORT_SIDE") else another(name, base)})
    assert [one.key for one in changes_of_clips(now, dump_cfg(base), where="x.pyth")] == [name]


def test_what_belongs_to_the_clips_belongs_to_the_weights():
    assert all(key.on_resume == "kept" for key in KEYS.values() if key.of_clips)


@pytest.mark.parametrize(
    "settings, refused, told",
    [
        ({"SOLVER.MAX_EPOCH": 301}, [], ["SOLVER.MAX_EPOCH"]),
        ({"SOLVER.MAX_EPOCH": 299}, ["SOLVER.MAX_EPOCH"], []),
        ({"TRAIN.BATCH_SIZE": 32}, ["TRAIN.BATCH_SIZE"], []),
        ({"TRAIN.BATCH_SIZE": 32, "NUM_SHARDS": 2}, [], []),
        ({"NUM_SHARDS": 2, "NUM_GPUS": 8}, [], []),
        ({"UNIFORMER.PRETRAIN_NAME": "b.pth"}, ["UNIFORMER.PRETRAIN_NAME"], []),
        ({"DATA.TRAIN_LIST": "fold2.csv"}, ["DATA.TRAIN_LIST"], []),
        ({"SOLVER.BASE_LR": 0.1 + 1e-12}, ["SOLVER.BASE_LR"], []),
    ],
)
def test_what_may_change(read_quickly, settings, refused, told):
    found = changes_on_resume(changed(CFG, settings), TEXT, where="x.pyth")
    assert tuple([one.key for one in part] for part in found) == (refused, told)


def test_a_list_may_move():
    before = dump_cfg(changed(CFG, {"DATA.TRAIN_LIST": "/old/fold1.csv"}))
    moved = changed(CFG, {"DATA.TRAIN_LIST": "/new/place/fold1.csv"})
    assert [len(part) for part in changes_on_resume(moved, before, where="x")] == [0, 1]


def test_the_config_of_earlier_code():
    """A key that it did not know has its default; one that is gone says nothing; what is forbidden today is read."""
    lines = [line for line in TEXT.splitlines() if not line.strip().startswith(("BASE_LR:", "MEAN:"))]
    text = "\n".join(lines) + "\nGONE: {KEY: 3}\n"
    text = text.replace("MLP_RATIO: 4", "MLP_RATIO: 4.0")  # the same number
    assert changes_on_resume(CFG, text, where="x") == ([], [])
    assert [one.key for one in changes_on_resume(changed(CFG, {"SOLVER.BASE_LR": 1.0}), text, where="x")[0]] == [
        "SOLVER.BASE_LR"
    ]
    odd = TEXT.replace("MEAN: [0.45, 0.45, 0.45]", "MEAN: [114.75, 114.75, 114.75]").replace(
        "DEPTH: 152", "DEPTH: deep"
    )
    assert recorded(odd, where="x")["DATA.MEAN"] == [114.75] * 3
    assert {one.key for one in changes_on_resume(CFG, odd, where="x")[0]} == {"DATA.MEAN", "CSN.DEPTH"}


@pytest.mark.parametrize(
    "before, now, said",
    [
        ({"DATA.TRAIN_CROP_SIZE": 224}, {"DATA.TEST_CROP_SIZE": 288}, []),
        ({"DATA.TRAIN_CROP_SIZE": 224}, {"DATA.TEST_CROP_SIZE": 224, "TEST.SHORT_SIDE": 256}, []),
        ({"DATA.TRAIN_CROP_SIZE": 224}, {"DATA.TEST_CROP_SIZE": 112}, ["DATA.TEST_CROP_SIZE"]),
        (
            {"DATA.TRAIN_CROP_SIZE": 112, "DATA.TEST_CROP_SIZE": 112},
            {"DATA.TEST_CROP_SIZE": 224},
            ["DATA.TEST_CROP_SIZE"],
        ),
        ({}, {"DATA.TEST_CROP_SIZE": 224, "TEST.SHORT_SIDE": 512}, ["TEST.SHORT_SIDE"]),
        ({}, {"TEST.NUM_ENSEMBLE_VIEWS": 1, "TEST.NUM_SPATIAL_CROPS": 1, "DATA.USE_OFFSET_SAMPLING": True}, []),
        ({"DATA.SAMPLING": "sparse"}, {"DATA.SAMPLING": "sparse", "DATA.SAMPLING_RATE": 2}, []),
        ({}, {"DATA.TARGET_FPS": 25, "DATA.GAMMA_IN": "test"}, []),  # nobody reads them
        ({}, {"DATA.INPUT_CHANNEL_NUM": [3]}, []),
        ({}, {"DATA.SAMPLING_RATE": 2, "DATA.ENHANCE": "clahe"}, ["DATA.SAMPLING_RATE", "DATA.ENHANCE"]),
    ],
)
def test_clips_of_another_kind(before, now, said):
    text = dump_cfg(changed(CFG, before))
    own = changed(CFG, {name: value for name, value in before.items() if "CROP" not in name} | now)
    assert [one.key for one in changes_of_clips(own, text, where="x")] == said


def test_a_file_without_config_says_nothing():
    other = changed(CFG, {"DATA.ENHANCE": "clahe"})
    assert note_on_clips(other, None, where="x") == note_on_clips(other, "[", where="x") == ""
    assert note_on_clips(other, TEXT, where="x.pyth") == (
        "clips are not made as for the weights x.pyth: DATA.ENHANCE 'clahe' (before: 'none')"
    )


def test_many_differences_are_one_line():
    text = named([Difference(f"K{number}", 0, 1) for number in range(40)])
    assert text.startswith("K0 1 (before: 0), K1") and text.endswith("K29 1 (before: 0), and 10 more")


@pytest.fixture
def keys():
    before = dict(KEYS)
    yield
    KEYS.clear()
    KEYS.update(before)


def test_keys_of_plug_ins(keys):
    declare_key("MY_NET.WIDTH", 8, "channels")
    declare_key("MY_NET.THREADS", 8, "how many", on_resume="free")
    declare_key("MY_NET.BLUR", 0.0, "of pixels", of_clips=True)
    cfg = load_cfg(None, ["MY_NET.WIDTH", "16", "MY_NET.THREADS", "1", "MY_NET.BLUR", "1"])
    assert [one.key for one in changes_on_resume(cfg, TEXT, where="x")[0]] == ["MY_NET.WIDTH", "MY_NET.BLUR"]
    assert [one.key for one in changes_of_clips(cfg, TEXT, where="x")] == ["MY_NET.BLUR"]
    with pytest.raises(ValueError, match="on_resume 'fre' of config key MY_NET.X is not known; did you mean 'free'"):
        key("MY_NET.X", 1, "no meaning", on_resume="fre")


def test_all_keys_are_compared():
    assert recorded(TEXT, where="x") == leaves(default_cfg())
