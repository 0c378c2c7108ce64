"""environment.json of a run: the machine, the command and the versions of its last start."""

import json
import os
import socket
from pathlib import Path

import torch

from fragrant.distributed import world_size
from fragrant.engine.results import run_facts
from fragrant.files import write_whole

NAME = "environment.json"


def hardware(device: torch.device) -> str:
    """``"4 x NVIDIA H100"``, ``"cpu, 2 threads"``."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return f"{world_size()} x {name}" if world_size() > 1 else name
    processes = f"{world_size()} x " if world_size() > 1 else ""
    return f"{processes}{device.type}, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"


def write_environment(folder: str | Path, device: torch.device) -> None:
    """Writes the file; raises OSError."""
    facts = run_facts()
    content = {"started": facts.pop("date"), "host": socket.gethostname(), "hardware": hardware(device), **facts}
    if job := os.environ.get("SLURM_JOB_ID"):
        content["slurm_job"] = job
    write_whole(Path(folder, NAME), json.dumps(content, indent=1) + "\n")
