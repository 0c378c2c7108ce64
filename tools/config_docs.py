"""Writes the reference of all config keys: python tools/config_docs.py [--to docs/config.md]"""

if __name__ == "__main__":  # first of all: a signal may come while the rest is imported
    from fragrant.early import listen

    listen()

import argparse
import sys
from pathlib import Path

from fragrant.config.reference import reference
from fragrant.files import save_file
from fragrant.launch import exit_code, path_argument

PAGE = Path(__file__).resolve().parents[1] / "docs" / "config.md"


def main(path: Path) -> None:
    save_file(path, reference())
    print(f"The reference is in {path}")


def start(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--to", type=path_argument, default=PAGE, metavar="FILE", help="where to write; default: docs/config.md"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args(words)
    return exit_code(lambda: main(Path(arguments.to)), debug=arguments.debug)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
