"""The benchmarks that have a command line of their own, imported when they are asked for."""

from collections.abc import Callable


def of(name: str) -> Callable[[list[str]], str]:
    """The command of ``gpu`` or ``live``: words -> the text that it prints."""
    if name == "gpu":
        from fragrant.benchmarks.gpu.command import gpu_command

        return gpu_command
    from fragrant.benchmarks.live import live_command

    return live_command
