"""The batches of an epoch: order, ranks, workers, errors."""

import os
import re
import signal
import threading

import pytest
import torch
from make_video import encode

from fragrant.data.clips import ClipDataset
from fragrant.data.lists.records import read_list
from fragrant.data.loader import ClipLoader, EvaluationBatches, TrainBatches
from fragrant.data.transforms.view_transforms import EvaluationTransform, TrainTransform
from fragrant.data.views import evaluation_plan, train_plan
from fragrant.errors import RunStopped


def batches_of(sampler, epoch=0):
    sampler.epoch = epoch
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert {key[0] for batch in batches for key in batch} <= {epoch if isinstance(sampler, TrainBatches) else 0}
    return [[video_id for _, video_id in batch] for batch in batches]


def test_training_order_is_a_function_of_seed_and_epoch():
    first = batches_of(TrainBatches(20, batch_size=4, seed=1), epoch=3)
    assert first == batches_of(TrainBatches(20, batch_size=4, seed=1), epoch=3)
    assert first != batches_of(TrainBatches(20, batch_size=4, seed=1), epoch=4)
    assert first != batches_of(TrainBatches(20, batch_size=4, seed=2), epoch=3)
    assert sorted(sum(first, [])) == list(range(20))


@pytest.mark.parametrize(
    "num_videos, batch_size, sizes",
    [(20, 4, [4] * 5), (22, 4, [4] * 5), (4, 4, [4]), (3, 4, [3]), (1, 64, [1])],
)
def test_only_full_batches_but_at_least_one(num_videos, batch_size, sizes):
    batches = batches_of(TrainBatches(num_videos, batch_size=batch_size, seed=0))
    assert [len(batch) for batch in batches] == sizes
    assert len(set(sum(batches, []))) == sum(sizes)


@pytest.mark.parametrize("num_videos", [8, 17, 24])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_a_training_batch_is_the_same_on_any_number_of_ranks(num_videos, world_size):
    alone = batches_of(TrainBatches(num_videos, batch_size=8, seed=5), epoch=2)
    ranks = [
        batches_of(
            TrainBatches(num_videos, batch_size=8 // world_size, seed=5, rank=rank, world_size=world_size), epoch=2
        )
        for rank in range(world_size)
    ]
    assert [sum(parts, []) for parts in zip(*ranks, strict=True)] == alone


@pytest.mark.parametrize("num_videos, world_size", [(1, 2), (3, 4), (5, 4), (7, 3)])
def test_ranks_of_a_short_list_have_equally_many_equally_large_batches(num_videos, world_size):
    ranks = [
        batches_of(TrainBatches(num_videos, batch_size=8, seed=0, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    assert len({tuple(len(batch) for batch in rank) for rank in ranks}) == 1
    assert all(rank and rank[0] for rank in ranks)


@pytest.mark.parametrize("num_videos", [0, 1, 7, 12])
@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_every_test_video_exactly_once(num_videos, world_size):
    ranks = [
        batches_of(EvaluationBatches(num_videos, batch_size=2, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    assert sum((sum(rank, []) for rank in ranks), []) == list(range(num_videos))
    assert all(len(batch) <= 2 for rank in ranks for batch in rank)


# --------------------------------------------------------------------------------------------------------- whole loader
@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for number in range(5):
        encode(folder / f"{number}.mp4", 20 + number, seed=number)
    (folder / "list.txt").write_text("".join(f"{number}.mp4 {number % 3}\n" for number in range(5)))
    return folder


def train_loader(folder, num_workers, name="list.txt", **options):
    records = read_list(folder / name)
    transform = TrainTransform(crop_size=32, jitter_scales=(32, 40))
    dataset = ClipDataset(records, train_plan(length=4, stride=3), transform, seed=7, replace=True)
    return ClipLoader(dataset, TrainBatches(len(records), batch_size=2, seed=7), num_workers=num_workers, **options)


def two_epochs(loader):
    batches = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        batches += list(loader)
    return batches


def test_the_number_of_workers_changes_nothing(folder):
    expected = two_epochs(train_loader(folder, 0))
    assert len(expected) == 4
    assert not torch.equal(expected[0].clips, expected[2].clips)
    for num_workers in (1, 4):
        for batch, other in zip(expected, two_epochs(train_loader(folder, num_workers)), strict=True):
            torch.testing.assert_close(tuple(other), tuple(batch), rtol=0, atol=0, equal_nan=True)
            assert other.clips.flatten(0, 1).is_contiguous(memory_format=torch.channels_last_3d)


def test_an_epoch_left_early_does_not_disturb_the_next(folder):
    loader, expected = train_loader(folder, 1), two_epochs(train_loader(folder, 0))
    loader.set_epoch(0)
    next(iter(loader))
    assert all(torch.equal(a.clips, b.clips) for a, b in zip(two_epochs(loader), expected, strict=True))


def test_reading_draws_nothing_from_the_generator_of_the_model(folder):
    loader = train_loader(folder, 1)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_all_views_of_all_videos_in_order(folder):
    records = read_list(folder / "list.txt")
    dataset = ClipDataset(
        records,
        evaluation_plan(length=4, stride=2, clips=2, crops=3),
        EvaluationTransform(crop_size=32, short_side=32),
        seed=0,
    )
    batches = list(ClipLoader(dataset, EvaluationBatches(5, batch_size=2), num_views=6))
    assert [batch.ids.tolist() for batch in batches] == [[0, 1], [2, 3], [4]]
    assert [batch.labels.tolist() for batch in batches] == [[0, 1], [2, 0], [1]]
    assert batches[2].clips.shape == (1, 6, 3, 4, 32, 32)


# ---------------------------------------------------------------------------------------------------- unreadable videos
@pytest.fixture(scope="module")
def torn(folder):
    (folder / "torn.mp4").write_bytes((folder / "0.mp4").read_bytes()[:300])
    (folder / "bad.txt").write_text("0.mp4 0\n\n# cut off by hand\ntorn.mp4 2\n1.mp4 2\n3.mp4 1\n")
    return f"video '{folder}/torn.mp4' cannot be read: Invalid data found when processing input ({folder}/bad.txt:4)"


@pytest.mark.parametrize("num_workers", [0, 2])
def test_in_training_an_unreadable_video_is_replaced_and_named(folder, torn, num_workers):
    loader = train_loader(folder, num_workers, "bad.txt", max_bad_fraction=0.25)
    for epoch in range(2):
        loader.set_epoch(epoch)
        batches = list(loader)
        assert sorted(torch.cat([batch.ids for batch in batches]).tolist()) == [0, 2, 2, 3]
        assert loader.skipped == {1: torn}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_too_many_unreadable_videos_stop_the_run_in_one_line(folder, torn, num_workers):
    message = f"1 of 4 training videos cannot be read, more than DATA.MAX_BAD_FRACTION 0.2 allows; the last: {torn}"
    with pytest.raises(RunStopped, match=f"^{re.escape(message)}$"):
        list(train_loader(folder, num_workers, "bad.txt", max_bad_fraction=0.2))


def test_an_unreadable_class_stops_the_run(folder, torn):
    (folder / "lonely.txt").write_text("0.mp4 0\ntorn.mp4 1\n")
    with pytest.raises(
        RunStopped,
        match="^a training video cannot be read, nor any of its class that were tried in its place; the last: ",
    ):
        list(train_loader(folder, 0, "lonely.txt"))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_in_a_test_an_unreadable_video_is_left_out_and_named(folder, torn, num_workers, batch_size):
    records = read_list(folder / "bad.txt")
    dataset = ClipDataset(
        records, evaluation_plan(length=4, stride=2), EvaluationTransform(crop_size=32, short_side=32), seed=0
    )
    loader = ClipLoader(
        dataset, EvaluationBatches(4, batch_size=batch_size), num_workers=num_workers, max_bad_fraction=0.0
    )
    for _ in range(2):
        assert torch.cat([batch.ids for batch in loader]).tolist() == [0, 2, 3]
        assert loader.skipped == {1: torn}


def test_no_more_workers_than_batches(folder):
    assert train_loader(folder, 8).num_workers == 2


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_for_a_gpu_are_pinned_in_order_and_errors_come_through(folder, torn, num_workers, monkeypatch):
    """The thread that copies them; without a GPU the copy itself is left out."""
    pins = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr("fragrant.data.clips.Loaded.pin", lambda loaded: pins.append(loaded) or loaded)
    expected = two_epochs(train_loader(folder, 0))
    loader = train_loader(folder, num_workers, pin_memory=True)
    assert all(torch.equal(a.clips, b.clips) for a, b in zip(two_epochs(loader), expected, strict=True))
    assert len(pins) == 4
    next(iter(loader))  # left early
    assert all(torch.equal(a.clips, b.clips) for a, b in zip(two_epochs(loader), expected, strict=True))
    with pytest.raises(RunStopped, match="^1 of 4 training videos cannot be read"):
        list(train_loader(folder, num_workers, "bad.txt", pin_memory=True, max_bad_fraction=0.2))
    stopped = train_loader(folder, 1, pin_memory=True, timeout=1.0)
    stopped.dataset.plan = lambda *_, **__: os.kill(os.getpid(), signal.SIGSTOP)
    if num_workers:
        with pytest.raises(RunStopped, match=r"is stopped \(SIGSTOP\): no sign of it for 1 s .* video '.*mp4'"):
            list(stopped)
    assert "pinning" not in [thread.name for thread in threading.enumerate()]
