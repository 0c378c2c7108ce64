"""Predicts the actions in videos: python tools/predict.py --checkpoint best.pyth video.mp4 folder ... or --source 0"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import argparse
import sys
import time
from typing import Any

from fragrant.errors import RunStopped, UserError
from fragrant.launch import add_checkpoint_arguments, add_common_arguments, exit_code, path_argument
from fragrant.live.arguments import add_live_arguments
from fragrant.texts import printable


def main(arguments) -> None:
    from tqdm import tqdm

    from fragrant.inference.build import load_predictor
    from fragrant.inference.formats import WRITERS, csv_header
    from fragrant.inference.predictor import find_videos
    from fragrant.inference.timeline import check_timeline, with_timeline
    from fragrant.live.command import run_live

    how: dict[str, Any] = dict(cfg_path=arguments.cfg, pairs=arguments.opts, device=arguments.device)
    if arguments.source is not None:
        return run_live(arguments, lambda: load_predictor(arguments.checkpoint, **how))
    paths, began, clips, failed, lost = find_videos(arguments.videos), time.perf_counter(), 0, 0, 0
    check_timeline(arguments.timeline, paths, sliding=arguments.sliding is not None)
    predictor = load_predictor(arguments.checkpoint, **how)
    if arguments.sliding is None:
        found = predictor.predict_all(paths, top=arguments.top, num_workers=arguments.workers)
    else:
        windows: dict[str, Any] = dict(seconds=arguments.sliding or None, step=arguments.step, top=arguments.top)
        found = with_timeline(predictor, paths, arguments.timeline, **windows)
    if arguments.form == "csv":
        print(csv_header(min(arguments.top, len(predictor.class_names)), predictor.choices))
    for prediction in tqdm(found, total=len(paths), unit="video", disable=not sys.stderr.isatty(), leave=False):
        clips, failed = clips + prediction.num_clips, failed + bool(prediction.error)
        lost += prediction.not_finite
        if prediction.error:
            tqdm.write(printable(f"error: {prediction.error}"), file=sys.stderr)
        if not prediction.error or arguments.form != "text":
            tqdm.write(WRITERS[arguments.form](prediction), file=sys.stdout)
    seconds = time.perf_counter() - began
    rate = f"{len(paths) / seconds:.1f} videos/s, {clips / seconds:.1f} clips/s"
    print(f"{len(paths)} videos in {seconds:.1f} s: {rate} on {predictor.device}", file=sys.stderr)
    if failed > lost:
        raise UserError(f"{failed - lost} of {len(paths)} videos cannot be read")
    if lost:
        raise RunStopped(f"{lost} of {len(paths)} videos have NaN or infinite scores")


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="*", type=path_argument, metavar="VIDEO", help="video files, or folders")
    file: dict[str, Any] = {"type": path_argument, "metavar": "FILE"}
    add_checkpoint_arguments(parser, "trained weights; config and class names are inside")
    parser.add_argument("--cfg", **file, help="a config in place of the checkpoint's, for files from elsewhere")
    parser.add_argument(
        "--opts", nargs="*", default=[], metavar="KEY VALUE", help="overrides, for example TEST.NUM_ENSEMBLE_VIEWS 1"
    )
    parser.add_argument("--top", type=int, default=5, metavar="K", help="classes per video")
    parser.add_argument(
        "--json", dest="form", action="store_const", const="json", default="text", help="one JSON line per video"
    )
    parser.add_argument(
        "--csv", dest="form", action="store_const", const="csv", help="a table; windows have a row each"
    )
    parser.add_argument(
        "--sliding", type=float, nargs="?", const=0.0, metavar="SECONDS", help="long videos in windows; default: a clip"
    )
    parser.add_argument("--step", type=float, metavar="SECONDS", help="from window to window; default: half a window")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that read videos; 0 = this one")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda:1, ...; default: the first GPU if there is one")
    parser.add_argument("--timeline", **file, help="with --sliding: classes over time, as .html, .png, .svg or .pdf")
    add_live_arguments(parser, path_argument)
    add_common_arguments(parser)
    arguments = parser.parse_intermixed_args(words)
    if (arguments.source is None) != bool(arguments.videos):
        parser.error("give either videos or --source")
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
