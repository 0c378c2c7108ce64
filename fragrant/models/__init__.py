"""Video models with plain arguments; a config picks one by name."""

from fragrant.models import (  # noqa: F401  every model file enters itself into MODELS
    csn,
    dgam,
    dual_stream,
    fragrant,
    h2cn,
    mie_net,
    timm_video,
    torchvision_video,
    tsm,
    uniformer,
    uniformer_v2,
    video_swin,
    vision_transformer,
)
from fragrant.models.backbone import Backbone, ModelError
from fragrant.models.build import MODELS, build_model

__all__ = ["MODELS", "Backbone", "ModelError", "build_model"]
