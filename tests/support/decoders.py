"""Decoders of video that this machine may lack."""

import pytest

from fragrant.data.video.other_decoders import require
from fragrant.errors import UserError


def installed(backend: str) -> str:
    """The backend; skips the test, with the reason, where it cannot be used."""
    try:
        require(backend)
    except UserError as error:
        pytest.skip(str(error))
    return backend
