"""Layers: the blocks that models are made of, one per file; torch only."""
