"""Hostile programs with native means: system calls by number, memory by address, signals."""

# ruff: noqa: E501 - lines of the programs

from __future__ import annotations

import platform
from typing import Final

from codeact_tools.sandbox.jail import policy

from .program import Program

_COLUMN: Final = 0 if platform.machine().lower() in ("x86_64", "amd64") else 1
_LISTED: Final = policy.READ | policy.CHANGE | {name: rule.numbers for name, rule in policy.rules(1).items()}
_KNOWN: Final = sorted(
    {numbers[_COLUMN] for numbers in _LISTED.values()} | {numbers[_COLUMN] for numbers, _ in policy.ANSWERS.values()},
    key=lambda number: -1 if number is None else number,
)
_PROBES: Final = (335, 336) if _COLUMN == 0 else ()
"""uretprobe and uprobe: the kernel passes them by every filter, and ends whoever calls them from another place than its
own trampoline."""

CALLS: Final = {
    "every_other_call": Program(
        "every system call that the policy does not name is refused, whatever its number",
        f"""
import ctypes
library = ctypes.CDLL(None, use_errno=True)
known = {[*_KNOWN, *_PROBES]}
for number in range(700):
    if number not in known:
        ctypes.set_errno(0)
        result = library.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
        if result != -1 or ctypes.get_errno() != 1:
            print("ESCAPED", number, result, ctypes.get_errno())
print("swept")
""",
    ),
    "high_halves": Program(
        "the upper half of an argument does not slip past a check of the lower",
        """
x86 = os.uname().machine == "x86_64"
high = 1 << 32
for flags in (17 | high, 0x003D0F00 | high, 0x003D0F00 | 0x10000000, 0x003D0F00 | 0x00008000, 0x0):
    attempt(f"clone {flags:#x}", lambda: libc(56 if x86 else 220, flags, 0, 0, 0, 0))
attempt("prlimit", lambda: libc(302 if x86 else 261, 0, 7, high, 0))
attempt("sendto", lambda: libc(44 if x86 else 206, 3, 0, 0, 0, high, 16))
attempt("kill", lambda: libc(62 if x86 else 129, VICTIM | high, 0))
attempt("kill a group", lambda: libc(62 if x86 else 129, -os.getpid(), 0))
attempt("tgkill", lambda: libc(234 if x86 else 131, -1, VICTIM, 0))
attempt("socketpair of packets", lambda: libc(53 if x86 else 199, 1, 5, 0, b"\\0" * 8))
attempt("socketpair of IP", lambda: libc(53 if x86 else 199, 2 | high, 1, 0, b"\\0" * 8))
attempt("ioctl", lambda: libc(16 if x86 else 29, 3, 0x5412 | high, b"x"))
attempt("fcntl", lambda: libc(72 if x86 else 25, 3, 8 | high, VICTIM))
""",
    ),
    "socket_calls": Program(
        "no socket can be made, named, connected, or made to carry a descriptor",
        """
x86 = os.uname().machine == "x86_64"
import socket
ours, theirs = socket.socketpair()
path = b"\\1\\0" + UNIX.encode() + b"\\0"
abstract = b"\\1\\0\\0" + ABSTRACT.encode()
for name, number in {"connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242), "sendmsg": (46, 211),
                     "recvmsg": (47, 212), "sendmmsg": (307, 269), "recvmmsg": (299, 243), "setsockopt": (54, 208)}.items():
    for fd in (3, ours.fileno()):
        for address in (path, abstract, b"\\2\\0" + TCP.to_bytes(2, "big") + b"\\x7f\\0\\0\\1" + b"\\0" * 8):
            attempt(name, lambda: libc(number[0] if x86 else number[1], fd, address, len(address), 0, 0, 0))
for family in range(1, 46):
    for kind in (1, 2, 3, 5):
        attempt(f"socket {family} {kind}", lambda: libc(41 if x86 else 198, family, kind, 0))
attempt("rights", lambda: socket.send_fds(ours, [b"x"], [3]))
attempt("connect by module", lambda: ours.connect(UNIX))
""",
    ),
    "own_process": Program(
        "the guest's own entry in /proc shows nothing and gives no way around",
        """
for name in ("mem", "maps", "smaps", "environ", "fd", "fdinfo", "mountinfo", "mounts", "ns", "task", "status", "stat", "auxv", "cmdline", "cgroup",
             "net/tcp", "net/unix", "limits", "oom_score_adj", "uid_map", "root/etc/passwd", "cwd/../secret.txt", "timers", "attr/current"):
    for top in ("/proc/self/", "/proc/thread-self/", f"/proc/{os.getpid()}/"):
        attempt(top + name, lambda: open(top + name, "rb").read(4000))
        attempt("list " + top + name, lambda: os.listdir(top + name))
for name in ("version", "cmdline", "kallsyms", "kcore", "keys", "key-users", "meminfo", "modules", "mounts", "net/tcp", "net/unix", "sys/kernel/hostname",
             "sys/kernel/core_pattern", "sysrq-trigger", "timer_list", "sysvipc/shm", "locks", "swaps", "diskstats", "interrupts"):
    attempt(name, lambda: open("/proc/" + name, "rb").read(4000))
for name in ("/sys/kernel/security/lsm", "/sys/class/net", "/sys/fs/cgroup", "/sys/kernel/debug", "/sys/class/dmi/id/product_uuid", "/etc/machine-id", "/etc/hostname",
             "/etc/resolv.conf", "/etc/ssl", "/run/secrets", "/var/run/docker.sock", "/var/lib", "/dev/shm", "/dev/mqueue", "/dev/pts", "/lost+found"):
    attempt(name, lambda: open(name, "rb").read(4000))
    attempt("list " + name, lambda: os.listdir(name) or 1 / 0)
""",
    ),
    "other_tasks": Program(
        "no call tells of another process: its clock, its processors, its group, its priority, its locks",
        """
import time, ctypes
x86 = os.uname().machine == "x86_64"
for number in (HOST, VICTIM):
    if number != os.getpid():
        attempt(f"clock {number}", lambda: time.clock_gettime((~number << 3) | 2))
        attempt(f"affinity {number}", lambda: os.sched_getaffinity(number))
        attempt(f"group {number}", lambda: os.getpgid(number))
        attempt(f"session {number}", lambda: os.getsid(number))
        attempt(f"scheduler {number}", lambda: os.sched_getscheduler(number))
        attempt(f"priority {number}", lambda: os.getpriority(os.PRIO_PROCESS, number))
        attempt(f"robust list {number}", lambda: libc(274 if x86 else 100, number, b"\\0" * 8, b"\\0" * 8))
        attempt(f"limits {number}", lambda: libc(302 if x86 else 261, number, 7, 0, b"\\0" * 16))
        attempt(f"kcmp {number}", lambda: libc(312 if x86 else 272, os.getpid(), number, 0, 0, 0))
        attempt(f"move pages {number}", lambda: libc(279 if x86 else 239, number, 0, 0, 0, 0, 0))
""",
        lite=False,
    ),
    "processor_burst": Program(
        "machine code, in 64 and in 32 bits, meets the same filter",
        """
import ctypes, mmap
if os.uname().machine == "x86_64":
    page = mmap.mmap(-1, 4096, prot=7)
    run = lambda: ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    for number in (41, 56, 57, 59, 101, 165, 272, 425, 321, 323):  # socket, clone, fork, execve, ptrace, mount, unshare, io_uring, bpf, userfaultfd
        page[:32] = (b"\\x31\\xff\\x31\\xf6\\x31\\xd2\\x45\\x31\\xd2\\x45\\x31\\xc0\\xb8" + number.to_bytes(4, "little") + b"\\x0f\\x05\\xc3").ljust(32, b"\\x90")
        if (result := run()) >= 0:
            print("ESCAPED", number, result)
    # a far return into 32-bit code, and getpid by the gate there: the number means another call
    page[:32] = b"\\x6a\\x23\\x68\\x00\\x00\\x00\\x00\\xcb".ljust(32, b"\\x90")
    print("far return", run())
    print("ESCAPED: 32-bit code goes on")
""",
    ),
    "torn_memory": Program(
        "an interpreter whose memory is torn apart takes nobody with it",
        """
import ctypes, gc
for thing in gc.get_objects()[::7]:
    ctypes.memset(id(thing) + 16, 0x41, 24)
gc.collect()
print("still here")
""",
    ),
    "torn_types": Program(
        "basic types with other methods deceive the guest alone",
        """
import ctypes, gc
methods = gc.get_referents(str.__dict__)[0]
for name in ("encode", "join", "startswith", "partition"):
    methods[name] = lambda *args: "FORGED"
gc.get_referents(dict.__dict__)[0]["get"] = lambda *args: "FORGED"
gc.get_referents(int.__dict__)[0]["to_bytes"] = lambda *args: b"\\0\\0\\0\\2"
ctypes.pythonapi.PyType_Modified(ctypes.py_object(str))
ctypes.pythonapi.PyType_Modified(ctypes.py_object(int))
""",
    ),
    "raised_elsewhere": Program(
        "an exception put into the main thread, again and again, ends as the action's or the guest's",
        """
import ctypes, threading, time
main = threading.main_thread().ident
def raiser():
    for kind in (KeyboardInterrupt, SystemExit, MemoryError, RecursionError, StopIteration) * 400:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(main), ctypes.py_object(kind))
        time.sleep(0.0005)
threading.Thread(target=raiser, daemon=True).start()
import tools
for _ in range(1000):
    try:
        tools.add(1, 2)
    except BaseException:
        pass
""",
    ),
}

SIGNALS: Final = {
    "own_interrupts": Program(
        "interrupts that the action sends itself, without end, garble nothing",
        """
import signal, threading, time
def interrupt():
    while True:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.0003)
threading.Thread(target=interrupt, daemon=True).start()
import tools
for _ in range(2000):
    try:
        tools.add(1, 2)
    except KeyboardInterrupt:
        pass
""",
    ),
    "every_signal": Program(
        "no signal that the action sends itself hangs the host",
        """
import signal
signal.alarm(1)
for number in range(64, 0, -1):
    if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGCONT, signal.SIGWINCH, signal.SIGURG, 32, 33):
        try:
            signal.signal(number, lambda *_: None)
            signal.raise_signal(number)
        except (OSError, ValueError) as error:
            print("held", number, error)
for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGSTOP):
    signal.signal(number, signal.SIG_DFL) if number != signal.SIGSTOP else None
    os.kill(os.getpid(), number)
os.kill(os.getpid(), signal.SIGKILL)
""",
    ),
    "blocked_for_later": Program(
        "signals blocked and handlers set by one action do not make the next one unstoppable",
        """
import signal, sys, threading
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.set_wakeup_fd(-1)
sys.settrace(lambda *_: None)
threading.settrace(lambda *_: None)
sys.setprofile(lambda *_: 1 / 0)
""",
    ),
    "queued_signals": Program(
        "signals that are queued for the guest take none of the user's share",
        """
import signal, threading
signal.pthread_sigmask(signal.SIG_BLOCK, range(34, 65))
count = 0
try:
    while count < 5000:
        signal.pthread_kill(threading.get_ident(), 40)
        count += 1
    print("ESCAPED: unbounded", count)
except OSError as error:
    print("held at", count, error)
if count > 200:
    print("ESCAPED: a share of the user's signals", count)
""",
    ),
    "timers_left": Program(
        "timers that go on after the action end nothing but the guest",
        """
import signal
signal.signal(signal.SIGALRM, lambda *_: os.write(3, b""))
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
signal.setitimer(signal.ITIMER_PROF, 0.02)
""",
    ),
}
