"""Probes: small classifiers of the frozen tokens of a network, trained in minutes."""

from fragrant.features.probes.build import extract_tokens, probe_videos
from fragrant.features.probes.report import trial_lines

__all__ = ["extract_tokens", "probe_videos", "trial_lines"]
