"""What a tracker is: the interface that every service is put behind, and the table of those that are known."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from fragrant.registry import Registry

TRACKERS = Registry("LOG.TRACKERS", keys=("LOG.TRACKERS",))  # name -> class with what TrackerClass says
STEPS = "Train/"  # scalars of this name are counted in steps, all others in epochs


class Begin(NamedTuple):
    """What a tracker is told at the start of a run.

    Attributes:
        folder: OUTPUT_DIR; what the service keeps on this machine goes there.
        project: the runs that belong together.
        name: of the run, for people.
        config: every key with its value.
        run_id: the run of the service that goes on; "" = a new one.
    """

    folder: Path
    project: str
    name: str
    config: Mapping[str, object]
    run_id: str = ""


class Tracker(Protocol):
    """A run of a service, made from a ``Begin``. Every method may fail and may take long: ``Quiet`` stands before it.

    Attributes:
        run_id: the name by which the service takes the run up again.
        link: where people find it: an address, or a folder; "" = the service does not say.
    """

    run_id: str
    link: str

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Numbers of a moment: those called ``Train/...`` of a step of the run, all others of an epoch."""

    def result(self, values: Mapping[str, object]) -> None:
        """What a test has found: numbers, and texts that belong to them; "epoch" is that of the weights, where it is
        known."""

    def close(self, *, failed: bool) -> None:
        """The run has ended; ``failed``: with an error."""
