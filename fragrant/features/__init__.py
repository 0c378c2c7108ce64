"""Frozen features: a fixed network turns videos into vectors, a small classifier learns from those."""

from fragrant.features.build import build_features, build_study, compare_rows, own_output_dir
from fragrant.features.table import FeatureTable

__all__ = ["FeatureTable", "build_features", "build_study", "compare_rows", "own_output_dir"]
