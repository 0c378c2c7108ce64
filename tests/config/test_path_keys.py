"""~ and $VARIABLES in every key that names a file or folder."""

import re

import pytest

from fragrant.config import ConfigError, Kind, cfg_from_text, declare_key, default_cfg, dump_cfg, load_cfg
from fragrant.config.defaults import KEYS, leaves
from fragrant.config.keys import KEYS as DECLARED

PATHS = {name: key for name, key in KEYS.items() if key.kind.is_path}
PAIRED = ("DATA.COLOR_PATH_TO_DATA_DIR", "DATA.THERMAL_PATH_TO_DATA_DIR")  # one is refused without the other
ALONE = [name for name in PATHS if name not in PAIRED]
# Words of a name that speak of a place on disk, and the keys that have such a name and are none.
SPEAKS_OF_PATHS = re.compile(r"DIR|PATH|FILE|CHECKPOINT|PREFIX|_LIST|PRETRAIN|CACHE|ROOT|FOLDER")
NO_PATHS = {
    "UNIFORMERV2.BACKBONE_DROP_PATH_RATE",
    "UNIFORMERV2.DROP_PATH_RATE",
    "TIMM.DROP_PATH_RATE",
    "UNIFORMERV2.RETURN_LIST",
    "MODEL.SINGLE_PATHWAY_ARCH", "MODEL.MULTI_PATHWAY_ARCH", "MODEL.USE_CHECKPOINT", "MODEL.CHECKPOINT_NUM",
    "MVITV2.DROP_PATH_RATE", "SWIN.DROP_PATH_RATE", "DATA.PATH_LABEL_SEPARATOR", "DATA.CACHE_GB", "DATA.ALLOW_OUTSIDE_PREFIX",
    "TRAIN.CHECKPOINT_PERIOD", "TRAIN.CHECKPOINT_EPOCH_RESET", "TRAIN.CHECKPOINT_INFLATE",
    "TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN", "VIT.DROP_PATH_RATE", "PRETRAIN.MASK_RATIO", "PRETRAIN.TUBE_SIZE",
    "PRETRAIN.NORMALIZE_TARGETS", "PRETRAIN.DECODER_DEPTH", "PRETRAIN.DECODER_WIDTH", "PRETRAIN.TEMPERATURE",
    "PRETRAIN.PROJECTOR_WIDTH", "PRETRAIN.PROJECTOR_DIM",
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("PLACE", "/data")
    monkeypatch.delenv("NOWHERE", raising=False)


def test_no_path_is_forgotten():
    of_text = {name for name, key in KEYS.items() if SPEAKS_OF_PATHS.search(name)}
    assert of_text - set(PATHS) == NO_PATHS & of_text and not NO_PATHS & set(PATHS)


def setting(name: str, text: str) -> object:
    text += "/{}" if KEYS[name].allowed.contains else ""
    return [text, text] if KEYS[name].kind.is_list else text


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize(
    "text, opened", [("~/a", "/home/me/a"), ("$PLACE/a", "/data/a"), ("${PLACE}/a/$PLACE", "/data/a//data")]
)
def test_every_path_is_opened(name, text, opened, tmp_path):
    wanted = setting(name, opened)
    as_text = str(setting(name, text))
    assert leaves(load_cfg(None, [name, as_text]))[name] == wanted
    *blocks, last = name.split(".")
    yaml = "".join(f"{'  ' * depth}{block}:\n" for depth, block in enumerate(blocks)) + "  " * len(blocks) + f"{last}: "
    (tmp_path / "a.yaml").write_text(f"{yaml}{as_text}\n")
    cfg = load_cfg(tmp_path / "a.yaml")
    assert leaves(cfg)[name] == wanted
    assert leaves(cfg_from_text(dump_cfg(cfg)))[name] == wanted


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("text", ["$NOWHERE/a", "${NOWHERE}", "~nobody_of_that_name/a"])
def test_what_nobody_knows_is_refused_here_and_left_in_a_checkpoint(name, text):
    unknown = text.split("/")[0]
    with pytest.raises(ConfigError, match=re.escape(f"{name} ") + ".*this machine knows no .*" + re.escape(unknown)):
        load_cfg(None, [name, str(setting(name, text))])
    cfg = default_cfg()
    cfg.merge_from_list([name, setting(name, text)])
    assert leaves(cfg_from_text(dump_cfg(cfg)))[name] == setting(name, text)


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("address", ["http://host:80/a//~b/$NOWHERE?c=~/d", "memory://a/${NOWHERE}", "s3://~/a/../b"])
def test_addresses_stay_as_they_are(name, address):
    cfg = load_cfg(None, [name, str(setting(name, address))])
    assert leaves(cfg)[name] == setting(name, address)
    assert leaves(cfg_from_text(dump_cfg(cfg)))[name] == setting(name, address)


def test_both_paths_of_pairs_are_opened():
    color, thermal = PAIRED
    cfg = load_cfg(None, ["MODEL.MODEL_NAME", "DualStream", color, "~/a", thermal, "$PLACE/b"])
    assert [leaves(cfg)[name] for name in PAIRED] == ["/home/me/a", "/data/b"]
    assert leaves(cfg_from_text(dump_cfg(cfg))) == leaves(cfg)


def test_variables_in_addresses_are_opened():
    assert load_cfg(None, ["DATA.PATH_PREFIX", "s3://bucket$PLACE/a"]).DATA.PATH_PREFIX == "s3://bucket/data/a"


def test_other_texts_stay_as_they_are():
    cfg = load_cfg(None, ["DATA.PATH_LABEL_SEPARATOR", "$HOME", "MODEL.ARCH", "~/x"])
    assert cfg.DATA.PATH_LABEL_SEPARATOR == "$HOME" and cfg.MODEL.ARCH == "~/x"


def test_the_file_itself_and_what_it_starts_from(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", str(tmp_path))
    (tmp_path / "base.yaml").write_text("RNG_SEED: 7\n")
    (tmp_path / "a.yaml").write_text("_BASE_: $PLACE/base.yaml\n")
    assert load_cfg("$PLACE/a.yaml").RNG_SEED == 7


def test_a_plug_in_declares_a_path():
    declare_key("MY_SET.FOLDER", "", "where it lies", kind=Kind(str, is_path=True))
    try:
        assert load_cfg(None, ["MY_SET.FOLDER", "~/set"]).MY_SET.FOLDER == "/home/me/set"
    finally:
        del DECLARED["MY_SET.FOLDER"]
