"""fragrant: recognising human actions in low-light video."""

__version__ = "0.1.0"
