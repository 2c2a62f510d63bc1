"""The confinement itself: the system call policy, the filter made of it, and machines that refuse parts of it."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the local sandbox needs Linux")

if sys.platform == "linux":
    from codeact_tools.sandbox.jail import kernel, landlock, policy, seccomp

MACHINES: Final = ("x86_64", "aarch64")
HEADERS: Final = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"),
    "aarch64": ("/usr/include/asm-generic/unistd.h",),
}
PID: Final = 1
GUEST: Final = 0x3D0F00
"""The flags with which glibc makes a thread."""


class Call(NamedTuple):
    """A system call as the filter sees it."""

    number: int
    arguments: tuple[int, ...] = ()
    arch: int | None = None


def run_filter(machine: str, call: Call, *, own_root: bool = True) -> int:
    """Interpret the filter as the kernel does, and return its action."""
    program = seccomp.build(machine, PID, own_root=own_root)
    arch = seccomp.AUDIT_ARCH[machine] if call.arch is None else call.arch
    arguments = [value & (2**64 - 1) for value in (*call.arguments, 0, 0, 0, 0, 0, 0)][:6]
    data = (call.number & 0xFFFF_FFFF).to_bytes(4, "little") + arch.to_bytes(4, "little") + bytes(8)
    data += b"".join(value.to_bytes(8, "little") for value in arguments)
    accumulator = position = 0
    while True:
        step = program[position]
        position += 1
        if step.code == 0x20:
            assert step.k % 4 == 0
            accumulator = int.from_bytes(data[step.k : step.k + 4], "little")
        elif step.code == 0x54:
            accumulator &= step.k
        elif step.code in (0x15, 0x35):
            taken = accumulator == step.k if step.code == 0x15 else accumulator >= step.k
            position += step.yes if taken else step.no
        else:
            assert step.code == 0x06
            return step.k


def number(name: str, machine: str) -> int:
    """Return the call's number; -1 where the machine has none."""
    tables = policy.READ | policy.CHANGE | {name: rule.numbers for name, rule in policy.rules(PID).items()}
    tables |= {name: numbers for name, (numbers, _) in policy.ANSWERS.items()}
    found = tables[name][seccomp.COLUMN[machine]]
    return -1 if found is None else found


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_agree_with_the_headers(machine: str) -> None:
    """Every number in the tables is the one in the kernel's header for that machine."""
    header = next((path for path in map(Path, HEADERS[machine]) if path.exists()), None)
    if header is None:
        pytest.skip(f"the headers of {machine} are not installed")
    text = header.read_text()
    known = {name: int(value) for name, value in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)\b", text)}
    aliases = {"newfstatat": ("newfstatat", "fstatat"), "fadvise64": ("fadvise64",)}
    tables: dict[str, policy.Numbers] = policy.READ | policy.CHANGE
    tables = tables | {name: numbers for name, (numbers, _) in policy.ANSWERS.items()}
    tables = tables | {name: rule.numbers for name, rule in policy.rules(PID).items()}
    column = seccomp.COLUMN[machine]
    expected = {name: value for name, numbers in tables.items() if (value := numbers[column]) is not None}
    actual: dict[str, int | None] = {}
    for name, value in expected.items():
        names = aliases.get(name, (name,))
        actual[name] = next((known[alias] for alias in names if alias in known), value if value > 450 else None)
    assert actual == expected


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("own_root", [True, False])
def test_everything_that_is_not_named_is_refused(machine: str, own_root: bool) -> None:
    """Of all call numbers, exactly those in the tables are allowed; the others fail with EPERM."""
    column = seccomp.COLUMN[machine]
    named = policy.READ | policy.CHANGE if own_root else policy.READ
    allowed = {numbers[column] for numbers in named.values()} - {None}
    decided = {rule.numbers[column] for rule in policy.rules(PID).values()}
    answered = {numbers[column]: seccomp.ERRNO | error for numbers, error in policy.ANSWERS.values()}
    for value in range(600):
        if value in decided:
            continue
        expected = seccomp.ALLOW if value in allowed else answered.get(value, seccomp.ERRNO | errno.EPERM)
        assert run_filter(machine, Call(value), own_root=own_root) == expected, value


def test_other_call_tables_kill() -> None:
    """The 32-bit and the x32 gates, where numbers mean other calls, end the process."""
    i386, arm = 0x4000_0003, 0x4000_0028
    for machine, arch in (("x86_64", i386), ("aarch64", arm), ("x86_64", seccomp.AUDIT_ARCH["aarch64"])):
        assert run_filter(machine, Call(0, arch=arch)) == seccomp.KILL_PROCESS
    for value in (0x4000_0000, 0x4000_0027, 0xFFFF_FFFF):
        assert run_filter("x86_64", Call(value)) == seccomp.KILL_PROCESS


HIGH: Final = 1 << 32
CASES: Final[list[tuple[str, tuple[int, ...], bool]]] = [
    ("clone", (GUEST,), True),
    ("clone", (GUEST | 0x40_0000,), True),  # musl
    ("clone", (17,), False),  # fork
    ("clone", (0x4111,), False),  # vfork
    ("clone", (GUEST | 0x1000_0000,), False),  # a user namespace
    ("clone", (GUEST | 0x80,), False),  # a time namespace
    ("clone", (GUEST & ~0x1_0000,), False),  # not a thread
    ("clone", (GUEST | HIGH,), False),
    ("kill", (PID, 9), True),
    ("kill", (0, 9), False),  # its process group
    ("kill", (-1, 9), False),  # everybody
    ("kill", (2, 9), False),
    ("tgkill", (PID, 5, 2), True),
    ("tgkill", (2, 2, 9), False),
    ("prlimit64", (0, 7, 0, 1), True),
    ("prlimit64", (PID, 7, 0, 1), True),
    ("prlimit64", (0, 7, 0x1000, 0), False),
    ("prlimit64", (0, 7, HIGH, 0), False),  # a pointer whose lower half is 0
    ("prlimit64", (2, 7, 0, 1), False),
    ("fcntl", (3, 4, 0), True),
    ("fcntl", (3, 1030, 0), True),
    ("fcntl", (3, 8, 2), False),  # SETOWN
    ("fcntl", (3, 10, 9), False),  # SETSIG
    ("fcntl", (3, 15, 0), False),  # SETOWN_EX
    ("fcntl", (3, 1024, 0), False),  # SETLEASE
    ("fcntl", (3, 1031, 0), False),  # SETPIPE_SZ
    ("ioctl", (1, 0x5413), True),
    ("socketpair", (1, 1, 0), True),
    ("socketpair", (1, 1 | 0o2004000, 0), True),
    ("socketpair", (1, 2, 0), False),  # datagrams can be sent to any path
    ("socketpair", (2, 1, 0), False),
    ("sendto", (3, 1, 1, 0, 0, 0), True),
    ("sendto", (3, 1, 1, 0x4000, 0, 0), True),
    ("sendto", (3, 1, 1, 1, 0, 0), False),  # out of band
    ("sendto", (3, 1, 1, 0, 0x1000, 16), False),
    ("sendto", (3, 1, 1, 0, HIGH, 16), False),
    ("recvfrom", (3, 1, 1, 0, 0x1000, 0x1000), True),
    ("recvfrom", (3, 1, 1, 1, 0, 0), False),
    ("getsockopt", (3, 1, 3), True),
    ("getsockopt", (3, 1, 17), False),  # SO_PEERCRED
    ("getsockopt", (3, 1, 77), False),  # SO_PEERPIDFD
    ("getsockopt", (3, 6, 3), False),
    ("futex", (0, 0), True),
    ("futex", (0, 0x80 | 0x100 | 9), True),
    ("futex", (0, 6), False),  # LOCK_PI
    ("futex", (0, 0x80 | 12), False),  # CMP_REQUEUE_PI
    ("pipe2", (0, 0o2004000), True),
    ("pipe2", (0, 0o200), False),  # O_EXCL: a notification queue
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("name", "arguments", "allowed"), CASES, ids=lambda value: str(value))
def test_arguments_decide(machine: str, name: str, arguments: tuple[int, ...], allowed: bool) -> None:
    """A call whose arguments matter is allowed for what a Python process needs, and for nothing else."""
    action = run_filter(machine, Call(number(name, machine), arguments))
    assert (action == seccomp.ALLOW) == allowed


@pytest.mark.parametrize("machine", MACHINES)
def test_the_unlisted_ioctls_are_no_terminals(machine: str) -> None:
    """TIOCSTI and all others answer ENOTTY, which `isatty` and its like understand."""
    for request in (0x5412, 0x5423, 0x8901, 0):
        action = run_filter(machine, Call(number("ioctl", machine), (3, request)))
        assert action == seccomp.ERRNO | errno.ENOTTY


def test_this_machine_has_a_landlock_version() -> None:
    """The version is a number; 0 means none, and then the tests of ``jail-lite`` are skipped by name."""
    assert landlock.version() >= 0
    assert kernel.MACHINE in MACHINES


REFUSING: Final = """
import asyncio, errno, json, struct, sys, ctypes
from codeact_tools.errors import SandboxUnavailable
from codeact_tools.sandbox.base import Limits, SandboxRequest
from codeact_tools.sandbox.jail import kernel
from codeact_tools.sandbox.jail.seccomp import ALLOW, ERRNO, Instruction
from codeact_tools.sandbox.local import LocalSandbox

calls = {"unshare": {"x86_64": 272, "aarch64": 97}, "mount": {"x86_64": 165, "aarch64": 40},
         "setns": {"x86_64": 308, "aarch64": 268}, "landlock": {"x86_64": 444, "aarch64": 444}}
program = [Instruction(0x20, 0)]
for name in sys.argv[2].split(","):
    error = errno.ENOSYS if name == "landlock" else errno.EPERM
    program += [Instruction(0x15, calls[name][kernel.MACHINE], 0, 1), Instruction(0x06, ERRNO | error)]
program.append(Instruction(0x06, ALLOW))
code = b"".join(struct.pack("<HBBI", s.code, s.yes, s.no, s.k) for s in program)
buffer = ctypes.create_string_buffer(code, len(code))
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
kernel.syscall("seccomp", 1, 0, struct.pack("@HP", len(program), ctypes.addressof(buffer)))

async def main():
    try:
        guest = await LocalSandbox(sys.argv[1]).open(SandboxRequest(limits=Limits(memory_mb=512)))
    except SandboxUnavailable as error:
        return str(error)
    await guest.kill()
    return guest.description
answer = {"opened": asyncio.run(main()), "probe": [[r.works, r.reason, r.advice] for r in LocalSandbox.probe()]}
print(json.dumps(answer))
"""


def on_a_machine_that_refuses(mode: str, calls: str) -> dict[str, Any]:
    """Open a sandbox in a process to which a filter refuses ``calls``, as a container's profile does."""
    done = subprocess.run([sys.executable, "-c", REFUSING, mode, calls], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


needs_landlock = pytest.mark.skipif(
    sys.platform == "linux" and not landlock.version(), reason="jail-lite cannot work here: this kernel has no Landlock"
)


@needs_landlock
@pytest.mark.parametrize("calls", ["unshare,mount,setns", "mount"], ids=["docker", "ubuntu-24.04"])
def test_auto_falls_back_to_jail_lite(calls: str) -> None:
    """Where Docker's profile refuses namespaces, or Ubuntu's AppArmor rule mounts, Landlock and seccomp stay."""
    answer = on_a_machine_that_refuses("auto", calls)
    assert answer["opened"] == "local (jail-lite)"
    jail, lite = answer["probe"]
    assert not jail[0]
    assert lite[0]


@pytest.mark.parametrize(
    ("calls", "words"),
    [("unshare,mount,setns", ("unshare", "Docker")), ("mount", ("mount", "apparmor_restrict_unprivileged_userns"))],
    ids=["docker", "ubuntu-24.04"],
)
def test_the_refusal_says_why_and_what_helps(calls: str, words: tuple[str, ...]) -> None:
    """Asked for namespaces alone, the sandbox refuses, names the step, and says what to change on the machine."""
    message = on_a_machine_that_refuses("jail", calls)["opened"]
    assert all(word in message for word in ("nothing runs unconfined", *words)), message


def test_nothing_ever_runs_unconfined() -> None:
    """Without namespaces and without Landlock there is no sandbox, and the message names both reasons."""
    message = on_a_machine_that_refuses("auto", "unshare,mount,setns,landlock")["opened"]
    assert "jail is refused at unshare" in message
    assert "jail-lite is refused at landlock" in message


def test_a_kernel_without_landlock_still_has_the_jail() -> None:
    """Namespaces and seccomp stand without Landlock; the probe says what is missing."""
    answer = on_a_machine_that_refuses("auto", "landlock")
    if "refused" in answer["opened"]:
        pytest.skip(f"namespaces do not work here: {answer['opened']}")
    assert answer["opened"] == "local (jail)"
    works, reason, advice = answer["probe"][0]
    assert works
    assert "no Landlock" in reason
    assert "lsm=" in advice
