"""When actions begin and end: a class enters at a high probability and leaves at a lower one, so that none flickers."""

from collections.abc import Sequence

from fragrant.errors import UserError
from fragrant.live.messages import ActionEvent


class Hysteresis:
    """Every class by itself. Where classes share a probability of 1, at most one is in at a time as long as ``enter``
    and ``leave`` make 1 or more.

    Args:
        enter: a class begins at this probability.
        leave: it ends below this one.

    Raises:
        UserError: not 0 < leave <= enter <= 1.
    """

    def __init__(self, names: Sequence[str], *, enter: float, leave: float):
        if not 0 < leave <= enter <= 1:
            raise UserError(f"--enter {enter:g} and --leave {leave:g}: allowed is 0 < leave <= enter <= 1")
        self.names, self.enter, self.leave = names, enter, leave
        self._since: dict[int, float] = {}

    @property
    def active(self) -> dict[int, float]:
        """The classes that are in, with the time at which each began."""
        return dict(self._since)

    def update(self, time: float, probs: Sequence[float], *, clock: float = 0.0) -> list[ActionEvent]:
        """What begins and ends at this time; what ends comes first."""
        left = [number for number in self._since if not probs[number] >= self.leave]
        events = [self._event("leave", number, time, clock, probs[number], self._since.pop(number)) for number in left]
        for number, prob in enumerate(probs):
            if prob >= self.enter and number not in self._since:
                self._since[number] = time
                events.append(self._event("enter", number, time, clock, prob, time))
        return events

    def close(self, time: float, probs: Sequence[float], *, clock: float = 0.0) -> list[ActionEvent]:
        """Ends all that is in: the stream is over, or torn."""
        left = dict(self._since)
        self._since.clear()
        return [self._event("leave", number, time, clock, probs[number], since) for number, since in left.items()]

    def _event(self, kind: str, number: int, time: float, clock: float, prob: float, since: float) -> ActionEvent:
        return ActionEvent(kind, self.names[number], number, time, clock, float(prob), since)
