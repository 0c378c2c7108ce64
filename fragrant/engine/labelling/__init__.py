"""Pseudo-labels of an unlabelled list."""
