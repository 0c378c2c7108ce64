"""A trained model at work: on videos, on long videos part by part, and as a file for other programs."""
