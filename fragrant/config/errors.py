"""The error of a config that cannot be used."""

from fragrant.errors import UserError

LONGEST = 2000  # characters of one problem: a value can be of any length


class ConfigError(UserError):
    """Names every problem that was found: one line each, after a line with their number if there are several."""

    def __init__(self, problems: list[str]):
        self.problems = [text if len(text) <= LONGEST else f"{text[:LONGEST]}..." for text in problems]
        many = f"{len(self.problems)} problems in the config:\n  " if len(self.problems) > 1 else ""
        super().__init__(many + "\n  ".join(self.problems))

    def __reduce__(self):  # so that it can pass from one process to another
        return type(self), (self.problems,)
