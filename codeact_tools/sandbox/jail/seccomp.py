"""The seccomp filter: `policy` assembled into the kernel's classic BPF, and installed for good.

The program reads ``struct seccomp_data`` {int nr; u32 arch; u64 instruction_pointer; u64 args[6]}, little endian on
both architectures, and returns an action. Reference: ``Documentation/userspace-api/seccomp_filter.rst`` of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from . import kernel, policy

if TYPE_CHECKING:
    from collections.abc import Iterable

ALLOW: Final = 0x7FFF_0000
KILL_PROCESS: Final = 0x8000_0000
ERRNO: Final = 0x0005_0000

AUDIT_ARCH: Final = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
COLUMN: Final = {"x86_64": 0, "aarch64": 1}
_X32_BIT: Final = 0x4000_0000

_LOAD, _AND, _RETURN, _IF_EQUAL, _IF_AT_LEAST = 0x20, 0x54, 0x06, 0x15, 0x35
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGUMENTS = 0, 4, 16
_INSTRUCTION: Final = struct.Struct("<HBBI")
_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1


class Instruction(NamedTuple):
    """One ``struct sock_filter``; ``yes`` and ``no`` are the instructions to skip."""

    code: int
    k: int
    yes: int = 0
    no: int = 0


def build(machine: str, pid: int, *, own_root: bool) -> list[Instruction]:
    """Return the filter for ``machine``; ``pid`` is the only process that may be signalled: the guest itself."""
    column = COLUMN[machine]
    program = [
        # Another architecture's call table (int 0x80 on x86-64) would give the numbers below other meanings.
        Instruction(_LOAD, _OFFSET_ARCH),
        Instruction(_IF_EQUAL, AUDIT_ARCH[machine], 1, 0),
        Instruction(_RETURN, KILL_PROCESS),
        Instruction(_LOAD, _OFFSET_NUMBER),
    ]
    if machine == "x86_64":  # the x32 calls: the same table once more, behind this bit
        program += [Instruction(_IF_AT_LEAST, _X32_BIT, 0, 1), Instruction(_RETURN, KILL_PROCESS)]
    allowed = policy.READ | policy.CHANGE if own_root else policy.READ
    for first, last in _ranges(numbers[column] for numbers in allowed.values()):
        program += [
            Instruction(_IF_AT_LEAST, first, 0, 2),
            Instruction(_IF_AT_LEAST, last + 1, 1, 0),
            Instruction(_RETURN, ALLOW),
        ]
    for numbers, error in policy.ANSWERS.values():
        program += _when(numbers[column], [Instruction(_RETURN, ERRNO | error)])
    for rule in policy.rules(pid).values():
        program += _when(rule.numbers[column], _checked(rule))
    program.append(Instruction(_RETURN, ERRNO | errno.EPERM))
    return program


@functools.cache
def assemble(pid: int, *, own_root: bool) -> bytes:
    """Return the filter for this machine as ``struct sock_filter[]``; kept, for the guests that see the same pid."""
    program = build(kernel.MACHINE, pid, own_root=own_root)
    return b"".join(_INSTRUCTION.pack(step.code, step.yes, step.no, step.k) for step in program)


def install(pid: int, *, own_root: bool) -> None:
    """Put this process, all of its threads and whatever they become under the filter; there is no way back.

    Needs ``no_new_privs``.
    """
    code = assemble(pid, own_root=own_root)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog {unsigned short len; struct sock_filter *filter;}, padded to the pointer's alignment
    header = struct.pack("@HP", len(code) // _INSTRUCTION.size, ctypes.addressof(buffer))
    if thread := kernel.syscall("seccomp", _SET_MODE_FILTER, _FLAG_TSYNC, header):
        raise OSError(errno.ESRCH, f"thread {thread} cannot be put under the filter", "seccomp")


def _when(number: int | None, body: list[Instruction]) -> list[Instruction]:
    """Run ``body``, which returns, when the call's number is in the accumulator; else skip it."""
    return [] if number is None else [Instruction(_IF_EQUAL, number, 0, len(body)), *body]


def _checked(rule: policy.Rule) -> list[Instruction]:
    body: list[Instruction] = []
    for check in reversed(rule.checks):  # from the last check, so that each one knows how far away the refusal is
        offset = _OFFSET_ARGUMENTS + 8 * check.argument + 4 * check.high
        load = [Instruction(_LOAD, offset)]
        if check.mask != 0xFFFF_FFFF:
            load.append(Instruction(_AND, check.mask))
        count = len(check.values)
        refusal = len(body) + 1  # skips the later checks and the permission
        tests = [
            Instruction(_IF_EQUAL, value, count - 1 - index, 0 if index < count - 1 else refusal)
            for index, value in enumerate(check.values)
        ]
        body = [*load, *tests, *body]
    return [*body, Instruction(_RETURN, ALLOW), Instruction(_RETURN, ERRNO | rule.error)]


def _ranges(numbers: Iterable[int | None]) -> list[tuple[int, int]]:
    """Join neighbouring numbers: the filter runs on every call, so it is kept short."""
    joined: list[tuple[int, int]] = []
    for number in sorted(number for number in numbers if number is not None):
        if joined and joined[-1][1] == number - 1:
            joined[-1] = (joined[-1][0], number)
        else:
            joined.append((number, number))
    return joined
