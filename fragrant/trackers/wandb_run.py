"""A run at Weights & Biases. Its own variables say where and how: WANDB_MODE=offline, WANDB_API_KEY, WANDB_ENTITY."""

import uuid
from collections.abc import Mapping
from typing import Any

from fragrant.trackers.tracker import STEPS, TRACKERS, Begin

OF_EPOCHS = ("Epoch/*", "Val/*", "Test/*")


@TRACKERS.register("wandb")
class WandbRun:
    """See ``Tracker``. A run that goes on keeps its curves: every number carries its step or epoch with it."""

    package = "wandb"

    def __init__(self, begin: Begin):
        import wandb

        self.run_id = begin.run_id or uuid.uuid4().hex[:8]  # made here: a server that does not answer knows none
        self._run: Any = wandb.init(
            project=begin.project,
            name=begin.name,
            id=self.run_id,
            resume="allow",
            dir=str(begin.folder),
            config=dict(begin.config),
            settings=wandb.Settings(console="off", silent=True),
        )
        self.link = str(getattr(self._run, "url", None) or getattr(self._run, "dir", ""))
        self._run.define_metric(f"{STEPS}*", step_metric="step")
        for names in OF_EPOCHS:
            self._run.define_metric(names, step_metric="epoch")

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        axis = "step" if all(name.startswith(STEPS) for name in values) else "epoch"
        self._run.log({**values, axis: step})

    def result(self, values: Mapping[str, object]) -> None:
        self._run.summary.update({f"test/{name}": value for name, value in values.items()})

    def close(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))
