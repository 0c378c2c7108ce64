"""The config of a run: declaration, reading and checking of its keys."""

from fragrant.config.check import check_cfg, check_devices, check_training
from fragrant.config.declare import declare_key
from fragrant.config.defaults import Kind, default_cfg
from fragrant.config.errors import ConfigError
from fragrant.config.load import cfg_from_text, changed, load_cfg
from fragrant.config.yaml_text import dump_cfg

__all__ = [
    "ConfigError",
    "Kind",
    "cfg_from_text",
    "changed",
    "check_cfg",
    "check_devices",
    "check_training",
    "declare_key",
    "default_cfg",
    "dump_cfg",
    "load_cfg",
]
