"""Hostile programs that use up what they were given: files that change while they are read, locks, memory, recursion."""

# ruff: noqa: E501 - lines of the programs

from __future__ import annotations

from typing import Final

from .program import Program

FILES_AGAIN: Final = {
    "links_by_folder": Program(
        "no link, hard or soft, and no folder's descriptor leads to a file of the host",
        """
for name, target in (("home", HOME), ("root", "/"), ("up", "../../../../../.."), ("self", "/proc/self"), ("fd", "/dev/fd"), ("link", "home")):
    try:
        os.symlink(target, name)
    except OSError as error:
        print("held", name, error)
for path in ("home/secret.txt", "root" + HOME + "/secret.txt", "up" + HOME + "/secret.txt", "self/environ", "self/root" + HOME + "/secret.txt", "link/secret.txt"):
    attempt(path, lambda: open(path, "rb").read())
    attempt("write " + path, lambda: open(path, "ab").write(b"x"))
for flags in (os.O_PATH, os.O_RDONLY | os.O_DIRECTORY):
    attempt("folder", lambda: os.open(HOME + "/.ssh", flags) if flags != os.O_PATH else 1 / 0)
for source in (HOME + "/secret.txt", "/etc/passwd", os.__file__):
    attempt("link " + source, lambda: os.link(source, "hard"))
    attempt("link by descriptor", lambda: os.link(source, "hard", src_dir_fd=os.open("/", os.O_RDONLY)))
import shutil
for function in (shutil.copy, shutil.copytree, shutil.move):
    attempt(function.__name__, lambda: function(HOME, "copy"))
""",
    ),
    "swapped_files": Program(
        "a file that turns into a link while the host collects it shows nothing else",
        """
import threading
def swap():
    targets = [HOME + "/secret.txt", "/etc/passwd", "/proc/self/environ", "/dev/zero", "/"]
    while True:
        for target in targets:
            try:
                open("swap.tmp", "w").write("x")
                os.replace("swap.tmp", "out.txt")
                os.symlink(target, "swap.tmp")
                os.replace("swap.tmp", "out.txt")
            except OSError:
                pass
threading.Thread(target=swap, daemon=True).start()
""",
    ),
    "growing_file": Program(
        "a file that grows while the host collects it is bounded",
        """
import threading
try:
    file = open("grows.txt", "wb")
except OSError as error:
    print("held", error)
else:
    file.write(b"x"); file.flush()
    def grow():
        while True:
            try:
                os.write(file.fileno(), b"x" * 65536)
            except OSError:
                os.ftruncate(file.fileno(), 0)
    threading.Thread(target=grow, daemon=True).start()
""",
    ),
    "many_files": Program(
        "thousands of files with every kind of name are listed, or left out, and hurt nobody",
        r"""
names = ["a\x1b]0;owned\x07", "new\nline", "\u202etxt.exe", "..", "...", "-rf", "a\\..\\..\\b", "C:evil", "con", "a" * 255, " ", "\u2028", "%s%n", "{0}", "'; drop table", "<script>", "\r\n"]
for name in names + [f"file{number}" for number in range(12_000)]:
    try:
        with open(name, "w") as file:
            file.write("x")
    except OSError as error:
        pass
deep = "."
try:
    for _ in range(400):
        deep += "/d"
        os.mkdir(deep)
except OSError as error:
    print("held", error)
""",
    ),
    "sparse_files": Program(
        "a file that claims a terabyte is refused",
        """
for size in (1 << 40, 1 << 62, FILES_MB + 1 << 20):
    for function in (lambda file: file.truncate(size), lambda file: os.posix_fallocate(file.fileno(), 0, size), lambda file: os.pwrite(file.fileno(), b"x", size)):
        try:
            with open(f"sparse{size}", "wb") as file:
                function(file)
            print("ESCAPED", size, os.stat(f"sparse{size}").st_size)
        except OSError as error:
            print("held", error)
""",
    ),
    "file_locks": Program(
        "locks on files end with the guest, and hold nobody else's file",
        """
import fcntl
for path in (os.__file__, "/dev/null", "/dev/zero", "/etc/ld.so.cache", HOME + "/secret.txt"):
    try:
        with open(path, "rb") as file:
            attempt("write lock " + path, lambda: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB))
            attempt("flock " + path, lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB))
            attempt("lease " + path, lambda: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK))
            attempt("notify " + path, lambda: fcntl.fcntl(file, fcntl.F_NOTIFY, 1))
    except OSError as error:
        print("held", path, error)
""",
    ),
    "working_folder_gone": Program(
        "a working folder that is taken away is missed by the guest alone",
        """
import shutil
for function in (lambda: os.chmod(".", 0), lambda: shutil.rmtree("."), lambda: os.rmdir(os.getcwd()), lambda: os.rename(os.getcwd(), os.getcwd() + "2"),
                 lambda: os.chdir("/"), lambda: os.umask(0o777)):
    try:
        print(function())
    except OSError as error:
        print("held", error)
""",
    ),
}

GROWTH: Final = {
    "growth_in_native_code": Program(
        "memory that grows inside of C code is bounded",
        """
import bz2, collections, decimal, io, itertools, json, lzma, mmap, array, zlib
bomb = zlib.compress(b"\\0" * (200 << 20), 9)
def stack(step):
    kept = []
    while True:
        kept.append(step())
for name, function in {"zlib": lambda: stack(lambda: zlib.decompress(bomb)), "lzma": lambda: stack(lambda: lzma.LZMACompressor(preset=9)), "array": lambda: array.array("d", bytes(8)) * (1 << 32),
                       "deque": lambda: collections.deque(itertools.repeat(1), 1 << 34), "product": lambda: list(itertools.product(range(1000), repeat=1000)),
                       "tuple": lambda: tuple(itertools.count()), "bytes": lambda: b"".join(itertools.repeat(b"x" * (1 << 20))), "text": lambda: io.StringIO().write("x" * (1 << 34)),
                       "decimal": lambda: str(decimal.Context(prec=decimal.MAX_PREC).power(decimal.Decimal(3), 10**9)), "counter": lambda: collections.Counter(itertools.count()),
                       "map": lambda: mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000), "shared": lambda: stack(lambda: mmap.mmap(-1, 1 << 28)),
                       "huge pages": lambda: stack(lambda: mmap.mmap(-1, 1 << 28, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000))}.items():
    try:
        function()
        print("ESCAPED", name)
    except (MemoryError, OverflowError, OSError, ValueError, decimal.DecimalException) as error:
        print("held", name, type(error).__name__)
""",
        waits=True,
    ),
    "deep_recursion": Program(
        "recursion without a limit, in Python and in C, ends the guest at most",
        """
import sys
sys.setrecursionlimit(10**9)
deep = ()
for _ in range(2_000_000):
    deep = (deep,)
print("made")
del deep
chain = iter(())
import itertools
for _ in range(1_000_000):
    chain = itertools.chain(chain)
def down(n):
    return down(n + 1)
try:
    down(0)
except BaseException as error:
    print(type(error).__name__)
""",
        waits=True,
    ),
    "error_flood": Program(
        "an endless line on stderr, and on every descriptor, is cut",
        """
import sys, warnings, logging
warnings.simplefilter("always")
while True:
    sys.stderr.write("x" * 50_000_000)
    warnings.warn("y" * 100_000)
    logging.error("z" * 100_000)
    for fd in (0, 1, 2):
        try:
            os.write(fd, b"w" * 100_000)
        except OSError:
            pass
""",
        waits=True,
    ),
}
