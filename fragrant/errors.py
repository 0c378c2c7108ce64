"""The one base class of every error that the user's input can cause."""


class UserError(ValueError):
    """Wrong input: says what, got, allowed, where, in one line.

    The command line tools print such an error without a traceback and exit with code 2. Rooms derive
    their own class (``ConfigError``, ``ListError``, ...), so that callers can tell them apart.
    """
