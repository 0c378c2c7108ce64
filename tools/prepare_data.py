"""Writes lists and class names of a set as it is distributed: python tools/prepare_data.py arid --root /data/ARID --out
lists/arid; the videos of any lists go into tar shards with pack --root DIR --list train=FILE --out DIR"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import sys
from pathlib import Path

from fragrant.errors import RunStopped
from fragrant.launch import add_common_arguments, exit_code, path_argument
from fragrant.texts import say


def main(arguments) -> None:
    from fragrant.data.datasets import LISTS, listed_set, prepared_set
    from fragrant.data.prepare import pack_set, unpack_set, with_drawn, with_few, with_leaks_named, write_set
    from fragrant.data.prepare.arguments import PACK

    root, more, unreadable = arguments.root, "", []
    for edition in arguments.edition:
        out = Path(arguments.out, edition) if len(arguments.edition) > 1 else Path(arguments.out)
        if arguments.set in (LISTS, PACK):
            found = listed_set(arguments.list, arguments.root)
        else:
            found = prepared_set(arguments.set, arguments.root, edition=edition, videos=arguments.videos)
        if arguments.set not in (PACK, LISTS) or arguments.split:
            found = with_drawn(found, arguments.set, arguments.split, group_by=arguments.group_by)
        if arguments.few_shot:
            few = {"group_by": arguments.group_by, "seed": arguments.seed}
            found = with_few(found, arguments.set, arguments.few_shot, **few)
        found = with_leaks_named(found, arguments.set, group_by=arguments.group_by)
        if arguments.frames:
            unpacked = {"template": arguments.template, "workers": arguments.workers}
            found, lines = unpack_set(found, arguments.videos or arguments.root, arguments.frames, **unpacked)
            root, more = arguments.frames, f' DATA.IMAGE_TEMPLATE "{arguments.template}"'
            unreadable += lines
        if arguments.set == PACK:
            size = {"shard_bytes": 1e6 * arguments.shard_mb, "workers": arguments.workers}
            found, lines = pack_set(found, arguments.root, out, **size)
            root, unreadable = str(out), [*unreadable, *lines]
        print(f"{arguments.set} {found.edition}".strip() + f" -> {out}")
        say(write_set(found, root, out))
        name = LISTS if arguments.set == PACK else arguments.set
        sets = f"TRAIN.DATASET {name} TEST.DATASET {name}"
        classes = f" MODEL.NUM_CLASSES {len(found.class_names)}" if found.class_names else ""
        print(f"use: {sets} DATA.PATH_TO_DATA_DIR {out} DATA.PATH_PREFIX {root}{more}{classes}")
    if unreadable:
        say(unreadable)
        done = "unpacked" if arguments.frames else "packed"
        raise RunStopped(f"{len(unreadable)} video(s) cannot be {done}, see above; the lists are without them")


def start(words: list[str]) -> int:
    from fragrant.data.prepare.arguments import set_parser

    parser = set_parser(__doc__, path_argument)
    add_common_arguments(parser)
    arguments = parser.parse_args(words)
    return exit_code(lambda: main(arguments), debug=arguments.debug, plugins=arguments.plugins)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
