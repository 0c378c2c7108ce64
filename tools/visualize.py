"""Draws what a trained model looks at in one video, as a figure for a paper (.png, .svg, .pdf), and as an mp4.

  Grad-CAM, for any model:
    python tools/visualize.py --checkpoint best.pyth --video x.mp4 --layer blocks3.0 --class jump
  attention, for UniFormer:
    python tools/visualize.py --what attention --checkpoint best.pyth --video x.mp4 --layer blocks3
  FAM and RAM, for FRAGRANT:
    python tools/visualize.py --what fam --checkpoint best.pyth --video x.mp4
    python tools/visualize.py --what ram --at 0.5 0.4 0.6 --checkpoint best.pyth --video x.mp4
  SV-Mix, without an mp4:
    python tools/visualize.py --what mix --with y.mp4 --lam 0.5 --checkpoint best.pyth --video x.mp4
  several models below each other, without an mp4:
    python tools/visualize.py --compare a.pyth b.pyth --names UniFormer FRAGRANT --video x.mp4 --out x.pdf --size 17x9cm

The checkpoint holds its config; KEY VALUE pairs override it (with --compare behind --opts).
"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import sys
from pathlib import Path

from fragrant.launch import add_checkpoint_arguments, argument_parser, exit_code, path_argument
from fragrant.report.figure_arguments import add_figure_arguments


def main(arguments) -> None:
    from fragrant.inference.build import load_mixer, load_predictor  # imported late: --help answers at once
    from fragrant.inference.looked_at import Question, compared_names, draw_one, draw_several
    from fragrant.report.figure_style import look_of
    from fragrant.report.mix_picture import save_mix

    look, what, mixed = look_of(arguments), arguments.what, arguments.what == "mix"
    files = compared_names(arguments.compare or [arguments.checkpoint], arguments.names, mixed=mixed)
    pairs = [*arguments.pairs, *arguments.opts, *(["SVMIX.EVAL", "teacher"] if mixed else [])]
    predictors = [(name, load_predictor(file, cfg_path=arguments.cfg, pairs=pairs)) for name, file in files]
    out = Path(arguments.out or f"{Path(arguments.video).stem}_{what}.png")
    models = " and ".join(
        f"{type(one.model).__name__} with the weights {file}"
        for (_, one), (_, file) in zip(predictors, files, strict=True)
    )
    asked = Question(what, arguments.layer, arguments.class_, arguments.at, arguments.true, arguments.frames)
    if mixed:
        mixer = load_mixer(arguments.checkpoint, predictors[0][1].device)
        videos = (arguments.video, arguments.partner)
        save_mix(out, predictors[0][1], mixer, videos=videos, lam=arguments.lam, look=look, frames=asked.frames)
    elif arguments.compare:
        draw_several(out, predictors, arguments.video, asked, look)
    else:
        draw_one(out, predictors[0][1], arguments.video, asked, look)
    print(f"{out}{'' if mixed or arguments.compare else f' and {out.stem}.mp4'}: {what} of {models}")


def start(words: list[str]) -> int:
    parser = argument_parser(__doc__)
    one = add_checkpoint_arguments(parser, "a trained model")
    one.add_argument("--compare", nargs="+", type=path_argument, metavar="FILE", help="several, for one figure")
    whats, add = ["grad-cam", "attention", "fam", "ram", "mix"], parser.add_argument
    add("--names", nargs="+", metavar="NAME", help="--compare: what to call them; default: their folders")
    add("--video", required=True, type=path_argument, metavar="FILE", help="the video to look at")
    add("--what", choices=whats, default="grad-cam", help="default grad-cam; of FAM the gain, of RAM the kernels")
    text = "grad-cam, attention: part of the model, named as in its state dict; default: the last"
    add("--layer", help=text)
    add("--class", dest="class_", metavar="CLASS", help="grad-cam: name or number; default: what the model says")
    place = "attention, ram: of one place, from 0 to 1; it is marked by a ring"
    add("--at", type=float, nargs=3, metavar=("T", "Y", "X"), help=place)
    add("--with", dest="partner", type=path_argument, metavar="FILE", help="mix: the video to mix with")
    add("--lam", type=float, default=0.5, help="mix: the share of the first video that is asked for; default 0.5")
    add("--true", metavar="CLASS", help="the true class; default: as the lists of the training say")
    add("--frames", type=int, metavar="N", help="frames of a row, evenly from the clip; default 8 at most")
    text = ".png, .svg or .pdf, the mp4 beside it; default <video>_<what>.png"
    add("--out", type=path_argument, metavar="FILE", help=text)
    add_figure_arguments(parser)
    arguments = parser.parse_intermixed_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
