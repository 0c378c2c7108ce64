"""fragrant: recognising human actions in low-light video."""

from fragrant import plugins as plugins  # so that a child process finds what it unpickles
from fragrant.version import __version__ as __version__


def load_model(checkpoint, **options):
    """Loads a trained model: ``fragrant.load_model("best.pyth").predict("video.mp4").name``. The name of a model that
    ships with the package serves as well, ``"dark6-xs"``. Options: see ``fragrant.inference.build.load_predictor``."""
    from fragrant.inference.build import load_predictor  # imported late: importing the package costs nothing
    from fragrant.zoo import checkpoint_named

    return load_predictor(checkpoint_named(checkpoint), **options)
