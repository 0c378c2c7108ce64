"""Draws what a trained model attends to in one video: frames above, maps below.

  python tools/visualize.py --what fam --checkpoint output/demo_fragrant_xs/checkpoints/best.pyth --video data/demo/videos/test/sit_000.mp4
  python tools/visualize.py --what ram --at 0.5 0.4 0.6 --checkpoint output/demo_fragrant_xs/checkpoints/best.pyth --video x.mp4

The checkpoint knows its config; KEY VALUE pairs override it.
"""

import sys
from pathlib import Path

import torch

from fragrant.engine.build import load_predictor
from fragrant.engine.launch import argument_parser, exit_code
from fragrant.report.fragrant_maps import fam_maps, over_frames, ram_maps
from fragrant.report.strips import lift, overlay, save_picture, stacked

WHAT = {"fam": lambda model, clip, at: fam_maps(model, clip), "ram": lambda model, clip, at: ram_maps(model, clip, at=at)}


def main(arguments) -> None:
    predictor = load_predictor(arguments.checkpoint, cfg_path=arguments.cfg, pairs=[*arguments.pairs, *arguments.opts])
    clip = predictor.middle_clip(arguments.video)  # (1, C, T, S, S)
    maps = WHAT[arguments.what](predictor.model, predictor.prepare(clip), arguments.at)
    frames = clip[0].cpu().permute(1, 2, 3, 0).round().to(torch.uint8)  # (T, S, S, C)
    bright, gamma = lift(frames)
    rows = [(f"frames of {Path(arguments.video).name}, brightened with gamma {gamma:.1f}", over_frames(maps[0].values, bright)[0])]
    for title, values in maps:
        shown, scaled, largest = over_frames(values, bright)
        rows.append((f"{title}; max {largest:.3g}", overlay(shown, scaled)))
    out = arguments.out or f"{Path(arguments.video).stem}_{arguments.what}.png"
    save_picture(out, stacked(rows))
    print(f"{out}: {arguments.what} of {type(predictor.model).__name__} with the weights {arguments.checkpoint}")


def start(words: list[str]) -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--what", choices=sorted(WHAT), required=True, help="frequency gain of FAM, or relational kernels of RAM")
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="a trained model")
    parser.add_argument("--video", required=True, metavar="FILE", help="the video to look at")
    parser.add_argument("--out", metavar="PNG", help="picture to write; default <video>_<what>.png")
    parser.add_argument("--at", type=float, nargs=3, default=(0.5, 0.5, 0.5), metavar=("T", "Y", "X"), help="ram: the place, from 0 to 1")
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
