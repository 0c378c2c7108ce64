"""The one base class of every error that the user's input can cause."""


class UserError(ValueError):
    """Wrong input: says what, got, allowed, where, in one line.

    The command line tools print such an error without a traceback and exit with code 2. Rooms derive
    their own class (``ConfigError``, ``ListError``, ...), so that callers can tell them apart.
    """


class RunStopped(RuntimeError):
    """The run cannot go on, though nothing is wrong with the input (the loss stays non-finite, ...).

    Printed as one line as well; the exit code is 1.
    """


class LostContact(RunStopped):
    """Another process of the run has ended or hangs: its own message tells why."""
