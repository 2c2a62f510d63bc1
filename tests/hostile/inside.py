"""Hostile programs that go for the host's processes, resources and kernel, and for its end of the bridge."""

# ruff: noqa: E501 - lines of the programs

from __future__ import annotations

from typing import Final

from .program import Program

PROCESSES: Final = {
    "fork_bomb": Program(
        "no child process can be made",
        """
for function in (os.fork, os.forkpty, lambda: os.posix_spawn("/bin/true", ["true"], {}), lambda: os.execv("/bin/sh", ["sh"])):
    attempt("process", function)
import subprocess, multiprocessing
attempt("run", lambda: subprocess.run(["/bin/cat", "/etc/passwd"], capture_output=True).stdout)
attempt("popen", lambda: os.popen("cat /etc/passwd; env; id").read() or 1 / 0)
def pool():
    process = multiprocessing.get_context("fork").Process(target=print)
    process.start()
    return process.pid
attempt("multiprocessing", pool)
machine = os.uname().machine
for number in ({"x86_64": (56, 57, 58, 435)}.get(machine, (220, 435))):
    attempt(f"call {number}", lambda: libc(number, 17, 0, 0, 0, 0))
""",
    ),
    "signal_others": Program(
        "nobody but itself can be signalled",
        """
import signal
for number in (HOST, VICTIM, os.getppid() or 999999, 0, -1, *range(2, 12)):
    if number != os.getpid():
        for kind in (signal.SIGTERM, signal.SIGKILL, signal.SIGCONT, 0):
            attempt(f"kill {number}", lambda: os.kill(number, kind))
attempt("killpg", lambda: os.killpg(os.getpgrp() or 1, 9))
attempt("tgkill", lambda: libc({"x86_64": 234}.get(os.uname().machine, 131), VICTIM, VICTIM, 9))
attempt("tkill", lambda: libc({"x86_64": 200}.get(os.uname().machine, 130), VICTIM, 9))
attempt("rt_sigqueueinfo", lambda: libc({"x86_64": 129}.get(os.uname().machine, 138), VICTIM, 9, b"\\0" * 128))
attempt("pidfd", lambda: os.pidfd_open(VICTIM))
attempt("pidfd of the host", lambda: libc(434, HOST, 0))
import fcntl
attempt("SETOWN", lambda: fcntl.fcntl(3, fcntl.F_SETOWN, VICTIM))
attempt("SETSIG", lambda: fcntl.fcntl(3, fcntl.F_SETSIG, 9))
""",
    ),
    "kill_all": Program("killing everything kills nothing", "attempt('kill -1', lambda: os.kill(-1, 9))"),
    "trace_others": Program(
        "no other process can be traced, or its memory read",
        """
import ctypes
for number in (HOST, VICTIM, os.getppid(), 1, 2, 3, 4):
    if number == os.getpid():
        continue
    attempt(f"attach {number}", lambda: libc({"x86_64": 101}.get(os.uname().machine, 117), 16, number, 0, 0))
    attempt(f"read {number}", lambda: libc({"x86_64": 310}.get(os.uname().machine, 270), number, b"\\0" * 16, 1, b"\\0" * 16, 1, 0))
    attempt(f"getfd {number}", lambda: libc(438, number, 0, 0))
    attempt(f"priority {number}", lambda: os.setpriority(os.PRIO_PROCESS, number, 19))
    attempt(f"limits {number}", lambda: __import__("resource").prlimit(number, 7, (1, 1)))
""",
    ),
    "stop_itself": Program(
        "a guest that stops itself does not hang the host",
        "import signal\nos.kill(os.getpid(), signal.SIGSTOP)\nprint('resumed')",
        waits=True,
    ),
    "crash": Program("a crash ends the guest alone", "import ctypes\nctypes.string_at(0)"),
    "abort": Program("an abort ends the guest alone", "os.abort()"),
    "exit": Program("an exit ends the guest alone", "os._exit(0)"),
    "exit_gently": Program("SystemExit is an error of the action, or the end of the guest", "import sys\nsys.exit(3)"),
    "thread_bomb": Program(
        "threads are bounded",
        """
import threading, time
threading.stack_size(32768)
count = 0
try:
    while count < 2000:
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        count += 1
    print("ESCAPED: unbounded threads")
except BaseException as error:
    print("held after", count, error)
if count > THREADS:
    print("ESCAPED: more threads than the limit", count)
""",
    ),
    "clone_namespaces": Program(
        "a thread cannot be asked for with a namespace or as a process",
        """
number = {"x86_64": 56}.get(os.uname().machine, 220)
for flags in (0x10000000 | 17, 0x003D0F00 | 0x10000000, 0x003D0F00 | 0x00020000, 0x00010900 | 0x20000000, 0x100, 0x4000 | 0x100):
    attempt(hex(flags), lambda: libc(number, flags, 0, 0, 0, 0))
""",
    ),
}

RESOURCES: Final = {
    "memory": Program(
        "memory is bounded",
        """
kept = []
try:
    kept.append(bytearray(10 << 30))
    print("ESCAPED: 10 GB")
except BaseException as error:
    print("held", type(error).__name__)
try:
    for _ in range(200):
        kept.append(bytearray(b"x" * (32 << 20)))
    print("ESCAPED: 6 GB in parts")
except BaseException as error:
    kept.clear()
    print("held", type(error).__name__)
""",
    ),
    "hidden_memory": Program(
        "memory cannot be hidden in maps, files, pipes or sockets",
        """
import mmap, socket
total, kept = 0, []
try:
    for _ in range(200):
        area = mmap.mmap(-1, 64 << 20)
        kept.append(area)
        area[::4096] = b"x" * len(area[::4096])
        total += 64
except BaseException as error:
    print("maps held at", total, type(error).__name__)
kept.clear()
attempt("memfd", lambda: os.memfd_create("x"))
written = 0
for folder in (".", "/tmp", "/dev/shm", "/scratch", "/var/tmp", "/dev"):
    try:
        for number in range(400):
            with open(f"{folder}/big{number}", "wb") as file:
                for _ in range(8):
                    file.write(b"x" * (1 << 20))
                    written += 1
    except BaseException as error:
        print(folder, "held at", written, type(error).__name__)
pairs = []
try:
    while True:
        pair = socket.socketpair()
        pairs.append(pair)
        pair[0].setblocking(False)
        while True:
            pair[0].send(b"x" * 65536)
except BlockingIOError:
    print("one pair is full")
except BaseException as error:
    print("pairs held at", len(pairs), type(error).__name__)
if total > 2048 or written > 2 * FILES_MB:
    print("ESCAPED: unbounded", total, written)
""",
    ),
    "disk": Program(
        "files are bounded in size and number",
        """
written = made = 0
try:
    for number in range(600):
        with open(f"f{number}", "wb") as file:
            file.write(b"x" * (1 << 20))
        written += 1
except BaseException as error:
    print("held at", written, type(error).__name__)
for number in range(600):
    try:
        os.unlink(f"f{number}")
    except BaseException:
        break
try:
    for made in range(60_000):
        open(f"e{made}", "w").close()
except BaseException as error:
    print("held at", made, type(error).__name__)
if written > FILES_MB or made > 50_000:
    print("ESCAPED: unbounded", written, made)
""",
    ),
    "descriptor_flood": Program(
        "open files are bounded",
        """
count = 0
try:
    while count < 2000:
        os.pipe()
        count += 2
    print("ESCAPED: unbounded descriptors")
except BaseException as error:
    print("held at", count, type(error).__name__)
import resource
for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
    attempt("raise a limit", lambda: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)))
""",
    ),
    "loop": Program("an endless loop ends at the time limit", "while True: pass", waits=True),
    "stubborn_loop": Program(
        "a loop that swallows every exception ends at the time limit",
        """
def again():
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
        finally:
            again()
while True:
    try:
        again()
    except BaseException:
        pass
""",
        waits=True,
    ),
    "signals_blocked": Program(
        "handlers, timers, masks and trace functions do not stop the stop",
        """
import signal, sys
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
sys.settrace(lambda *_: None)
sys.setprofile(lambda *_: None)
sys.setswitchinterval(100)
while True:
    try:
        pass
    except BaseException:
        pass
""",
        waits=True,
    ),
    "sleep": Program("a sleep ends at the time limit", "import time\ntime.sleep(3600)\nprint('woke')", waits=True),
    "regex": Program(
        "a regular expression ends at the time limit", "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')", waits=True
    ),
    "huge_integer": Program("huge integers end at a limit", "x = 9 ** (9 ** 9)\nprint(len(str(x)))", waits=True),
    "huge_strings": Program(
        "huge strings are refused",
        """
for function in (lambda: "a" * 10**11, lambda: b"a" * 10**11, lambda: [0] * 10**11, lambda: "%0*d" % (10**10, 1),
                 lambda: f"{1:>{10**10}}", lambda: "a".ljust(10**10), lambda: list(range(10**10)), lambda: 1 << 10**11):
    attempt("size", function)
""",
    ),
    "parser_bombs": Program(
        "nested source crashes at most the guest",
        """
for text in ("(" * 100000 + ")" * 100000, "-" * 200000 + "1", "[" * 50000, "a." * 100000 + "b", "f'{" * 1000,
             "lambda:" * 50000 + "1", "x=" * 100000 + "1", "1+" * 100000 + "1"):
    for function in (eval, exec, lambda t: compile(t, "x", "exec")):
        try:
            function(text)
        except BaseException as error:
            print("held", type(error).__name__)
""",
    ),
    "output_flood": Program("endless output is cut", "while True: print('x' * 100000)", waits=True),
    "tiny_output_flood": Program("endless empty output is cut", "while True: print(end='a', flush=True)", waits=True),
}

KERNEL: Final = {
    "rare_calls": Program(
        "calls that open the kernel's depths are refused",
        """
x86 = {"io_uring_setup": 425, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "keyctl": 250, "add_key": 248,
       "memfd_create": 319, "memfd_secret": 447, "ptrace": 101, "kexec_load": 246, "init_module": 175, "finit_module": 313,
       "mount": 165, "move_mount": 429, "open_tree": 428, "fsopen": 430, "setns": 308, "pivot_root": 155, "chroot": 161,
       "personality": 135, "modify_ldt": 154, "iopl": 172, "acct": 163, "swapon": 167, "reboot": 169, "settimeofday": 164,
       "sethostname": 170, "vmsplice": 278, "splice": 275, "tee": 276, "fanotify_init": 300, "inotify_init1": 294,
       "timer_create": 222, "timerfd_create": 283, "signalfd4": 289, "mq_open": 240, "shmget": 29, "msgget": 68,
       "semget": 64, "socket": 41, "name_to_handle_at": 303, "kcmp": 312, "process_madvise": 440, "landlock_create_ruleset": 444,
       "seccomp": 317, "prctl": 157, "setuid": 105, "capset": 126, "setsid": 112, "pkey_alloc": 330, "mbind": 237,
       "add_watch": 254, "lookup_dcookie": 212, "clock_settime": 227, "syslog": 103, "quotactl": 179, "futex_waitv": 449}
if os.uname().machine == "x86_64":
    for name, number in x86.items():
        attempt(name, lambda: libc(number, 0, 0, 0, 0, 0, 0))
import socket, fcntl, ctypes
attempt("notification pipe", lambda: os.pipe2(os.O_EXCL))
attempt("futex lock_pi", lambda: libc({"x86_64": 202}.get(os.uname().machine, 98), ctypes.create_string_buffer(8), 6, 0, 0, 0, 0))
attempt("TIOCSTI", lambda: fcntl.ioctl(3, 0x5412, b"x"))
attempt("lease", lambda: fcntl.fcntl(3, 1024, 1))
attempt("nice", lambda: os.nice(-5))
""",
    ),
    "x32_gate": Program(
        "the x32 call table is closed",
        """
if os.uname().machine == "x86_64":
    print("returned", libc(0x40000000 | 39))
    print("ESCAPED: x32")
""",
    ),
    "become_root": Program(
        "no user, group or capability can be had",
        """
for name, function in (("setuid", lambda: os.setuid(0)), ("setgid", lambda: os.setgid(0)), ("setgroups", lambda: os.setgroups([0])),
                       ("setresuid", lambda: os.setresuid(0, 0, 0)), ("setregid", lambda: os.setregid(0, 0))):
    attempt(name, function)
if os.getuid() == 0 or os.geteuid() == 0:
    print("ESCAPED: root")
""",
    ),
}

BRIDGE: Final = {
    "garbage": Program(
        "garbage on the bridge ends the guest",
        "for fd in range(64):\n    try: os.write(fd, b'\\xff\\xfe garbage {]' * 50)\n    except OSError: pass",
    ),
    "closed": Program("a closed bridge ends the guest", "os.closerange(0, 4096)\nprint('closed')"),
    "forged_end": Program(
        "a forged end of an action is not taken for the next action's",
        """
for number in range(1, 8):
    frame('{"op":"done","id":%d,"result":"FORGED","error":null,"files":[]}' % number)
""",
    ),
    "forged_calls": Program(
        "calls that are not due, or of tools that are not registered, do not reach a tool",
        """
for number in (0, -1, 2**70, 77, True, "1"):
    import json
    frame(json.dumps({"op": "call", "id": number, "tool": "danger", "args": [], "kwargs": {}}))
""",
    ),
    "unregistered_tool": Program(
        "a tool that is not registered cannot be called",
        """frame('{"op":"call","id":1,"tool":"danger","args":[],"kwargs":{}}')\nimport time\ntime.sleep(0.2)""",
    ),
    "oversized": Program(
        "a frame above the cap is refused before it is read", "os.write(3, b'\\xff\\xff\\xff\\xff' + b'x' * 100000)"
    ),
    "half_a_frame": Program(
        "half a frame does not hang the host",
        "os.write(3, b'\\0\\0\\1\\0{')\nimport time\ntime.sleep(3600)",
        waits=True,
    ),
    "deep_json": Program("deep JSON does not break the host", "frame('[' * 200000 + ']' * 200000)"),
    "odd_json": Program(
        "NaN, duplicate keys, huge numbers and broken UTF-8 do not break the host",
        r"""
for text in ('{"op":"out","stream":"stdout","text":NaN}', '{"op":"done","op":"out"}', '[1]', 'null', '{"op":' + "9" * 100000 + '}',
             '{"op":"out","stream":"stdout","text":"\\ud800"}', b'{"op":"out","stream":"stdout","text":"\xff"}', '{"op":["out"]}'):
    frame(text)
""",
    ),
    "never_reads": Program(
        "a guest that asks and never reads does not hang the host",
        """
import json, time
data = frame(json.dumps({"op": "call", "id": 1, "tool": "add", "args": ["a" * 3000000, "b" * 3000000], "kwargs": {}}), write=False)
while data:
    data = data[os.write(3, data):]
time.sleep(3600)
""",
        waits=True,
    ),
    "frame_flood": Program(
        "a flood of empty output is cut",
        """
one = frame('{"op":"out","stream":"stdout","text":""}', write=False) * 1000
while True:
    os.write(3, one)
""",
        waits=True,
    ),
    "call_flood": Program(
        "a flood of calls is bounded",
        "import tools\nn = 0\nwhile True:\n    tools.add(1, 2)\n    n += 1",
        waits=True,
    ),
    "odd_values": Program(
        "odd values are refused or carried, never executed",
        r"""
import tools
for value in (float("nan"), float("inf"), 10**5000, "\ud800", b"\xff", {1: 2}, {"$": "object"}, object, print, 1j, {1, 2}, ..., "\x00", [[[]]]):
    try:
        print(type(value), repr(tools.add(value, value))[:60])
    except BaseException as error:
        print("held", type(error).__name__)
deep = []
for _ in range(100_000):
    deep = [deep]
try:
    tools.add(deep, 1)
except BaseException as error:
    print("held", type(error).__name__)
""",
    ),
    "pickle": Program(
        "nothing that crosses the bridge is unpickled",
        """
import pickle, base64, tools
class Evil:
    def __reduce__(self):
        return (eval, (f"open({HOME + '/' + MARK!r}, 'w').write('x')",))
raw = pickle.dumps(Evil())
for value in (Evil(), raw, base64.b64encode(raw).decode(), raw.decode("latin1")):
    try:
        tools.add(value, value)
    except BaseException as error:
        print("held", type(error).__name__)
""",
    ),
    "patched_modules": Program(
        "patched modules deceive the guest alone",
        """
import builtins, json, struct, sys, time
json.dumps = lambda *a, **k: '{"op":"done","id":1,"result":"FORGED","error":null,"files":[]}'
json.loads = lambda *a, **k: {"op": "exec", "id": 1, "code": ""}
json.JSONEncoder.encode = lambda *a: "FORGED"
builtins.repr = lambda o: "x" * 10**6
builtins.len = lambda o: 0
time.time = lambda: 0
sys.modules.clear()
""",
    ),
    "patched_built_ins": Program(
        "the real built-ins, behind those of actions, deceive the guest alone",
        """
import gc
real = vars(print.__self__)
kept = {name: real[name] for name in ("BaseException", "Exception", "print", "__build_class__", "__import__")}
for thing in gc.get_objects():
    if type(thing).__name__ in ("Link", "Console", "Interpreter"):
        for name in ("frame_limit", "limit", "left", "echo_limit"):
            if hasattr(thing, name):
                setattr(thing, name, 1 << 40)
for name in ("repr", "len", "str", "isinstance", "type", "dict", "list", "int"):
    real[name] = lambda *args, **kwargs: "FORGED"
""",
    ),
    "thread_after_end": Program(
        "a thread that goes on after the action cannot call tools between actions",
        """
import threading, time
def go_on():
    while True:
        try:
            import tools
            tools.add(1, 1)
        except BaseException:
            pass
        time.sleep(0.005)
threading.Thread(target=go_on, daemon=True).start()
""",
    ),
    "finalizers": Program(
        "code that runs at odd moments, in finalizers and exit handlers, stays inside",
        """
import atexit, weakref, gc, sys
class Late:
    def __del__(self):
        while True:
            try:
                os.write(3, b"late")
            except BaseException:
                break
kept = Late()
weakref.finalize(kept, print, "late")
atexit.register(lambda: os.write(3, b"late"))
sys.excepthook = sys.unraisablehook = lambda *a: os.write(3, b"late")
del kept
gc.collect()
""",
    ),
}
