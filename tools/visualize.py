"""Draws what a trained model looks at in one video: frames above, maps below, as a PNG and an mp4.

  Grad-CAM, for any model:
    python tools/visualize.py --checkpoint best.pyth --video x.mp4 --layer blocks3.0 --class jump
  attention, for UniFormer:
    python tools/visualize.py --what attention --checkpoint best.pyth --video x.mp4 --layer blocks3
  FAM and RAM, for FRAGRANT:
    python tools/visualize.py --what fam --checkpoint best.pyth --video x.mp4
    python tools/visualize.py --what ram --at 0.5 0.4 0.6 --checkpoint best.pyth --video x.mp4
  SV-Mix, a PNG alone:
    python tools/visualize.py --what mix --with y.mp4 --lam 0.5 --checkpoint best.pyth --video x.mp4

The checkpoint holds its config; KEY VALUE pairs override it.
"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import sys
from pathlib import Path

from fragrant.launch import add_checkpoint_arguments, argument_parser, exit_code, path_argument


def main(arguments) -> None:
    from fragrant.inference.build import load_mixer, load_predictor  # imported late: --help answers at once
    from fragrant.report.maps import save_maps
    from fragrant.report.maps_by_name import maps_of
    from fragrant.report.mix_picture import save_mix

    mixed = arguments.what == "mix"
    pairs = [*arguments.pairs, *arguments.opts, *(["SVMIX.EVAL", "teacher"] if mixed else [])]
    predictor = load_predictor(arguments.checkpoint, cfg_path=arguments.cfg, pairs=pairs)
    out = Path(arguments.out or f"{Path(arguments.video).stem}_{arguments.what}.png")
    model, source = type(predictor.model).__name__, f"with the weights {arguments.checkpoint}"
    if mixed:
        mixer = load_mixer(arguments.checkpoint, predictor.device)
        save_mix(out, predictor, mixer, videos=(arguments.video, arguments.partner), lam=arguments.lam)
        print(f"{out}: mix of {model} {source}")
        return
    clip = predictor.middle_clip(arguments.video)  # (1, C, T, S, S)
    look = dict(class_names=predictor.class_names, layer=arguments.layer, class_name=arguments.class_, at=arguments.at)
    save_maps(
        out,
        clip[0],
        maps_of(arguments.what, predictor.model, predictor.prepare(clip), **look),
        name=Path(arguments.video).name,
    )
    print(f"{out} and {out.stem}.mp4: {arguments.what} of {model} {source}")


def start(words: list[str]) -> int:
    parser = argument_parser(__doc__)
    add_checkpoint_arguments(parser, "a trained model")
    parser.add_argument("--video", required=True, type=path_argument, metavar="FILE", help="the video to look at")
    parser.add_argument(
        "--what",
        choices=["grad-cam", "attention", "fam", "ram", "mix"],
        default="grad-cam",
        help="default grad-cam; of FAM the gain, of RAM the kernels",
    )
    parser.add_argument(
        "--layer", help="grad-cam, attention: part of the model, named as in its state dict; default: the last"
    )
    parser.add_argument(
        "--class", dest="class_", metavar="CLASS", help="grad-cam: name or number; default: what the model says"
    )
    parser.add_argument(
        "--at", type=float, nargs=3, metavar=("T", "Y", "X"), help="attention, ram: of one place, from 0 to 1"
    )
    parser.add_argument("--with", dest="partner", type=path_argument, metavar="FILE", help="mix: the video to mix with")
    parser.add_argument(
        "--lam", type=float, default=0.5, help="mix: the share of the first video that is asked for; default 0.5"
    )
    parser.add_argument(
        "--out",
        type=path_argument,
        metavar="PNG",
        help="picture to write, the mp4 beside it; default <video>_<what>.png",
    )
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
