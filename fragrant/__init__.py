"""fragrant: recognising human actions in low-light video."""

__version__ = "0.1.0"


def load_model(checkpoint, **options):
    """``fragrant.load_model("best.pyth").predict("video.mp4").name``; see ``fragrant.engine.build.load_predictor`` for the options."""
    from fragrant.engine.build import load_predictor  # imported late: importing the package costs nothing

    return load_predictor(checkpoint, **options)
