"""Classification guided by drawn figures: its losses against plain loops, its keys."""

import pytest
import torch
import torch.nn.functional as F
from models_by_row import CLIP, MODELS_BY_ROW

from fragrant.config import ConfigError, default_cfg
from fragrant.config.check import check_cfg
from fragrant.data.figures import Track
from fragrant.errors import UserError
from fragrant.objectives import build_objective
from fragrant.objectives.figure import Figure, at_times, cells, maps_of
from fragrant.synthetic.track import JOINTS, MOTION


def figures_of(n: int, frames: int) -> Track:
    torch.manual_seed(5)
    return Track(1.6 * torch.rand(n, 1, frames, len(JOINTS), 2) - 0.3, torch.randn(n, 1, frames, len(MOTION)))


def test_cells_count_row_by_row_and_the_last_is_outside():
    joints = torch.tensor([[0.0, 0.0], [0.99, 0.0], [0.0, 0.99], [0.5, 0.5], [-0.01, 0.5], [0.5, 1.0]])
    assert cells(joints, 2, 4).tolist() == [0, 3, 4, 6, 8, 8]


def test_frames_of_a_shorter_map():
    assert at_times(torch.arange(8)[None], 4)[0].tolist() == [0, 2, 4, 6]
    assert at_times(torch.arange(4)[None], 4)[0].tolist() == [0, 1, 2, 3]
    assert at_times(torch.arange(5)[None], 2)[0].tolist() == [0, 2]


@pytest.mark.parametrize("row", ["Uniformer", "CSN"])
def test_the_loss_is_that_of_plain_loops(row):
    torch.manual_seed(0)
    model = MODELS_BY_ROW[row]().eval()
    clips, labels = torch.randn(2, *CLIP), torch.tensor([0, 1])
    layer = model.detail_layer
    found, last = maps_of(model, layer, clips)
    objective = Figure(model, layer=layer, layer_width=found.shape[1], joints_weight=0.7, motion_weight=1.3)
    figures = figures_of(2, CLIP[1])
    objective.meet([0, 1], 0, figures)
    out = objective(clips, labels)

    times, height, width = found.shape[2:]
    of_joints = []
    for n in range(2):
        for t in range(times):
            for j in range(len(JOINTS)):
                column, row_ = figures.joints[n, 0, t * CLIP[1] // times, j].tolist()
                inside = 0 <= column < 1 and 0 <= row_ < 1
                cell = int(row_ * height) * width + int(column * width) if inside else height * width
                filters = objective.places.inside
                scores = torch.einsum("dhw,d->hw", found[n, :, t], filters.weight[j, :, 0, 0, 0]) + filters.bias[j]
                outside = objective.places.outside(found[n, :, t].mean((1, 2)))[j]
                of_joints.append(-torch.cat([scores.flatten(), outside[None]]).log_softmax(0)[cell])
    at = [t * CLIP[1] // last.shape[2] for t in range(last.shape[2])]
    told = torch.stack([objective.motion(last[:, :, t].mean((2, 3))) for t in range(last.shape[2])], 1)
    of_motion = F.smooth_l1_loss(told, figures.motion[:, 0, at])
    plain = F.cross_entropy(model(clips), labels) + 0.7 * torch.stack(of_joints).mean() + 1.3 * of_motion
    torch.testing.assert_close(out.loss, plain)
    assert set(out.logged) == {"top1_err", "top5_err", "joints_loss", "motion_loss"}


def test_clips_without_a_track_count_for_their_class_alone():
    torch.manual_seed(0)
    model = MODELS_BY_ROW["Uniformer"]().eval()
    clips, labels = torch.randn(2, *CLIP), torch.tensor([0, 1])
    objective = Figure(model, layer_width=model.num_features)
    figures = figures_of(2, CLIP[1])
    objective.meet([0], 0, Track(figures.joints[:1], figures.motion[:1]))
    alone = objective(clips[:1], labels[:1]).logged
    unknown = Track(figures.joints.clone(), figures.motion.clone())
    unknown.joints[1], unknown.motion[1] = torch.nan, torch.nan
    objective.meet([0, 1], 0, unknown)
    out = objective(clips, labels)
    for name in ("joints_loss", "motion_loss"):
        torch.testing.assert_close(out.logged[name], alone[name])
    objective.meet([1], 0, Track(unknown.joints[1:], unknown.motion[1:]))
    out = objective(clips[1:], labels[1:])
    torch.testing.assert_close(out.loss, F.cross_entropy(model(clips[1:]), labels[1:]))
    out.loss.backward()
    assert all(part.grad is None or part.grad.isfinite().all() for part in objective.parameters())


def cfg_of(**changes):
    cfg = default_cfg()
    options = ["MODEL.NUM_CLASSES", 3, "TRAIN.OBJECTIVE", "figure", "DATA.NUM_FRAMES", 4, "DATA.TRAIN_CROP_SIZE", 64]
    options += ["DATA.INPUT_CHANNEL_NUM", [3], "MODEL.MODEL_NAME", "Uniformer"]
    options += [part for name, value in changes.items() for part in (name.replace("__", "."), value)]
    cfg.merge_from_list(options)
    return cfg


def test_it_trains_what_it_tells_with():
    objective = build_objective(cfg_of(), MODELS_BY_ROW["Uniformer"]())
    objective.meet([0, 1], 0, figures_of(2, 4))
    objective(torch.randn(2, 3, 4, 64, 64), torch.tensor([0, 1])).loss.backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())


@pytest.mark.parametrize("layer", ["blocks9", "head"])
def test_what_is_no_map_is_one_line(layer):
    with pytest.raises(UserError, match=f"FIGURE.LAYER '{layer}'") as error:
        build_objective(cfg_of(FIGURE__LAYER=layer), MODELS_BY_ROW["Uniformer"]())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AUG__ENABLE": True}, "AUG.ENABLE"),
        ({"MIXUP__ENABLE": True}, "MIXUP.ENABLE"),
        ({"DATA__TRANSFORMS": ["reverse_half"]}, "DATA.TRANSFORMS"),
        ({"TRAIN__COMPILE": True}, "TRAIN.COMPILE"),
        ({"TRAIN__SHARDING": "fsdp"}, "TRAIN.SHARDING"),
    ],
)
def test_what_it_cannot_follow_is_one_line(changes, words):
    with pytest.raises(ConfigError, match=words):
        check_cfg(cfg_of(**changes))


@pytest.mark.cuda
def test_it_is_built_where_the_model_is():
    objective = build_objective(cfg_of(), MODELS_BY_ROW["Uniformer"]().cuda()).cuda()
    objective.meet([0], 0, Track(*(part.cuda() for part in figures_of(1, 4))))
    assert objective(torch.randn(1, 3, 4, 64, 64).cuda(), torch.tensor([0]).cuda()).loss.isfinite()
