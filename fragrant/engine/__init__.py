"""Runs: training, testing, and everything that a checkpoint holds."""
