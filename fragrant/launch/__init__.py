"""Launching: command line, config and processes of a run."""

from fragrant.launch.command_line import (
    add_checkpoint_arguments,
    add_common_arguments,
    argument_parser,
    config_and_environments,
    config_of,
    path_argument,
)
from fragrant.launch.exit_code import exit_code
from fragrant.launch.processes import gpu_if_any, launch, pick_device
from fragrant.launch.run_folder import choose_folder

__all__ = [
    "add_checkpoint_arguments",
    "add_common_arguments",
    "argument_parser",
    "choose_folder",
    "config_and_environments",
    "config_of",
    "exit_code",
    "gpu_if_any",
    "launch",
    "path_argument",
    "pick_device",
]
