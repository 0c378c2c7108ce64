"""A run of MLflow. MLFLOW_TRACKING_URI says where; without it the runs lie in OUTPUT_DIR/mlruns."""

import math
import os
import time
from collections.abc import Mapping
from typing import Any

from fragrant.trackers.tracker import TRACKERS, Begin

MOST_AT_ONCE = 100  # values that a server takes in one call
LONGEST_VALUE = 6000  # letters of a parameter; 5000 of a tag
OWN_STORE = {"MLFLOW_ALLOW_FILE_STORE": "true"}  # newer versions want to be asked for a folder as store


@TRACKERS.register("mlflow")
class MlflowRun:
    """See ``Tracker``. Through the client alone: nothing of MLflow's global state is touched."""

    package = "mlflow"

    def __init__(self, begin: Begin):
        uri = os.environ.get("MLFLOW_TRACKING_URI") or ""
        if not uri:
            uri = (begin.folder / "mlruns").resolve().as_uri()
            for name, value in OWN_STORE.items():
                os.environ.setdefault(name, value)
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.tracking import MlflowClient

        self._metric, self._tag = Metric, RunTag
        self._client: Any = MlflowClient(tracking_uri=uri)
        if begin.run_id:
            self.run_id = begin.run_id
            experiment = self._client.get_run(self.run_id).info.experiment_id
            self._client.set_terminated(self.run_id, status="RUNNING")
        else:
            found = self._client.get_experiment_by_name(begin.project)
            experiment = found.experiment_id if found else self._client.create_experiment(begin.project)
            self.run_id = self._client.create_run(experiment, run_name=begin.name).info.run_id
            params = [Param(name, str(value)[:LONGEST_VALUE]) for name, value in begin.config.items()]
            for first in range(0, len(params), MOST_AT_ONCE):  # of a run that goes on they may not change
                self._client.log_batch(self.run_id, params=params[first : first + MOST_AT_ONCE])
        is_server = uri.startswith("http")
        self.link = f"{uri.rstrip('/')}/#/experiments/{experiment}/runs/{self.run_id}" if is_server else uri

    def _metrics(self, values: Mapping[str, object], step: int) -> list:
        now = int(1000 * time.time())
        numbers = {n: v for n, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        return [self._metric(n, float(v), now, step) for n, v in numbers.items() if math.isfinite(v)]

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._client.log_batch(self.run_id, metrics=self._metrics(values, step))

    def result(self, values: Mapping[str, object]) -> None:
        named = {f"test/{name}": value for name, value in values.items()}
        tags = [self._tag(name, str(value)[:5000]) for name, value in named.items() if isinstance(value, str)]
        epoch = values.get("epoch")
        step = epoch if isinstance(epoch, int) else 0
        self._client.log_batch(self.run_id, metrics=self._metrics(named, step), tags=tags)

    def close(self, *, failed: bool) -> None:
        self._client.set_terminated(self.run_id, status="FAILED" if failed else "FINISHED")
