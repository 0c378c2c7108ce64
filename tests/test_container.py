"""The container, read and not built: what is copied is there, what runs is there, torch is not installed again for a
change of the code, nothing is written as root, nothing private gets into the image."""

import json
import re
from fnmatch import fnmatch

import pytest
import yaml
from conftest import ROOT

from fragrant.config import load_cfg

LINES = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M)).splitlines()
STEPS = [tuple(line.split(maxsplit=1)) for line in LINES if line.strip()]
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def steps(word: str) -> list[str]:
    return [rest.strip() for name, rest in STEPS if name == word]


def place(word: str, text: str) -> int:
    """Where in the file the one step stands that has a text."""
    found = [at for at, (name, rest) in enumerate(STEPS) if name == word and text in rest]
    assert len(found) == 1, (word, text, found)
    return found[0]


def is_sent(path: str) -> bool:
    """Whether .dockerignore lets a path into the build: the last rule that meets it, or a folder above it, decides."""
    sent = True
    for rule in (ROOT / ".dockerignore").read_text().splitlines():
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!")
        parts = path.split("/")
        above = ["/".join(parts[: at + 1]) for at in range(len(parts))]
        if pattern.startswith("**/"):
            meets = any(fnmatch(part, pattern[3:]) for part in parts)
        else:
            meets = any(fnmatch(one, pattern) and one.count("/") == pattern.count("/") for one in above)
        if meets:
            sent = rule.startswith("!")
    return sent


def arguments() -> dict[str, str]:
    return dict(argument.split("=", 1) for argument in steps("ARG"))


def test_only_known_steps():
    assert {name for name, _ in STEPS} == {"ARG", "FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}


def test_the_base_is_an_argument():
    assert STEPS[0] == ("ARG", "BASE=python:3.12-slim-bookworm") and steps("FROM") == ["${BASE}"]
    bases = {name: service["build"]["args"]["BASE"] for name, service in SERVICES.items()}
    assert bases["demo"] == arguments()["BASE"] and bases["gpu"].startswith("nvidia/cuda:")
    for service in SERVICES.values():
        assert set(service["build"]["args"]) <= set(arguments()) and service["build"]["context"] == "."
    cuda = re.search(r"cuda:(\d+)\.(\d+)", bases["gpu"])
    assert SERVICES["gpu"]["build"]["args"]["TORCH_INDEX"].endswith(f"/cu{cuda[1]}{cuda[2]}")
    assert bases["gpu"] in (ROOT / "Dockerfile").read_text()  # the command in its first lines is the same


def test_what_is_copied_is_there_and_is_sent():
    copied = [source for rest in steps("COPY") for source in rest.split()[:-1]]
    assert {"requirements.txt", "setup.py", "fragrant", "tools", "configs"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists() and is_sent(source), source
    for path in (ROOT / "fragrant").rglob("*"):
        if "__pycache__" not in path.parts and path.is_file():
            assert is_sent(path.relative_to(ROOT).as_posix()), path


@pytest.mark.parametrize(
    "path",
    [".git/config", ".venv/bin/python", "output/a/checkpoints/b.pyth", "data/demo/a.mp4", "runs/a", "tests/conftest.py"]
    + ["fragrant/__pycache__/a.pyc", "fragrant/models/__pycache__/b.pyc", ".env", "docs/images/report.png"],
)
def test_what_stays_out(path):
    assert not is_sent(path)


def test_a_change_of_the_code_installs_nothing_again():
    torch, rest = place("RUN", "$TORCH_INDEX"), place("RUN", "-r requirements.txt")
    assert place("COPY", "requirements.txt") < torch < rest < place("COPY", "fragrant fragrant")
    assert rest < place("COPY", "setup.py") < place("RUN", "--no-deps --no-build-isolation -e .")
    assert any("PIP_NO_CACHE_DIR=1" in rest for rest in steps("ENV"))


def test_torch_is_found_among_the_requirements():
    """What sed takes out of them, in Python."""
    pattern = re.search(r"s/\^\\\((.*?)\\\)\.\*/", "\n".join(steps("RUN")))[1]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    found = [match[1] for line in lines if (match := re.match(f"({pattern}).*", line))]
    assert len(found) == 2 and all(re.fullmatch(r"torch(vision)?>=[\d.]+", name) for name in found), found


def test_nobody_is_root():
    assert STEPS[-3:-2] == [("USER", "fragrant")] and "--uid" in STEPS[place("RUN", "useradd")][1]
    written = STEPS[place("RUN", "useradd")][1]
    assert "mkdir -p data output" in written and "chmod 1777 /home/fragrant data output" in written
    for service in SERVICES.values():
        assert service["user"] == "${USER_ID:-1000}:${GROUP_ID:-1000}" and not service.get("privileged")
        mounts = {mount["target"]: mount for mount in service["volumes"]}
        assert set(mounts) == {"/app/data", "/app/output"}  # and Docker makes none of them for root
        assert all(mount["bind"] == {"create_host_path": False} for mount in mounts.values())


def test_the_command_is_that_of_the_demo():
    assert json.loads(steps("ENTRYPOINT")[0]) == ["python"]
    commands = [json.loads(steps("CMD")[0]), *(service["command"] for service in SERVICES.values())]
    for script, option, config, *pairs in commands:
        assert (ROOT / script).is_file() and option == "--cfg"
        cfg = load_cfg(ROOT / config, pairs)
        assert cfg.OUTPUT_DIR.startswith("output/") and cfg.DATA.PATH_TO_DATA_DIR.startswith("data/")
    assert commands[0] == commands[1] and load_cfg(ROOT / commands[2][2], commands[2][3:]).NUM_GPUS == 1


def test_memory_that_processes_share_is_said():
    documented = (ROOT / "docs" / "cluster.md").read_text()
    sizes = {name: service["shm_size"] for name, service in SERVICES.items()}
    assert sizes == {"demo": "64mb", "gpu": "1gb"} and "--shm-size 1g" in documented
    devices = SERVICES["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]
