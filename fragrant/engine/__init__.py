"""Runs: the loops, their assembly from a config, launching."""
