"""Benchmarks of time and memory, each beside the plain or the published form in the same run."""
