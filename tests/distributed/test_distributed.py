"""Meeting, exchanging and parting, with real processes."""

import contextlib
import socket
import time

import pytest
import torch
from forked import warm_context

from fragrant import distributed
from fragrant.distributed import Environment, agent_is_gone, free_address, joined
from fragrant.errors import RunStopped, UserError
from fragrant.runtime.evaluate import score_videos


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("n", [0, 1, 7, 8])
def test_shards_hold_everything_once(n, world_size):
    shards = [list(distributed.shard(n, rank, world_size)) for rank in range(world_size)]
    assert sum(shards, []) == list(range(n))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_alone_everything_is_the_identity():
    x = torch.arange(3.0)
    assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
    assert distributed.mean_over_ranks(x) is x
    assert distributed.gather_rows(x) is x
    assert distributed.sum_over_ranks(x) is x
    assert distributed.any_rank(True) and not distributed.any_rank(False)
    assert distributed.gather_objects("x") == ["x"] and distributed.from_main(lambda: 3) == 3
    with joined(Environment(), backend="nonsense", timeout=1):
        assert not distributed.is_started()


class Videos:
    """The loader of one rank: videos whose only pixel is their number, in two views."""

    num_views, skipped = 2, {}

    def __init__(self, num_videos: int):
        self.ids = list(distributed.shard(num_videos, distributed.rank(), distributed.world_size()))

    def __iter__(self):
        from toy_loader import ToyLoader

        return iter(ToyLoader(self.ids, views=2))


def _check_exchange(rank: int, world_size: int) -> None:
    mine = torch.full((rank + 1, 2), float(rank))  # ranks hold different numbers of rows
    assert distributed.gather_rows(mine).tolist() == [[float(r)] * 2 for r in range(world_size) for _ in range(r + 1)]
    # an empty shard
    assert len(distributed.gather_rows(mine[: 2 * rank])) == sum(min(2 * r, r + 1) for r in range(world_size))
    assert distributed.mean_over_ranks(torch.tensor(float(rank))).item() == (world_size - 1) / 2
    assert distributed.any_rank(rank == 1) and not distributed.any_rank(False)
    assert distributed.gather_objects({"rank": rank}) == [{"rank": r} for r in range(world_size)]
    buffer = torch.tensor(rank)
    distributed.copy_from_main([buffer])
    assert buffer == 0


def _check_from_main(rank: int) -> None:
    def wrong():
        raise UserError("lists/train.csv: missing")

    made = []
    assert distributed.from_main(lambda: made.append(rank) or "read") == "read" and made == [0][: 1 - min(rank, 1)]
    with pytest.raises(UserError, match="lists/train.csv: missing"):
        distributed.from_main(wrong)


def _check_scores(num_videos: int) -> None:
    from toy_loader import Choosing

    options = dict(num_videos=num_videos, num_classes=3, clips_per_forward=4, prepare=lambda clips: clips)
    table = score_videos(
        Choosing(), Videos(num_videos), autocast=contextlib.nullcontext, device=torch.device("cpu"), **options
    )
    assert table.logits.shape == (num_videos, 2, 3) and table.labels.tolist() == [i % 3 for i in range(num_videos)]
    # known also to ranks without a video
    assert table.choices["large"].tolist() == [[float(video >= 3)] * 2 for video in range(num_videos)]
    for video in range(num_videos):
        assert table.logits[video, :, 0].tolist() == pytest.approx([video, video + 0.1], abs=1e-5)


def _process(rank: int, addresses: dict[int, str]) -> None:
    """Groups of two, three and four processes, one after another."""
    torch.set_num_threads(1)
    for world_size, address in addresses.items():
        if rank < world_size:
            with joined(Environment(rank, world_size, address=address), backend="gloo", timeout=60):
                _check_exchange(rank, world_size)
                _check_from_main(rank)
                for num_videos in (0, 1, 7):
                    _check_scores(num_videos)


def test_two_three_and_four_processes(tmp_path):
    """What the processes assert; start_processes raises where one of them fails."""
    addresses = {2: free_address(), 3: f"file://{tmp_path / 'meet'}", 4: free_address()}
    warm_context()
    torch.multiprocessing.start_processes(_process, args=(addresses,), nprocs=4, start_method="forkserver")


def test_missing_ranks_are_named():
    began = time.monotonic()
    message = r"1 of 3 ranks met at tcp://localhost:\d+ within 0.5 s \(DIST.TIMEOUT\); missing: rank 1, 2"
    with pytest.raises(RunStopped, match=message):
        with joined(Environment(0, 3, address=free_address()), backend="gloo", timeout=0.5):
            pass
    assert time.monotonic() - began < 20


def test_a_missing_rank_0_is_named():
    with pytest.raises(
        RunStopped, match=r"rank 1 found nobody at tcp://localhost:\d+ within 1 s \(DIST.TIMEOUT\); missing: rank 0"
    ):
        with joined(Environment(1, 2, address=free_address()), backend="gloo", timeout=1):
            pass


def test_the_same_rank_twice(tmp_path):
    """A file that was used before, or two machines with the same --shard_id."""
    environment = Environment(1, 2, address=f"file://{tmp_path / 'meet'}")
    store = torch.distributed.PrefixStore("0", torch.distributed.FileStore(str(tmp_path / "meet"), 2))
    store.add("here/1", 1)
    with pytest.raises(UserError, match="rank 1 is there twice at file:.*: give every machine its own --shard_id"):
        with joined(environment, backend="gloo", timeout=1):
            pass


@pytest.mark.parametrize("address", ["localhost:1234", "tcp://localhost", "tcp://localhost:many", "http://localhost:1"])
def test_an_address_that_is_none(address):
    with pytest.raises(
        UserError, match=f"rendezvous '{address}' is not understood; allowed: tcp://host:port or file:///a/new/file"
    ):
        with joined(Environment(0, 2, address=address), backend="gloo", timeout=1):
            pass


def test_a_port_that_is_taken():
    taken = torch.distributed.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    with pytest.raises(UserError, match=f"rank 0 cannot open tcp://localhost:{taken.port}"):
        with joined(Environment(0, 2, address=f"tcp://localhost:{taken.port}"), backend="gloo", timeout=1):
            pass


def test_an_agent_that_ended_before_its_processes_looked():
    """They can no longer see who started them; at the address of its store nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = Environment(0, 2, 0, 2, f"tcp://127.0.0.1:{server.getsockname()[1]}", store_is_up=True)
        assert not agent_is_gone(place, patience=0.1)
    assert agent_is_gone(place, patience=0.1)
    assert not agent_is_gone(place._replace(store_is_up=False))  # rank 0 opens it later
    assert not agent_is_gone(place._replace(address="tcp://127.0.0.1:x"))  # the rendezvous says what is wrong
