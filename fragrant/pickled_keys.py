"""Keys of dicts in a pickle, looked at before it is read: thousands that share a hash would take a reader for ever, and
whole numbers beyond 2**61 and tuples of small ones can be made to share one. Texts cannot: their hashes are random."""

import pickle
import pickletools
from typing import Any, BinaryIO

LARGEST = 2**60
MOST = 1000  # keys of other kinds in one file; those of checkpoints are texts and small whole numbers

_WHOLE = {"int", "long", "int_or_bool"}
_SETS = {"set", "frozenset"}  # what an early protocol makes of a list
_DICTS = {"OrderedDict", "Counter", "dict", "defaultdict"}


def _kind(operation: Any, argument: Any, made: str) -> str:
    """What a value is, as far as it matters for a key: "big" and "tuple" are hard ones."""
    if operation.name in ("GLOBAL", "STACK_GLOBAL"):
        return str(argument).rpartition(" ")[2] if argument else "?"
    if operation.name == "EMPTY_TUPLE":
        return "()"
    return "big" if made in _WHOLE and isinstance(argument, int) and abs(argument) >= LARGEST else made


def _hard(kinds: list[Any]) -> int:
    return sum(kind in ("big", "tuple") for kind in kinds)


def check_keys(pickled: BinaryIO) -> None:
    """Counts the hard keys of the pickle that begins here, without making anything of it; reads to its end. What is no
    pickle is left to its reader.

    Raises:
        UnpicklingError: they are more than MOST.
    """
    stack: list[Any] = []  # of each value its kind; None is a mark
    memo: dict[int, Any] = {}
    keys = listed = 0
    text = ""  # the last one: STACK_GLOBAL takes its name from there
    try:
        for operation, argument, _ in pickletools.genops(pickled):
            taken = _since_mark(stack) if pickletools.markobject in operation.stack_before else []
            match operation.name:
                case "SETITEM":
                    keys += _hard(stack[-2:-1])
                case "SETITEMS" | "DICT":
                    keys += _hard(taken[::2])
                case "ADDITEMS" | "FROZENSET":
                    keys += _hard(taken)
                case "APPEND":
                    listed += _hard(stack[-1:])
                case "APPENDS" | "LIST":
                    listed += _hard(taken)
                case "REDUCE" if stack[-2] in _SETS or stack[-2] in _DICTS and stack[-1] != "()":
                    keys += listed
            if keys > MOST:
                raise pickle.UnpicklingError(
                    f"more than {MOST} keys of its dicts are no texts or numbers of usual size"
                )
            text = argument if isinstance(argument, str) else text
            _step(operation, text if operation.name == "STACK_GLOBAL" else argument, stack, memo)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, EOFError):
        return


def _since_mark(stack: list[Any]) -> list[Any]:
    """Takes what stands behind the last mark, and the mark."""
    taken: list[Any] = []
    while (top := stack.pop()) is not None:
        taken.append(top)
    return taken[::-1]


def _step(operation: Any, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    """What an operation does to the stack; what is behind a mark is taken already."""
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
    stack.extend(_kind(operation, argument, made.name) for made in operation.stack_after)
