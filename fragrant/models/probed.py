"""A network with a probe in place of its head."""

from torch import Tensor

from fragrant.layers.probe import Probe, tokens_of_map
from fragrant.models.backbone import Backbone, ModelError


class Probed(Backbone):
    """A network whose feature map a probe classifies: frozen as tools/classify_features.py --probe trains it, or
    trained as a whole.

    Args:
        backbone: without classes.
        probe: of one classifier (P = 1).
        grid: see ``tokens_of_map``.

    Raises:
        ModelError: the width of the backbone's features is not the probe's.
    """

    head_name = "probe"

    def __init__(self, backbone: Backbone, probe: Probe, *, grid: int = 0):
        super().__init__()
        if backbone.num_features != len(probe.mean):
            raise ModelError(f"a probe of {len(probe.mean)} features does not fit a network of {backbone.num_features}")
        self.num_features = backbone.num_features
        self.backbone = backbone
        self.probe = probe
        self.grid = grid

    def forward_features(self, clips: Tensor) -> Tensor:
        return self.backbone.forward_features(clips)

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map: (N, D, T', H', W') -> (N, K)"""
        return self.probe(tokens_of_map(features, self.grid))[0]

    @property
    def detail_layer(self) -> str:
        inner = self.backbone.detail_layer
        return f"backbone.{inner}" if inner else ""

    def layer_names(self) -> list[tuple[str, ...]]:
        return [tuple(f"backbone.{name}" for name in names) for names in self.backbone.layer_names()]
