"""The house rules that a machine can check: imports go down only, cfg stays at the edges, loops stay short, rooms have
a purpose."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "fragrant"
FILES = sorted(PACKAGE.rglob("*.py"))

# A room may import the rooms of lower floors, and its own files. Rooms on one floor are siblings.
FLOORS = [
    {"errors", "version", "texts", "stand_ins", "torchrun", "pickled_keys"},
    {"files", "early"},
    {"zoo", "safetensors_files", "torchscript_files"},
    {"plugins", "appended", "remote"},
    {"registry"},
    {"config", "distributed", "workers", "events", "progress"},
    {"trackers"},
    {"logs", "checkpoint", "metrics"},
    {"kernels", "synthetic"},
    {"layers"},
    {"models", "data", "optim"},
    {"objectives", "scores"},
    {"report", "runtime"},
    {"engine", "inference", "features", "profile"},
    {"live"},
    {"benchmarks"},
    {"launch"},
    {"experiments"},
]
FLOOR_OF = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}

# Where the config node may be seen: these files, every build.py, and the adapter functions of model files.
OF_A_RUN = ("run", "continuing", "introduction", "training", "validating", "testing")
CFG_FILES = {f"engine/{name}.py" for name in OF_A_RUN}
CFG_ROOMS = ("config/", "launch/")
ADAPTER_FILES = ("models/",)
# Who reads files of PyTorch: checkpoints and weights with their checksums; decoded frames, mapped.
READERS = {"fragrant/checkpoint.py", "fragrant/data/video/tensor_file.py"}
LONGEST_FUNCTION = 60  # lines


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST):
    """Every room of the package that a file imports, also inside functions, with the line."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [
                f"{node.module}.{alias.name}" if node.module == "fragrant" else node.module for alias in node.names
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "fragrant" and len(parts) > 1 and parts[1] in FLOOR_OF:
                yield parts[1], node.lineno


def may_import(room: str, other: str) -> bool:
    return room == other or FLOOR_OF[other] < FLOOR_OF[room]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_go_down(path):
    room = room_of(path)
    if room == "__init__":  # the package's front door
        return
    assert room in FLOOR_OF, f"{relative(path)}: the room '{room}' has no floor"
    wrong = [f"line {line}: {other}" for other, line in imported_rooms(parsed(path)) if not may_import(room, other)]
    assert not wrong, f"{relative(path)} imports upwards or sideways: {wrong}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_of_a_library(path):
    """Nothing of the tests, no patching of other packages, no way up to the package's front door."""
    for node in ast.walk(parsed(path)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        tops = {name.split(".")[0] for name in names}
        assert not tops & {"tests", "conftest", "unittest", "pytest"}, f"{relative(path)}:{node.lineno} imports {names}"
        door = [n for n in names if n.startswith("fragrant.") and n.count(".") == 1 and n.split(".")[1] not in FLOOR_OF]
        assert not door or path.name == "__init__.py", f"{relative(path)}:{node.lineno} imports the front door: {door}"


@pytest.mark.parametrize("path", FILES + sorted((ROOT / "tools").glob("*.py")), ids=relative)
def test_functions_fit_on_a_screen(path):
    nodes = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: node.end_lineno - node.lineno + 1 for node in nodes}
    long = {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION}
    assert not long, f"{relative(path)}: longer than {LONGEST_FUNCTION} lines: {long}"


def is_adapter(node: ast.AST) -> bool:
    """A top-level function whose first argument is ``cfg``."""
    return isinstance(node, ast.FunctionDef) and bool(node.args.args) and node.args.args[0].arg == "cfg"


def cfg_lines(node: ast.AST) -> list[int]:
    return [
        n.lineno
        for n in ast.walk(node)
        if (isinstance(n, ast.Name) and n.id == "cfg") or (isinstance(n, ast.arg) and n.arg == "cfg")
    ]


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_cfg_stays_at_the_edges(path):
    name = path.relative_to(PACKAGE).as_posix()
    if name.startswith(CFG_ROOMS) or name in CFG_FILES or path.name == "build.py":
        return
    body = parsed(path).body
    if name.startswith(ADAPTER_FILES):
        adapters = [i for i, node in enumerate(body) if is_adapter(node)]
        classes = [i for i, node in enumerate(body) if isinstance(node, ast.ClassDef)]
        assert not adapters or not classes or min(adapters) > max(classes), (
            f"{name}: cfg adapters come after the classes"
        )
        body = [node for node in body if not is_adapter(node)]
    lines = [line for node in body for line in cfg_lines(node)]
    assert not lines, f"{name} sees cfg at lines {lines}"


@pytest.mark.parametrize("path", FILES + sorted((ROOT / "tools").glob("*.py")), ids=relative)
def test_every_file_says_what_it_is_for(path):
    if path.name == "__init__.py" and not path.read_text(encoding="utf-8").strip():
        return
    assert ast.get_docstring(parsed(path)), f"{relative(path)} has no docstring"


def test_no_room_without_a_purpose():
    bad = {"util", "utils", "misc", "helper", "helpers", "common"}
    assert not [relative(p) for p in FILES if bad & {part.removesuffix(".py") for part in p.relative_to(PACKAGE).parts}]


@pytest.mark.parametrize(
    "file, name", [("engine/train.py", "train_one_epoch"), ("runtime/evaluate.py", "score_videos")]
)
def test_the_two_loops_stay_short(file, name):
    functions = {node.name: node for node in ast.walk(parsed(PACKAGE / file)) if isinstance(node, ast.FunctionDef)}
    loop = functions[name]
    assert loop.end_lineno - loop.lineno + 1 < 40


def test_only_the_loops_move_data_to_the_device():
    """``batch.to(device)`` stands where batches are gone through, the two loops and precise BN, and nowhere else."""
    places = []
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "to":
                if isinstance(node.func.value, ast.Name) and node.func.value.id == "batch":
                    places.append(path.relative_to(PACKAGE).as_posix())
    assert sorted(places) == ["engine/precise_bn.py", "engine/train.py", "runtime/evaluate.py", "runtime/evaluate.py"]


@pytest.mark.parametrize("path", sorted((ROOT / "tools").glob("*.py")), ids=relative)
def test_tools_are_thin(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 90  # most of them say what the arguments are


def test_nothing_is_loaded_unsafely():
    for path in FILES + sorted((ROOT / "tools").glob("*.py")):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                safe = [
                    k for k in node.keywords if k.arg == "weights_only" and getattr(k.value, "value", False) is True
                ]
                assert safe, f"{relative(path)}:{node.lineno}: torch.load without weights_only=True"
                assert relative(path) in READERS, (
                    f"{relative(path)}:{node.lineno}: read_verified of checkpoint.py reads files"
                )
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pickle.load", "pickle.loads"):
                raise AssertionError(
                    f"{relative(path)}:{node.lineno}: pickles run code; read_pickle of scores/pickles.py does not"
                )
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert getattr(node.value, "value", True) is False, f"{relative(path)}:{node.lineno}: allow_pickle"
