"""The error of everything that stands in a list file, or in a file of class names beside it."""

from fragrant.errors import UserError


class ListError(UserError):
    """A list file that cannot be used; the message says where."""
