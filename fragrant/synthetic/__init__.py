"""Synthetic videos drawn from a seed: figures that do an action in dark rooms."""
