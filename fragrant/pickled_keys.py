"""Keys of dicts in a pickle, looked at before it is read: thousands that share a hash would take a reader for ever, and
whole numbers beyond 2**61 and tuples of small ones can be made to share one. Texts cannot: their hashes are random."""

import pickle
import pickletools
from typing import Any, BinaryIO

LARGEST = 2**60
MOST = 1000  # keys of other kinds in one file; those of checkpoints are texts and small whole numbers

_ADDED = ("SETITEM", "SETITEMS", "DICT", "ADDITEMS", "FROZENSET")
_TEXTS = {"pyunicode", "str", "bytes", "bytes_or_str"}
_WHOLE = {"int", "long", "int_or_bool", "bool"}


def _kind(name: str, argument: Any) -> bool:
    """Whether a value of this kind is a usual key."""
    if name in _WHOLE:
        return not isinstance(argument, int) or abs(argument) < LARGEST
    return name in _TEXTS


def check_keys(pickled: BinaryIO) -> None:
    """Counts the unusual keys of the pickle that begins here, without making anything of it; reads to its end. What
    is no pickle is left to its reader.

    Raises:
        UnpicklingError: they are more than MOST.
    """
    stack: list[Any] = []  # of each value whether it would be a usual key; None is a mark
    memo: dict[int, Any] = {}
    unusual = 0
    try:
        for operation, argument, _ in pickletools.genops(pickled):
            taken: list[Any] = []
            if pickletools.markobject in operation.stack_before:
                while (top := stack.pop()) is not None:
                    taken.append(top)
                taken.reverse()
            elif operation.name in ("SETITEM", "APPEND"):
                taken = [stack[-2], stack[-1]] if operation.name == "SETITEM" else []
            if operation.name in _ADDED:
                keys = taken if operation.name in ("ADDITEMS", "FROZENSET") else taken[::2]
                unusual += sum(not usual for usual in keys)
                if unusual > MOST:
                    raise pickle.UnpicklingError(
                        f"more than {MOST} keys of its dicts are no texts or numbers of usual size"
                    )
            _step(operation, argument, stack, memo)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, EOFError):
        return


def _step(operation: Any, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    """What an operation does to the stack; what is before a mark is taken already."""
    before = operation.stack_before
    if pickletools.markobject in before:
        before = before[: before.index(pickletools.markobject)]
    if operation.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
        memo[len(memo) if argument is None else argument] = stack[-1]
        return
    if operation.name == "MARK":
        stack.append(None)
        return
    if operation.name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
        return
    if operation.name == "DUP":
        stack.append(stack[-1])
        return
    del stack[len(stack) - len(before) :]
    stack.extend(_kind(made.name, argument) for made in operation.stack_after)
