"""Published files by their bare names: put by hand, fetched from a server, damaged, not to be had."""

import hashlib
import re
import socket

import pytest
import torch
from conftest import ROOT
from served import Quiet, serving
from tiny import TINY, TINY_MODEL, run_here
from torchvision.models import get_model_weights

from fragrant.checkpoint import checkpoint_hash, load_checkpoint
from fragrant.config import load_cfg
from fragrant.models import MODELS, build_model
from fragrant.remote import RemoteError, local_path, published_folder
from fragrant.zoo import published
from fragrant.zoo.page import files_page
from fragrant.zoo.published import BY_NAME, PUBLISHED, PublishedFile, table_of_files


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.chdir(tmp_path)  # no file here has such a name


@pytest.fixture
def weights(tmp_path):
    """A file of a tiny network, called as torch.hub calls files."""
    cfg = load_cfg(None, TINY_MODEL)
    torch.manual_seed(5)
    folder = tmp_path / "served"
    folder.mkdir()
    torch.save({"model_state": build_model(cfg).state_dict()}, folder / "x")
    digest = hashlib.sha256((folder / "x").read_bytes()).hexdigest()
    return (folder / "x").rename(folder / f"tiny-{digest[:8]}.pth")


def listed(monkeypatch, **facts) -> PublishedFile:
    file = PublishedFile(**{"network": "Uniformer", "layout": "ours", "keeper": "example/zoo", **facts})
    monkeypatch.setitem(BY_NAME, file.name, file)
    return file


# -------------------------------------------------------------------------------------------------------------- the list
def test_every_name_is_there_once_and_every_row_says_something():
    assert len(BY_NAME) == len(PUBLISHED)
    known = [name.lower() for name, _ in MODELS] + ["uniformerv2"]
    for file in PUBLISHED:
        assert file.layout and file.keeper and "/" not in file.name
        assert any(name in file.network.lower() for name in known), file
        assert not file.address or file.address.endswith(f"/{file.name}")
        assert re.fullmatch("[0-9a-f]{8}|[0-9a-f]{64}|", file.digits)


def test_addresses_of_torchvision_are_its_own():
    networks = "r2plus1d_18 s3d mvit_v2_s swin3d_t swin3d_s swin3d_b resnet50".split()
    theirs = {entry.url for network in networks for entry in get_model_weights(network)}
    ours = {file.address for file in PUBLISHED if file.layout == "torchvision"}
    assert ours and ours <= theirs


def test_what_is_not_known_is_said():
    assert PublishedFile("a.pth", "", "", "").digits == "" == PublishedFile("a_20210617.pth", "", "", "").digits
    assert PublishedFile("a-20210617.pth", "", "", "", sha256="ab").digits == "ab"
    rows = table_of_files().splitlines()
    assert len(rows) == 2 + len(PUBLISHED)
    assert any("address unknown" in row and row.endswith("| unknown |") for row in rows)


def test_the_page_has_the_list_of_today():
    page = (ROOT / "docs" / "model_zoo.md").read_text()
    assert page == files_page(page), "docs/model_zoo.md is out of date: run python tools/zoo.py docs"
    assert published.BEGIN in page


# ------------------------------------------------------------------------------------------------------------- a copy
def test_a_name_is_fetched_once(weights, monkeypatch):
    with serving(weights.parent) as address:
        listed(monkeypatch, name=weights.name, address=f"{address}/{weights.name}")
        for _ in range(2):
            assert load_checkpoint(weights.name)["model_state"].keys()
        assert Quiet.asked == [f"/{weights.name}"]
    assert checkpoint_hash(weights.name)[:8] == weights.name[5:13]  # from the copy


def test_a_file_at_hand_goes_before_it(weights, monkeypatch, tmp_path):
    listed(monkeypatch, name=weights.name, address="http://127.0.0.1:9/x")
    (tmp_path / weights.name).write_bytes(b"mine")
    assert local_path(weights.name) == weights.name


def test_one_that_was_put_there_by_hand(weights, monkeypatch):
    listed(monkeypatch, name=weights.name)
    published_folder().mkdir(parents=True)
    copy = published_folder() / weights.name
    copy.write_bytes(weights.read_bytes())
    assert local_path(weights.name) == str(copy)
    copy.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(
        RemoteError, match=rf"^is damaged, .* of the published file with {weights.name[5:13]}; put the ri"
    ):
        local_path(weights.name)


def test_another_file_at_the_address_is_found_out(weights, monkeypatch):
    with serving(weights.parent) as address:
        listed(monkeypatch, name=weights.name, address=f"{address}/{weights.name}", sha256="0" * 64)
        with pytest.raises(
            RemoteError, match="is damaged, or another file: the SHA-256 of .* delete that copy to fetch"
        ):
            local_path(weights.name)


# ------------------------------------------------------------------------------------------------------- from the command
def unreachable() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/x.pth"


def test_a_run_starts_from_a_name_and_warns_of_what_it_lacks(weights, monkeypatch, tmp_path):
    small = "SOLVER.MAX_EPOCH 1 TEST.ENABLE False UNIFORMER.DEPTH [1,1,2,1]".split()
    places = ["DATA.PATH_TO_DATA_DIR", str(tmp_path / "demo"), "OUTPUT_DIR", str(tmp_path / "out")]
    with serving(weights.parent) as address:
        listed(monkeypatch, name=weights.name, address=f"{address}/{weights.name}")
        done = run_here(*TINY, *small, *places, "TRAIN.CHECKPOINT_FILE_PATH", weights.name)
    assert done.returncode == 0, done.stderr
    assert f"Fine-tuning from {weights.name}" in done.stdout
    text = (tmp_path / "out" / "stdout.log").read_text()
    warned = [line for line in text.splitlines() if "WARNING" in line]
    assert any("of the network's" in line and "blocks3.1." in line for line in warned), text
    tested = [*TINY, *places, "TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", weights.name]
    done = run_here(*tested, "OUTPUT_DIR", str(tmp_path / "test"))  # from the copy, without a server
    assert done.returncode == 0, done.stderr
    assert f"Testing {weights.name}: 100.0 %" in done.stdout


@pytest.mark.parametrize("stage", ["TRAIN", "TEST"])
def test_without_a_net_one_line_says_which_file_to_put_where(stage, monkeypatch, tmp_path):
    pairs = [*TINY, "OUTPUT_DIR", str(tmp_path / "out"), "DATA.PATH_TO_DATA_DIR", str(tmp_path / "demo")]
    pairs += ["TRAIN.ENABLE", str(stage == "TRAIN")]
    where = published_folder()
    for name, address in (("far.pth", unreachable()), ("nowhere.pth", "")):
        listed(monkeypatch, name=name, address=address)
        done = run_here(*pairs, f"{stage}.CHECKPOINT_FILE_PATH", name)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        line = done.stderr.strip().splitlines()[-1]
        assert f"{stage}.CHECKPOINT_FILE_PATH '{name}'" in line and line.endswith(f"put it to {where / name}")
        assert ("cannot be fetched: " in line) == bool(address)
        assert "example/zoo" in line or f"get {address} and" in line
