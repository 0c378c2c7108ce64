"""MODEL.USE_CHECKPOINT works for every network: fewer activations are kept, the numbers stay."""

import pytest
import torch
from models_by_row import CLASSES, random_clips

from fragrant.config import ConfigError, load_cfg
from fragrant.models import MODELS, ModelError, build_model
from fragrant.models.h2cn import H2CN
from fragrant.models.mie_net import MieNet
from fragrant.models.timm_video import TimmVideo
from fragrant.models.torchvision_video import S3D, MViTv2, R2Plus1D
from fragrant.models.tsm import TSM
from fragrant.models.vision_transformer import VisionTransformer

COUNTS = (1, 0, 1, 1)
SMALL = dict(num_classes=CLASSES, blocks=(1, 1, 1, 2), width=16, dropout_rate=0.0)
NETWORKS = {
    "TSM": lambda **options: TSM(**SMALL, **options),
    "H2CN": lambda **options: H2CN(**SMALL, **options),
    "R2Plus1D": lambda **options: R2Plus1D(num_classes=CLASSES, blocks=(1, 1, 1, 1), **options),
    "VisionTransformer": lambda **options: VisionTransformer(
        num_classes=CLASSES, embed_dim=24, depth=4, num_heads=2, drop_path_rate=0.0, **options
    ),
    "TimmVideo": lambda **options: TimmVideo(num_classes=CLASSES, dptam_at=("stage1",), temporal="shift", **options),
    "S3D": lambda **options: S3D(num_classes=CLASSES, dropout_rate=0.0, **options),
    "MViTv2": lambda **options: MViTv2(num_classes=CLASSES, drop_path_rate=0.0, dropout_rate=0.0, **options),
}


@pytest.mark.parametrize("name", sorted(MODELS.names()))
def test_the_config_says_how_many_blocks_are_recomputed(name):
    pairs = ["MODEL.MODEL_NAME", name, "MODEL.USE_CHECKPOINT", "True", "MODEL.CHECKPOINT_NUM", str(list(COUNTS))]
    mie = ["DATA.NUM_FRAMES", "32", "DATA.SAMPLING", "segment", "DATA.SEGMENT_LENGTH", "4"] if name == "MieNet" else []
    with torch.device("meta"):
        model = build_model(load_cfg(None, pairs + mie))
        assert getattr(model, "backbone", model).recompute_blocks == COUNTS
        pairs[3] = "False"
        model = build_model(load_cfg(None, pairs + mie))
        assert getattr(model, "backbone", model).recompute_blocks == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "MViTv2")) for name in NETWORKS]
)
def test_less_is_kept_and_nothing_changes(name):
    torch.manual_seed(0)
    plain = NETWORKS[name]().double()
    recomputed = NETWORKS[name](recompute_blocks=COUNTS).double()
    recomputed.load_state_dict(plain.state_dict())
    clips, kept = random_clips(name, 2).double(), {}
    for model in (plain, recomputed):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, sizes=sizes: sizes.append(x.nbytes) or x, lambda x: x):
            model(clips).square().sum().backward()
        kept[model] = sum(sizes)
    assert kept[recomputed] < 0.95 * kept[plain]
    for (key, one), other in zip(plain.named_parameters(), recomputed.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-6, atol=1e-9, msg=key)
    for one, other in zip(plain.buffers(), recomputed.buffers(), strict=True):
        torch.testing.assert_close(other, one)


def test_stages_of_torchvisions_networks():
    with torch.device("meta"):
        networks = R2Plus1D(num_classes=2), S3D(num_classes=2), MViTv2(num_classes=2)
    assert [[len(stage) for stage in net.stages()] for net in networks] == [[2, 2, 2, 2], [2, 2, 5, 2], [1, 2, 11, 2]]


@pytest.mark.parametrize("network", [MieNet, TSM, H2CN, S3D, R2Plus1D, MViTv2])
def test_one_number_for_each_stage(network):
    with pytest.raises(ModelError, match=r"MODEL.CHECKPOINT_NUM \[1, 1\] needs one value for each of the 4 stages"):
        network(num_classes=2, recompute_blocks=[1, 1])
    with pytest.raises(ConfigError, match=r"MODEL.CHECKPOINT_NUM \[1\] needs one value for each of the 4 stages"):
        load_cfg(None, ["MODEL.USE_CHECKPOINT", "True", "MODEL.CHECKPOINT_NUM", "[1]"])
