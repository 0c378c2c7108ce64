"""Trackers: services that people follow their runs with (Weights & Biases, MLflow), behind one small interface."""

from fragrant.trackers.tracker import TRACKERS, Begin, Tracker

__all__ = ["TRACKERS", "Begin", "Tracker"]
