"""What a hostile program is: an action that an agent could be talked into running.

A program prints ``ESCAPED`` where it got what it should not. The names in capitals that it uses are facts of the host,
put before it by the runner: the attacker is taken to know where everything is.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Program(NamedTuple):
    """One attempt."""

    holds: str
    """What must hold, as a sentence."""
    code: str
    waits: bool = False
    """It ends by its time limit, if all is well."""
    lite: bool = True
    """Whether it must hold without namespaces, too."""


_HELPERS: Final = """
import os
def attempt(what, function):
    try:
        value = function()
    except BaseException as error:
        print("held", what, type(error).__name__, str(error)[:60])
    else:
        print("ESCAPED", what, repr(value)[:200])
def libc(number, *arguments):
    import ctypes
    library = ctypes.CDLL(None, use_errno=True)
    result = library.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def frame(text, write=True):
    data = text.encode() if isinstance(text, str) else text
    data = len(data).to_bytes(4, "big") + data
    while write and data:
        data = data[os.write(3, data):]
    return data
"""


def program_source(program: Program, facts: dict[str, object]) -> str:
    """Return the action: the facts as constants, the helpers, the program."""
    constants = "\n".join(f"{name} = {value!r}" for name, value in facts.items())
    return f"{constants}\n{_HELPERS}\n{program.code}"
