"""The two loops on toy batches: what they call, in which order, with which numbers."""

import contextlib

import pytest
import torch
from torch import nn
from toy_loader import Choosing, Echo, ToyLoader

from fragrant.engine.meter import Average, TrainMeter
from fragrant.engine.train import train_one_epoch
from fragrant.logs import RunLog
from fragrant.metrics import ScoreError
from fragrant.objectives import Classify
from fragrant.optim.step import Stepper
from fragrant.runtime.evaluate import score_videos

CPU = torch.device("cpu")


def score(loader: ToyLoader, num_videos: int, model: nn.Module | None = None, clips_per_forward: int = 4):
    return score_videos(
        model or Echo(),
        loader,
        num_videos=num_videos,
        num_classes=3,
        clips_per_forward=clips_per_forward,
        prepare=lambda clips: clips,
        autocast=contextlib.nullcontext,
        device=CPU,
    )


@pytest.mark.parametrize("ids", [[], [0], [3, 0, 6, 1, 5, 2, 4]], ids=len)
@pytest.mark.parametrize("views", [1, 6])
def test_every_video_is_scored_once_in_list_order(ids, views):
    table = score(ToyLoader(ids, views=views), len(ids))
    assert table.logits.shape == (len(ids), views, 3) and table.labels.tolist() == [i % 3 for i in range(len(ids))]
    for video in range(len(ids)):
        assert table.logits[video, :, 0].tolist() == pytest.approx(
            [video + 0.1 * view for view in range(views)], abs=1e-5
        )


@pytest.mark.parametrize("ids", [[], [4, 0, 2, 1, 3]], ids=len)
def test_what_the_model_chose_is_there_for_every_view(ids):
    table = score(ToyLoader(ids, views=3), len(ids), Choosing())
    plain = score(ToyLoader(ids, views=3), len(ids))
    assert torch.equal(table.logits, plain.logits) and plain.choices == {}
    assert table.choices["large"].tolist() == [[0.0] * 3, [0.0] * 3, [0.0] * 3, [1.0] * 3, [1.0] * 3][: len(ids)]
    assert table.choices["large"].shape == (len(ids), 3)


class Sharing(ToyLoader):
    """Six views, of which only two differ."""

    def __iter__(self):
        for batch in super().__iter__():
            yield batch._replace(clips=batch.clips[:, :2], views=torch.tensor([[0, 1, 1, 0, 0, 1]] * len(batch.ids)))


def test_equal_views_share_what_was_chosen():
    class Odd(Choosing):
        def score(self, clips):
            return self(clips), {"large": clips.flatten(1)[:, 0] % 1 > 0.05}

    assert score(Sharing([0, 1], views=6), 2, Odd()).choices["large"].tolist() == [[0.0, 1.0, 1.0, 0.0, 0.0, 1.0]] * 2


def test_views_that_share_a_clip_are_scored_once():
    model = Echo()
    table = score(Sharing([0, 1, 2], views=6), 3, model)
    assert sum(model.sizes) == 6
    for video in range(3):
        assert table.logits[video, :, 0].tolist() == pytest.approx(
            [video + 0.1 * clip for clip in (0, 1, 1, 0, 0, 1)], abs=1e-5
        )


def test_the_memory_of_a_forward_pass_is_bounded():
    model = Echo()
    score(ToyLoader([0, 1, 2], views=6), 3, model, clips_per_forward=5)
    assert max(model.sizes) == 5 and sum(model.sizes) == 18 and not any(model.modes)


@pytest.mark.parametrize(
    "ids, message", [([0, 2], "1 missing (ids 1)"), ([0, 1, 1, 2], "1 scored more than once (ids 1)")]
)
def test_a_wrong_set_of_videos_is_an_error(ids, message):
    with pytest.raises(ScoreError) as error:
        score(ToyLoader(ids), 3)
    assert message in str(error.value)


def test_an_epoch(tmp_path):
    """Learning rates follow the fractional epoch, every view is a sample, the objective hears of every step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(3, 3))
    steps, prepared = [], []

    class Watched(Classify):
        def after_step(self):
            steps.append(optimizer.param_groups[0]["lr"])

    objective = Watched(model)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    loader = ToyLoader(list(range(7)), views=2)
    stepper = Stepper(objective, optimizer, scaler=torch.amp.GradScaler("cpu", enabled=False), clip_norm=1.0)
    with RunLog(tmp_path) as log:
        meter = TrainMeter(log, epoch=3, max_epoch=5, period=2, device=CPU)
        train_one_epoch(
            objective,
            loader,
            stepper,
            meter,
            epoch=3,
            lr_at=lambda epoch: epoch / 100,
            prepare=lambda clips, ids, epoch: prepared.append((len(clips), ids, epoch)) or clips.float(),
            autocast=contextlib.nullcontext,
            device=CPU,
        )
    assert loader.epoch == 3
    assert prepared == [(2 * len(ids), ids, 3) for ids in ([0, 1], [2, 3], [4, 5], [6])]
    assert steps == pytest.approx([0.03, 0.0325, 0.035, 0.0375])
    lines = (tmp_path / "stdout.log").read_text().splitlines()
    assert len(lines) == 3
    for line, part in zip(lines, ('"iter": "2/4"', '"iter": "4/4"', '"_type": "train_epoch"'), strict=True):
        assert part in line


def test_averages_leave_out_what_is_not_finite():
    average = Average()
    average.add({"loss": torch.tensor(1.0)}, weight=3)
    average.add({"loss": torch.tensor(float("nan"))}, weight=3)
    average.add({"loss": torch.tensor(2.0)}, weight=1)
    assert average.read() == {"loss": 1.25}
    average.reset()
    average.add({"loss": torch.tensor(float("inf"))}, weight=3)
    assert average.read()["loss"] != average.read()["loss"]
