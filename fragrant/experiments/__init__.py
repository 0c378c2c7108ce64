"""Experiments of several runs: the same command with other seeds, folds or values, and what comes of them together."""
