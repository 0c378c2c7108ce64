"""The learning-rate finder: the training loop's own step, at a rate that rises until the loss breaks away."""
