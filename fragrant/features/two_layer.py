"""The two-layer network of the report "Human action recognition in the dark": a small classifier of feature vectors."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HIDDEN, DROPOUT, BASE_LR, BATCH_SIZE = 500, 0.5, 1e-3, 4
LR_RULES = ("step", "epoch", "constant")


def lr_factor(count: int) -> float:
    """Factor of the learning rate after ``count`` steps, or epochs: a ramp from 1 to 10, then 0.8, then 0.5, as
    published."""
    if count < 30:
        return 1 + 9 * count / 30
    return 0.8 if count < 40 else 0.5


class TwoLayer:
    """The two-layer classifier: Linear(D, 500), ReLU, dropout 0.5, Linear(500, K); Adam at 1e-3, batches of 4.

    Args:
        num_classes: K.
        seed: seed of initial weights, order and dropout.
        epochs: number of training epochs; 20 as published.
        lr_rule: what ``lr_factor`` counts: "step" is what the published code does (0.5 from the second epoch on),
            "epoch" what it may
            have meant; "constant" leaves the learning rate alone.
    """

    def __init__(self, *, num_classes: int, seed: int, epochs: int = 20, lr_rule: str = "step"):
        assert lr_rule in LR_RULES, lr_rule
        self.num_classes = num_classes
        self.seed = seed
        self.epochs = epochs
        self.lr_rule = lr_rule

    def fit(self, features: np.ndarray, labels: np.ndarray) -> "TwoLayer":
        """Trains on features (n, D) float32 and labels (n,)."""
        x, y = torch.as_tensor(features), torch.as_tensor(labels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            layers = nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, self.num_classes)
            self.network = nn.Sequential(*layers)
            optimizer = torch.optim.Adam(self.network.parameters(), lr=BASE_LR)
            step = 0
            for epoch in range(self.epochs):
                for batch in torch.randperm(len(x)).split(BATCH_SIZE):
                    count = {"step": step, "epoch": epoch, "constant": 0}[self.lr_rule]
                    optimizer.param_groups[0]["lr"] = BASE_LR * lr_factor(count)
                    optimizer.zero_grad()
                    F.cross_entropy(self.network(x[batch]), y[batch]).backward()
                    optimizer.step()
                    step += 1
        self.network.eval()
        return self

    @torch.no_grad()
    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predicts class numbers: (n, D) -> (n,)"""
        return self.network(torch.as_tensor(features)).argmax(1).numpy()
