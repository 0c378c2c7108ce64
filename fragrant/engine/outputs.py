"""What a run has to leave on disk: tried at once, again whenever something else is written, and at the end."""

from collections.abc import Callable

from fragrant.errors import UserError
from fragrant.logs import RunLog


def of_the_system(error: BaseException) -> bool:
    """Whether the system hindered it (a full disk, no permission), whatever room has put that into words of its own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


class Outputs:
    """Files of one process. What cannot be written is said once, and is no error before ``missing`` is asked."""

    def __init__(self, log: RunLog):
        self.log = log
        self._waiting: dict[str, Callable[[], object]] = {}
        self._why: dict[str, str] = {}

    def write(self, name: str, make: Callable[[], object]) -> None:
        """Calls ``make``, which writes the file that people know as ``name``; keeps it for later where that fails.

        Raises:
            UserError: for another reason than the disk.
        """
        self.again()
        self._waiting.pop(name, None)
        if why := self._failure(make):
            self._waiting[name], self._why[name] = make, why
            self.log.warn(f"NOT WRITTEN: {why}; the run goes on, and tries again")

    def again(self) -> None:
        """Tries what waits."""
        for name, make in list(self._waiting.items()):
            if not self._failure(make):
                del self._waiting[name]
                self.log.say(f"{name} is written now")

    def missing(self) -> str:
        """After a last try: what could not be written, and why; "" where all is there."""
        self.again()
        if not self._waiting:
            return ""
        return f"not written: {', '.join(self._waiting)} ({'; '.join(self._why[name] for name in self._waiting)})"

    @staticmethod
    def _failure(make: Callable[[], object]) -> str:
        try:
            make()
        except (OSError, UserError, RuntimeError) as error:  # torch and zip say RuntimeError of a write that fails
            if not of_the_system(error):
                raise
            return str(error)
        return ""
