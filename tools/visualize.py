"""Draws what a trained model attends to in one video: frames above, maps below.

  python tools/visualize.py --what fam --cfg configs/demo/fragrant_xs.yaml --video data/demo/test/sit_000.mp4
  python tools/visualize.py --what ram --at 0.5 0.4 0.6 --cfg configs/demo/fragrant_xs.yaml --video data/demo/test/sit_000.mp4

The weights are those that a test of the same config would take: TEST.CHECKPOINT_FILE_PATH, or the newest of OUTPUT_DIR.
"""

import sys
from pathlib import Path

import torch

from fragrant.data import read_clip
from fragrant.engine.build import build_preparation, model_for_test
from fragrant.engine.launch import argument_parser, config_of, exit_code
from fragrant.report.fragrant_maps import fam_maps, over_frames, ram_maps
from fragrant.report.strips import lift, overlay, save_picture, stacked

WHAT = {"fam": lambda model, clip, at: fam_maps(model, clip), "ram": lambda model, clip, at: ram_maps(model, clip, at=at)}


def main(arguments) -> None:
    cfg, device = config_of(arguments), torch.device("cpu")
    model, weights, _, _ = model_for_test(cfg, device)
    clip = read_clip(cfg, arguments.video)  # (1, C, T, S, S)
    maps = WHAT[arguments.what](model, build_preparation(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST)(clip), arguments.at)
    frames = clip[0].permute(1, 2, 3, 0).round().to(torch.uint8)  # (T, S, S, C)
    bright, gamma = lift(frames)
    rows = [(f"frames of {Path(arguments.video).name}, brightened with gamma {gamma:.1f}", over_frames(maps[0].values, bright)[0])]
    for title, values in maps:
        shown, scaled, largest = over_frames(values, bright)
        rows.append((f"{title}; brightest = {largest:.3g}", overlay(shown, scaled)))
    out = arguments.out or f"{Path(arguments.video).stem}_{arguments.what}.png"
    save_picture(out, stacked(rows))
    print(f"{out}: {arguments.what} of {cfg.MODEL.MODEL_NAME} with the weights {weights}")


def start(words: list[str]) -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--what", choices=sorted(WHAT), required=True, help="frequency gain of FAM, or relational kernels of RAM")
    parser.add_argument("--video", required=True, metavar="FILE", help="the video to look at")
    parser.add_argument("--out", metavar="PNG", help="picture to write; default <video>_<what>.png")
    parser.add_argument("--at", type=float, nargs=3, default=(0.5, 0.5, 0.5), metavar=("T", "Y", "X"), help="ram: the place, from 0 to 1")
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
