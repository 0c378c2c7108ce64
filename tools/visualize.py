"""Draws what a trained model looks at in one video: frames above, maps below, as a PNG and an mp4.

  python tools/visualize.py --checkpoint best.pyth --video x.mp4 --layer blocks3.0 --class jump   (Grad-CAM, any model)
  python tools/visualize.py --what attention --checkpoint best.pyth --video x.mp4 --layer blocks3                   (UniFormer)
  python tools/visualize.py --what fam --checkpoint output/demo_fragrant_xs/checkpoints/best.pyth --video x.mp4
  python tools/visualize.py --what ram --at 0.5 0.4 0.6 --checkpoint output/demo_fragrant_xs/checkpoints/best.pyth --video x.mp4

The checkpoint knows its config; KEY VALUE pairs override it.
"""

import sys
from pathlib import Path

from fragrant.engine.build import load_predictor
from fragrant.engine.launch import argument_parser, exit_code
from fragrant.report.attention_maps import attention_maps
from fragrant.report.fragrant_maps import fam_maps, ram_maps
from fragrant.report.grad_cam import class_number, grad_cam_maps
from fragrant.report.maps import save_maps


def grad_cam(model, clip, names, arguments):
    return grad_cam_maps(model, clip, layer=arguments.layer, class_number=class_number(arguments.class_, names), class_names=names)


WHAT = {  # -> (model, normalised clip (1, C, T, H, W), class names, arguments) -> maps
    "grad-cam": grad_cam,
    "attention": lambda model, clip, names, arguments: attention_maps(model, clip, layer=arguments.layer, at=arguments.at),
    "fam": lambda model, clip, names, arguments: fam_maps(model, clip),
    "ram": lambda model, clip, names, arguments: ram_maps(model, clip, at=tuple(arguments.at or (0.5, 0.5, 0.5))),
}


def main(arguments) -> None:
    predictor = load_predictor(arguments.checkpoint, cfg_path=arguments.cfg, pairs=[*arguments.pairs, *arguments.opts])
    clip = predictor.middle_clip(arguments.video)  # (1, C, T, S, S)
    maps = WHAT[arguments.what](predictor.model, predictor.prepare(clip), predictor.class_names, arguments)
    out = Path(arguments.out or f"{Path(arguments.video).stem}_{arguments.what}.png")
    save_maps(out, clip[0], maps, name=Path(arguments.video).name)
    model = type(predictor.model).__name__
    print(f"{out} and {out.stem}.mp4: {arguments.what} of {model} with the weights {arguments.checkpoint}")


def start(words: list[str]) -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="a trained model")
    parser.add_argument("--video", required=True, metavar="FILE", help="the video to look at")
    parser.add_argument("--what", choices=list(WHAT), default="grad-cam", help="default grad-cam; of FAM the gain, of RAM the kernels")
    parser.add_argument("--layer", help="grad-cam, attention: part of the model, named as in its state dict; default: the last")
    parser.add_argument("--class", dest="class_", metavar="CLASS", help="grad-cam: name or number; default: what the model says")
    parser.add_argument("--at", type=float, nargs=3, metavar=("T", "Y", "X"), help="attention, ram: of one place, from 0 to 1")
    parser.add_argument("--out", metavar="PNG", help="picture to write, the mp4 beside it; default <video>_<what>.png")
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
