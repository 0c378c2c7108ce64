"""README and docs do not rot: sizes, links, commands, Python and messages are checked against the code."""

import argparse
import ast
import functools
import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT

from fragrant.config import load_cfg

README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
DEMO = "configs/demo/uniformer_xs.yaml"
PLACEHOLDERS = {("--cfg", "X"): DEMO, ("--cfg", "FILE"): DEMO, ("--num_shards", "N"): "2", ("--shard_id", "I"): "1"}
DROPPED = {"KEY", "VALUE", "..."}  # stand for any pairs
LONG = 12  # characters of a message that are looked for in the source


def ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def fences(text: str) -> list[tuple[str, str]]:
    """Language and content of every fenced block."""
    return re.findall(r"^```([\w.]*)\n(.*?)^```", text, flags=re.M | re.S)


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


# ----------------------------------------------------------------------------------------------------------- front page
def test_readme_is_one_page():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) >= 140] == []


def test_the_first_two_commands_are_the_two_commands():
    _, block = fences(README.read_text(encoding="utf-8"))[0]
    assert block.splitlines() == [
        "pip install -e . && python tools/run_net.py --cfg configs/demo/uniformer_xs.yaml",
        'pip install -e ".[test]" && python -m pytest',
    ]


def test_pictures_are_small():
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures and all(picture.stat().st_size < 200_000 for picture in pictures)


# ---------------------------------------------------------------------------------------------------------------- links
def anchor_of(heading: str) -> str:
    """As GitHub and Python-Markdown name a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())


@functools.cache
def anchors(path: Path) -> set[str]:
    return {anchor_of(found) for found in re.findall(r"^#+ (.+)$", prose(path.read_text(encoding="utf-8")), flags=re.M)}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_resolve(page):
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose(page.read_text(encoding="utf-8"))))
    broken = []
    for link in links:
        if re.match(r"https?://|mailto:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_files_of_the_repository_exist(page):
    text = page.read_text(encoding="utf-8")
    paths = re.findall(r"\b(?:configs|fragrant|tests|tools)/[\w/]+\.(?:py|yaml|sbatch)\b", text)
    invented = re.compile(r"/(x|my_\w+)\.\w+$")
    assert [path for path in paths if not (ROOT / path).exists() and not invented.search(path)] == []


def test_every_page_is_in_the_site():
    nav = set(re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), flags=re.M))
    assert nav == {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}


# ------------------------------------------------------------------------------------------------------------- commands
class Command(NamedTuple):
    page: Path
    tool: str  # "run_net"
    words: list[str]
    text: str


def command_lines(text: str) -> Iterator[str]:
    """Lines of fenced blocks, and commands in running text, that call one of the tools."""
    for language, block in fences(text):
        if language in ("", "bash", "sh"):
            yield from block.replace("\\\n", " ").splitlines()
    for code in re.findall(r"`([^`]+)`", prose(text)):
        if re.match(r"\S*=?\S*\s*(python tools/|torchrun |sbatch )", code):
            yield " ".join(code.split())


def commands_of(page: Path) -> Iterator[Command]:
    for line in command_lines(page.read_text(encoding="utf-8")):
        for part in line.split("&&"):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:  # output of a program, not a command
                continue
            at = next(
                (at for at, word in enumerate(words) if re.fullmatch(r"tools/(\w+\.py|slurm/\w+\.sbatch)", word)), None
            )
            if at is None or not re.match(r"(\w+=\S+|python|torchrun|sbatch|CONFIGS=.*)$", words[0]):
                continue
            if "--help" in words:
                continue
            tool = "run_net" if words[at].endswith(".sbatch") else Path(words[at]).stem
            kept = [PLACEHOLDERS.get(pair, pair[1]) for pair in zip(words[at:], words[at + 1 :], strict=False)]
            yield Command(page, tool, [word for word in kept if word not in DROPPED], part.strip())


COMMANDS = [command for page in PAGES for command in commands_of(page)]


class Parsed(BaseException):  # not an error, which the tool would tell the user
    """Carries what a tool's own parser made of a command; nothing is run."""


@functools.cache
def tool_module(name: str):
    spec = importlib.util.spec_from_file_location(f"documented_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parsed(command: Command, monkeypatch) -> argparse.Namespace:
    for method in ("parse_args", "parse_intermixed_args"):
        original = getattr(argparse.ArgumentParser, method)

        def stop(self, words, original=original):
            raise Parsed(original(self, words))

        monkeypatch.setattr(argparse.ArgumentParser, method, stop)
    with pytest.raises(Parsed) as caught:
        tool_module(command.tool).start(command.words)
    return caught.value.args[0]


def test_commands_are_found():
    assert len(COMMANDS) > 60
    assert {command.tool for command in COMMANDS} == {path.stem for path in (ROOT / "tools").glob("*.py")}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.page.stem}-{command.tool}")
def test_command_parses(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = parsed(command, monkeypatch)
    cfg = getattr(arguments, "cfg", None)
    pairs = [*getattr(arguments, "pairs", []), *(getattr(arguments, "opts", None) or [])]
    if command.tool == "model_info":
        pairs = arguments.rest if cfg else []
    if cfg:
        load_cfg(cfg, pairs)
    else:
        assert len(pairs) % 2 == 0, command.text


# --------------------------------------------------------------------------------------------------------------- Python
@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_python_blocks_compile(page):
    for language, block in fences(page.read_text(encoding="utf-8")):
        if language == "python":
            ast.parse(block)


def resolves(name: str) -> bool:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def imported_names(text: str) -> Iterator[str]:
    for language, block in fences(text):
        for node in ast.walk(ast.parse(block)) if language == "python" else ():
            if isinstance(node, ast.ImportFrom) and node.module.startswith("fragrant"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_documented_names_exist():
    python, api = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("python.md", "api.md"))
    names = [*imported_names(python), *re.findall(r"^::: (\S+)$", api, flags=re.M)]
    assert len(names) > 30
    assert [name for name in names if not resolves(name)] == []


# ------------------------------------------------------------------------------------------------------------- messages
@functools.cache
def literals() -> str:
    """Every text in the source of the package; an f-string's fields are left out."""
    texts = []
    for path in (ROOT / "fragrant").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def documented_messages() -> list[str]:
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`.+?) \| ", text, flags=re.M)
    return [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("message", documented_messages())
def test_message_is_in_the_source(message):
    pieces = [piece.strip() for piece in re.split(r"\.\.\.|'[^']*'|\b\d+\b|\b[NMmn]\b", message)]
    for piece in pieces:
        if len(piece) >= LONG:
            assert piece in literals() or words_in_order(piece), piece


def words_in_order(piece: str) -> bool:
    """A name (DATA.EDITION, arid, bf16) may fill a field of the message: what stands before and behind it is there."""
    words = piece.split()
    return any(
        " ".join(words[:at]) in literals()
        and " ".join(words[at + 1 :]) in literals()
        and len(piece) - len(words[at]) >= LONG
        for at in range(len(words))
    )
