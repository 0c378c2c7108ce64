"""Inference with a trained model: on videos, on long videos part by part, and as an exported file for other
programs."""
