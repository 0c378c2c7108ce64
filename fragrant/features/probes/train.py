"""Trains probes with several learning rates and weight decays at once: the tokens are read once for all of them."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fragrant.features.probes.tokens import Sample, TokenTable
from fragrant.layers.probe import Probe

BETAS, EPSILON = (0.9, 0.999), 1e-8  # torch.optim.AdamW's


class Trial(NamedTuple):
    """What a choice is made of."""

    lr: float
    weight_decay: float


class Schedule(NamedTuple):
    """How long probes are trained; the learning rate falls to 0 along half a cosine, as V-JEPA's.

    Attributes:
        batch_size: views per step.
    """

    epochs: int
    batch_size: int


MakeProbe = Callable[..., Probe]  # (num_features, *, count) -> probes beside each other


class AdamWOfRows:
    """AdamW (Loshchilov and Hutter 2019) where each row of every parameter has a learning rate and a weight decay of
    its own: the same numbers as one ``torch.optim.AdamW`` per row. Biases do not decay."""

    def __init__(self, probe: Probe, trials: Sequence[Trial]):
        self.parameters = [(parameter, name != "bias") for name, parameter in probe.named_parameters()]
        device = probe.bias.device
        self.lrs = torch.tensor([trial.lr for trial in trials], device=device)
        self.decays = torch.tensor([trial.weight_decay for trial in trials], device=device)
        self.moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p, _ in self.parameters]
        self.steps = 0

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """One step with ``factor`` of every learning rate; forgets the gradients."""
        self.steps += 1
        first, second = BETAS
        of_mean, of_square = 1 - first**self.steps, 1 - second**self.steps
        for (parameter, decays), (mean, square) in zip(self.parameters, self.moments, strict=True):
            assert parameter.grad is not None
            lrs = (factor * self.lrs).view(-1, *[1] * (parameter.ndim - 1))
            if decays:
                parameter.mul_(1 - lrs * self.decays.view(lrs.shape))
            mean.lerp_(parameter.grad, 1 - first)
            square.mul_(second).addcmul_(parameter.grad, parameter.grad, value=1 - second)
            parameter.sub_(mean.mul(lrs / of_mean).div_(square.div(of_square).sqrt_().add_(EPSILON)))
            parameter.grad = None


def train_probes(
    table: TokenTable,
    videos: Sequence[int],
    make: MakeProbe,
    trials: Sequence[Trial],
    *,
    schedule: Schedule,
    seed: int,
    device: torch.device,
) -> Probe:
    """Trains one probe per trial on all views of these videos; all begin with the same weights and see the same
    batches, which follow from ``seed`` alone. For a linear probe a table has one token per view, ``table.pooled()``."""
    random = torch.Generator().manual_seed(seed)
    probe = make(table.num_features, count=len(trials)).reset(random)
    probe.mean, probe.deviation = moments(table, table.samples(videos), schedule.batch_size)
    ready = table.each(probe.prepare, videos)
    probe.to(device)
    optimizer = AdamWOfRows(probe, trials)
    steps = schedule.epochs * math.ceil(len(videos) * table.views / schedule.batch_size)
    for number, samples in enumerate(_batches(table, videos, schedule, random)):
        labels = torch.as_tensor([int(table.labels[video]) for video, _ in samples], device=device)
        logits = probe.classify(*ready.batch(samples, device))  # (P, N, K)
        losses = F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(trials)), reduction="none")
        (losses.sum() / len(labels)).backward()  # the mean of each probe: they share no weight
        optimizer.step((1 + math.cos(math.pi * number / steps)) / 2)
    return probe.requires_grad_(False)


def _batches(
    table: TokenTable, videos: Sequence[int], schedule: Schedule, random: torch.Generator
) -> Iterator[list[Sample]]:
    samples = table.samples(videos)
    for _ in range(schedule.epochs):
        for batch in torch.randperm(len(samples), generator=random).split(schedule.batch_size):
            yield [samples[at] for at in batch.tolist()]


def moments(table: TokenTable, samples: Sequence[Sample], batch_size: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every feature over all tokens of these views: (D,) and (D,) float32."""
    count, total, square = 0, torch.zeros(table.num_features), torch.zeros(table.num_features)
    total, square = total.double(), square.double()
    for at in range(0, len(samples), batch_size):
        tokens, present = table.batch(samples[at : at + batch_size], torch.device("cpu"))
        rows = (tokens.flatten(0, 1) if present is None else tokens[present]).double()
        count += len(rows)
        total += rows.sum(0)
        square += rows.square().sum(0)
    mean = total / count
    return mean.float(), (square / count - mean.square()).clamp_min(0).sqrt().float()


@torch.inference_mode()
def score_probes(
    probe: Probe, table: TokenTable, videos: Sequence[int], *, batch_size: int, device: torch.device
) -> Tensor:
    """Logits of all views of these videos: (P, n, V, K) on the CPU."""
    samples = table.samples(videos)
    parts = [
        probe(*table.batch(samples[at : at + batch_size], device)).cpu() for at in range(0, len(samples), batch_size)
    ]
    return torch.cat(parts, 1).unflatten(1, (len(videos), table.views))
