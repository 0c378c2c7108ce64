"""Draws what a trained model looks at in one video: frames above, maps below, as a PNG and an mp4.

  python tools/visualize.py --checkpoint best.pyth --video x.mp4 --layer blocks3.0 --class jump   (Grad-CAM, any model)
  python tools/visualize.py --what fam --cfg configs/demo/fragrant_xs.yaml --video x.mp4
  python tools/visualize.py --what ram --at 0.5 0.4 0.6 --cfg configs/demo/fragrant_xs.yaml --video x.mp4

With --checkpoint the config is the one inside it. Without: the weights are those that a test of the config would take,
TEST.CHECKPOINT_FILE_PATH, or the newest of OUTPUT_DIR.
"""

import sys
from pathlib import Path

import torch

from fragrant.engine.build import build_preparation, model_for_test
from fragrant.engine.launch import argument_parser, config_in, config_of, exit_code
from fragrant.report.build import picture_maps
from fragrant.report.fragrant_maps import fam_maps, ram_maps
from fragrant.report.grad_cam import class_number, grad_cam_maps

WHAT = {
    "grad-cam": lambda model, clip, a, names: grad_cam_maps(
        model, clip, layer=a.layer, class_number=class_number(a.class_, names), class_names=names
    ),
    "fam": lambda model, clip, a, names: fam_maps(model, clip),
    "ram": lambda model, clip, a, names: ram_maps(model, clip, at=tuple(a.at)),
}


def main(arguments) -> None:
    cfg, device = config_in(arguments) if arguments.checkpoint else config_of(arguments), torch.device("cpu")
    model, weights, _, state = model_for_test(cfg, device)
    prepare, names = build_preparation(cfg, device, channels_last=cfg.TRAIN.CHANNELS_LAST), state.get("class_names") or []
    out = Path(arguments.out or f"{Path(arguments.video).stem}_{arguments.what}.png")
    picture_maps(cfg, arguments.video, lambda clip: WHAT[arguments.what](model, prepare(clip), arguments, names), out)
    print(f"{out} and {out.stem}.mp4: {arguments.what} of {cfg.MODEL.MODEL_NAME} with the weights {weights}")


def start(words: list[str]) -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--checkpoint", metavar="FILE", help="of a run: its config and class names are inside")
    parser.add_argument("--what", choices=list(WHAT), default="grad-cam", help="default grad-cam; frequency gain of FAM, kernels of RAM")
    parser.add_argument("--video", required=True, metavar="FILE", help="the video to look at")
    parser.add_argument("--layer", help="grad-cam: part of the model, named as in its state dict; default: the last map there is")
    parser.add_argument("--class", dest="class_", metavar="CLASS", help="grad-cam: name or number; default: what the model says")
    parser.add_argument("--at", type=float, nargs=3, default=(0.5, 0.5, 0.5), metavar=("T", "Y", "X"), help="ram: the place, from 0 to 1")
    parser.add_argument("--out", metavar="PNG", help="picture to write, the mp4 beside it; default <video>_<what>.png")
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
