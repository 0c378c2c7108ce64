import pytest
import torch

from fragrant import distributed


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


def _two_ranks(rank: int, file: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    mine = torch.full((rank + 1, 2), float(rank))  # ranks hold different numbers of rows
    assert distributed.gather_rows(mine).tolist() == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    assert distributed.gather_rows(mine[: 2 * rank]).tolist() == [[1.0, 1.0], [1.0, 1.0]]  # an empty shard
    assert distributed.mean_over_ranks(torch.tensor(float(rank))).item() == 0.5
    torch.distributed.destroy_process_group()


def test_two_processes_gather_and_average(tmp_path):
    torch.multiprocessing.spawn(_two_ranks, args=(str(tmp_path / "store"),), nprocs=2)
