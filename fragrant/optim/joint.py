"""Several optimisers as one, for parts of a module that learn by different rules."""

from collections.abc import Sequence

import torch


class Joint(torch.optim.Optimizer):
    """Several optimisers as one: the groups of all parts, one state, one step; its state dict looks like that of a
    single optimiser.

    Args:
        parts: fused optimisers of different parameters.
    """

    _step_supports_amp_scaling = True  # torch.amp.GradScaler leaves skipping a step to the parts

    def __init__(self, parts: Sequence[torch.optim.Optimizer]):
        self.parts = list(parts)
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        groups = iter(self.param_groups)
        for part in self.parts:
            part.state = self.state
            part.param_groups = [next(groups) for _ in part.param_groups]

    def __setstate__(self, state: dict) -> None:  # load_state_dict ends here, with new groups and a new state
        super().__setstate__(state)
        self._share()

    def step(self, closure=None) -> None:  # type: ignore[override]  # no closure can be for all parts
        """Takes one step of every part, or of none: ``found_inf``, as a Stepper or a GradScaler sets it, counts for
        all."""
        assert closure is None
        signals = {name: getattr(self, name) for name in ("grad_scale", "found_inf") if hasattr(self, name)}
        for part in self.parts:
            for name, value in signals.items():
                setattr(part, name, value)
            part.step()
            for name in signals:
                delattr(part, name)
