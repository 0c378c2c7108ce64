"""Adaptation as a part of a run: what is measured on which videos, and what the numbers then are called."""
