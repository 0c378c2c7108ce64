"""The second stream is what a worker would have made of the same frames; a teacher gets both."""

import pytest
import torch

from fragrant.config import load_cfg
from fragrant.data.transforms.build import build_normalization, build_streams, clip_enhancement, prepared_streams
from fragrant.data.transforms.enhance import clahe
from fragrant.data.transforms.gamma import brighten
from fragrant.layers.normalize import ClipNormalize
from fragrant.layers.random_erasing import RandomErasing
from fragrant.objectives import Teacher, build_objective

TWO = "MODEL.MODEL_NAME DualStream MODEL.NUM_CLASSES 2 DATA.MEAN [0.1,0.1,0.1] DATA.STD [0.2,0.2,0.2]".split()
CPU = torch.device("cpu")


def config(*words: str):
    return load_cfg(None, [*TWO, *words])


def random_pixels(n: int = 2) -> torch.Tensor:
    return torch.randint(0, 60, (n, 3, 4, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_both_streams_by_value():
    cfg = config("DUAL.ENHANCE", "clahe", "DUAL.GAMMA", "2", "DUAL.MEAN", "[0.5,0.4,0.3]", "DUAL.STD", "[0.3,0.3,0.3]")
    pixels = random_pixels()
    clips = prepared_streams(cfg, CPU)(pixels)
    assert clips.shape == (2, 6, 4, 32, 32)
    torch.testing.assert_close(clips[:, :3], (pixels / 255 - 0.1) / 0.2)
    bright = torch.stack([brighten(clahe(clip), 2.0) for clip in pixels.permute(0, 2, 3, 4, 1)]).permute(0, 4, 1, 2, 3)
    mean = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1, 1)
    torch.testing.assert_close(clips[:, 3:], (bright / 255 - mean) / 0.3)
    stacked = torch.cat([x.float() for x in build_streams(cfg)(pixels)], 1)  # what an exported file takes
    torch.testing.assert_close(build_normalization(cfg)(stacked), clips)


def test_values_of_the_first_stream_serve_both_and_reversed_channels_stay_in_theirs():
    clips = prepared_streams(config("DUAL.GAMMA", "3", "DATA.REVERSE_INPUT_CHANNEL", "True"), CPU)(random_pixels())
    wanted = (brighten(random_pixels(), 3.0) / 255 - 0.1) / 0.2
    torch.testing.assert_close(clips[:, 3:], wanted.flip(1))


def test_unrounded_pixels_are_rounded_for_the_enhancement_alone():
    pixels = random_pixels().float() + 0.3
    first, second = build_streams(config("DUAL.GAMMA", "2"))(pixels)
    assert first is pixels and torch.equal(second, brighten(random_pixels(), 2.0))
    assert torch.equal(clip_enhancement("none", 1.0)(pixels), random_pixels())


def test_the_same_boxes_are_erased_and_the_layout_is_kept():
    erasing = RandomErasing(1.0, mode="const", max_count=1)
    prepare = prepared_streams(config(), CPU, erasing=erasing, channels_last=True)
    pixels = random_pixels() + 1
    clips = prepare(pixels, ["a", "b"])
    assert clips.is_contiguous(memory_format=torch.channels_last_3d)
    erased = [(part == 0).all(1) for part in clips.split(3, 1)]
    assert erased[0].any() and torch.equal(*erased)
    assert not (prepare(pixels) == 0).all(1).any()


class Seen(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(2, 2))

    def forward(self, clips):
        self.clips = clips
        return self.logits


@pytest.mark.parametrize("student_streams", [1, 2])
def test_a_teacher_of_two_streams_gets_both_from_the_dark_clips(student_streams):
    words = "MODEL.NUM_CLASSES 2 DATA.MEAN [0.05,0.06,0.07] DATA.STD [0.1,0.1,0.1]".split()
    cfg = load_cfg(None, [*words, *(["MODEL.MODEL_NAME", "DualStream"] if student_streams == 2 else [])])
    teacher_cfg, teacher, pixels = config("DUAL.GAMMA", "1.8"), Seen(), random_pixels()
    clips = ClipNormalize(cfg.DATA.MEAN, cfg.DATA.STD)(pixels)
    if student_streams == 2:
        clips = torch.cat([clips, torch.full_like(clips, 7.0)], 1)
    build_objective(cfg, Seen(), teacher=Teacher(teacher, teacher_cfg))(clips, torch.tensor([0, 1]))
    torch.testing.assert_close(teacher.clips, prepared_streams(teacher_cfg, CPU)(pixels))
