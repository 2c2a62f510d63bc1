"""Hostile programs that answer back: objects, exceptions and modules made to trip whoever looks at them."""

# ruff: noqa: E501 - lines of the programs

from __future__ import annotations

from typing import Final

from .program import Program

OBJECTS: Final = {
    "evil_repr": Program(
        "an object that misbehaves when it is shown is an error of the action",
        """
class Exits:
    def __repr__(self):
        raise SystemExit(3)
Exits()
""",
    ),
    "evil_class": Program(
        "classes that lie about their names and deny their methods do not confuse the report",
        """
class Meta(type):
    def __getattribute__(cls, name):
        raise SystemExit("meta " + name)
    def __instancecheck__(cls, other):
        return True
    __name__ = property(lambda cls: 1 / 0)
    __module__ = 3
class Thing(metaclass=Meta):
    __class__ = property(lambda self: 1 / 0)
    def __getattribute__(self, name):
        raise SystemExit("thing " + name)
    def __eq__(self, other):
        raise SystemExit("eq")
    __hash__ = None
    __bool__ = __len__ = __iter__ = __repr__ = __str__ = lambda self: 1 / 0
thing = Thing()
things = [thing, {1: thing}, (thing,)]
thing
""",
    ),
    "evil_error": Program(
        "an exception whose every method raises is still reported",
        """
class Evil(Exception):
    def __str__(self):
        raise SystemExit("str")
    __repr__ = __str__
    name = _call = msg = __notes__ = property(lambda self: os._exit(7) if False else 1 / 0)
    def __getattribute__(self, name):
        if name in ("__traceback__", "__cause__", "__context__", "__suppress_context__"):
            return BaseException.__getattribute__(self, name)
        raise KeyboardInterrupt(name)
raise Evil()
""",
    ),
    "evil_exit": Program(
        "SystemExit with an object that cannot be compared or shown is an error of the action",
        """
class Code:
    def __eq__(self, other):
        raise KeyboardInterrupt
    def __str__(self):
        raise MemoryError
    __repr__ = __format__ = __str__
raise SystemExit(Code())
""",
    ),
    "evil_base_error": Program(
        "an exception that is no Exception, raised again while it is shown, ends as an error or as the guest's end",
        """
class Root(BaseException):
    def __str__(self):
        raise self
    def __eq__(self, other):
        raise self
    __notes__ = ["note"] * 1000 + [Exception, 3, None, "\\ud800", "\\x1b[2J"]
raise Root("x" * 10_000_000)
""",
    ),
    "long_chain": Program(
        "an exception at the end of a long chain of others is reported in time",
        """
error = ValueError("first")
for number in range(50_000):
    following = KeyError(number)
    following.__context__ = error
    following.__cause__ = error if number % 2 else None
    error = following
raise error
""",
    ),
    "nested_groups": Program(
        "exception groups in groups in groups are reported",
        """
error = ValueError("inmost")
for number in range(5_000):
    error = ExceptionGroup(f"group {number}", [error] if number % 2 else [error, TypeError(number)])
raise error
""",
    ),
    "circular_chain": Program(
        "a chain of exceptions that closes is reported once",
        """
one, two, three = ValueError(1), KeyError(2), OSError(3)
one.__context__, two.__context__, three.__context__ = two, three, one
one.__cause__ = three
raise ExceptionGroup("all", [one, two, three]) from one
""",
    ),
    "long_traceback": Program(
        "a traceback of many frames with long lines is cut",
        """
import sys
sys.setrecursionlimit(100_000)
long = "x = [" + "1, " * 50_000 + "]; deeper(n - 1) if n else 1 / 0"
source = "def deeper(n):\\n    " + long
exec(compile(source, "<action 1>", "exec"))
import linecache
linecache.cache["<action 1>"] = (1, None, source.splitlines(True), "<action 1>")
deeper(20_000)
""",
    ),
    "odd_syntax_error": Program(
        "a SyntaxError with made-up places is reported",
        """
error = SyntaxError("x" * 100_000)
error.lineno, error.offset, error.text, error.filename, error.end_lineno, error.end_offset = 10**30, -(10**30), "\\ud800" * 1000, 3, "x", object()
error.msg = object
raise error
""",
    ),
    "odd_names": Program(
        "variables with names that are none do not confuse the report",
        """
scope = globals()
for number in range(100_000):
    scope[f"v{number}"] = number
for name in ("\\ud800", "a b", "", "x" * 100_000, "\\x1b[2J", "__builtins__2", "ª", "class"):
    scope[name] = 1
scope[3] = scope[None] = scope[()] = 1
class Text(str):
    def isidentifier(self):
        return True
    def __hash__(self):
        return 0
    def __eq__(self, other):
        raise SystemExit
dict.__setitem__(scope, Text("odd"), 1)
""",
    ),
    "empty_scope": Program(
        "a session without a name in it goes on",
        """
import sys
scope = globals()
sys.modules["__main__"] = sys.modules["tools"] = None
scope["__builtins__"] = {}
for name in list(scope):
    if name != "scope":
        del scope[name]
scope.clear()
""",
    ),
    "surrogates": Program(
        "text that is no text comes out as text",
        r"""
import sys
print("\ud800", "\udfff" * 100)
sys.stderr.write("\udcff")
sys.stdout.buffer.write(b"\xff\xfe\x00" * 100)
text = "\ud800\x00\x1b[2J\x07\u202e\u2066"
try:
    open("\udcff\udcfe", "w").write("x")
except OSError as error:
    print("held", error)
text
""",
    ),
    "terminal_escapes": Program(
        "what steers a terminal comes out as it is, as data",
        r"""
print("\x1b]0;owned\x07\x1b[2J\x1b]52;c;ZXZpbA==\x07\x9b31m\x1bP+q\x1b\\")
import tools
try:
    tools.add("\x1b]0;owned\x07", "\x1b[8m")
except BaseException as error:
    print(error)
raise ValueError("\x1b]8;;http://evil\x07click\r\n\x1b[1A")
""",
    ),
    "not_the_real_modules": Program(
        "modules that pose as pandas, as matplotlib or as the guest's own are asked nothing that hurts",
        """
import sys, types
class Poser(types.ModuleType):
    def __getattr__(self, name):
        raise SystemExit(name)
for name in ("pandas", "numpy", "matplotlib.pyplot", "PIL.Image", "linecache", "traceback", "threading", "asyncio", "difflib", "guest.link", "base64"):
    sys.modules[name] = Poser(name)
class DataFrame:
    __module__ = "pandas.core.frame"
DataFrame()
""",
    ),
    "figures_without_end": Program(
        "figures that take forever to save end at the limit",
        """
import sys, types
module = types.ModuleType("matplotlib.pyplot")
def forever():
    while True:
        pass
module.get_fignums = forever
sys.modules["matplotlib.pyplot"] = module
print("left")
""",
        waits=True,
    ),
    "frames_above": Program(
        "the frames below the action's give no tool that was not registered",
        """
import sys, threading, inspect
frame = sys._getframe()
while frame is not None:
    for name, value in {**frame.f_globals, **frame.f_locals}.items():
        if type(value).__name__ == "Link":
            for tool in ('"danger"', '"os.system"', '"__import__"', '"add"', '"tools.add"', '""'):
                try:
                    print("answer", value.call(tool, ["x"], {"a": 1}))
                except BaseException as error:
                    print("held", type(error).__name__, error)
    frame = frame.f_back
for frame in sys._current_frames().values():
    print(frame.f_code.co_filename)
for entry in inspect.stack():
    entry.frame.f_globals.clear() if "guest" in entry.filename and "link" in entry.filename else None
""",
    ),
    "import_hooks": Program(
        "finders, hooks, reloads and crafted modules give no reach to the host",
        """
import sys, importlib, importlib.machinery, importlib.util, runpy, pkgutil, types
class Finder:
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, HOME + "/hostmodule.py")
sys.meta_path.insert(0, Finder())
sys.path_hooks.clear(); sys.path_importer_cache.clear()
attempt("finder", lambda: __import__("some_other_module").SECRET)
sys.meta_path.clear()
attempt("runpy", lambda: runpy.run_path(HOME + "/hostmodule.py"))
attempt("pkgutil", lambda: pkgutil.get_data("os", "../../../../../../.." + HOME + "/secret.txt") or 1 / 0)
for folder in (".", HOME, "/tmp", "/scratch/tmp"):
    path = os.path.join(folder, "native.so")
    try:
        open(path, "wb").write(open(__import__("_ctypes").__file__, "rb").read())
    except BaseException as error:
        print("held", path, type(error).__name__)
        continue
    attempt("native " + path, lambda: importlib.machinery.ExtensionFileLoader("_ctypes", path).create_module(importlib.util.spec_from_file_location("_ctypes", path)))
    attempt("dlopen " + path, lambda: __import__("ctypes").CDLL(os.path.abspath(path)))
sys.modules["tools"] = types.SimpleNamespace(add=lambda *args: "FORGED")
importlib.import_module = importlib.__import__ = None
""",
    ),
    "late_hooks": Program(
        "finalizers, weak references, hooks and audit hooks that run later stay inside",
        """
import atexit, gc, sys, threading, weakref, tools
class Late:
    def __del__(self):
        kept.append(Late())
        try:
            tools.add(1, 1)
        except BaseException:
            pass
kept = [Late() for _ in range(100)]
kept[0].me = kept[0]
weakref.finalize(kept[1], lambda: os.write(3, b"late"))
gc.callbacks.append(lambda phase, info: tools.add(1, 1))
sys.addaudithook(lambda event, args: None)
sys.unraisablehook = threading.excepthook = sys.excepthook = lambda *args: tools.add(1, 1)
atexit.register(tools.add, 1, 1)
threading._shutdown = lambda: os.write(3, b"late")
kept.clear()
""",
    ),
    "tasks_left": Program(
        "tasks, callbacks and generators that an action left behind call nothing between two actions",
        """
import asyncio, threading, tools
async def again():
    while True:
        try:
            tools.add(1, 1)
        except BaseException:
            pass
        await asyncio.sleep(0)
loop = asyncio.new_event_loop()
loop.create_task(again())
threading.Thread(target=loop.run_forever, daemon=True).start()
def generator():
    try:
        yield 1
    finally:
        tools.add(1, 1)
left = generator()
next(left)
""",
    ),
}
