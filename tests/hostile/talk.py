"""Hostile programs that speak to the host themselves: calls and answers made by hand."""

# ruff: noqa: E501 - lines of the programs

from __future__ import annotations

from typing import Final

from .program import Program

TALK: Final = {
    "huge_numbers": Program(
        "numbers of thousands of digits in a message are refused, wherever they stand",
        """
nines = "9" * 4300
print("x" * 5_000_000)
frame('{"op":"done","id":2,"result":null,"error":{"type":"X","message":"","traceback":"","call":%s,"line":%s},"files":[["a",%s]],"dropped":%s}' % ((nines,) * 4))
import time
time.sleep(0.2)
""",
    ),
    "early_end": Program(
        "an action that ends itself early, and goes on, is not heard again",
        """
import threading, time
def later():
    for number in range(1, 60):
        time.sleep(0.005)
        frame('{"op":"out","stream":"stdout","text":"FORGED"}')
        frame('{"op":"done","id":%d,"result":"FORGED","error":null,"files":[]}' % (number % 5))
threading.Thread(target=later, daemon=True).start()
frame('{"op":"done","id":2,"result":"early","error":null,"files":[]}')
time.sleep(0.05)
""",
    ),
    "used_numbers": Program(
        "numbers of calls that were used, or are none, are refused",
        """
import tools, json
tools.add(1, 2)
for number in ("1", "2.0", "2e0", "true", "null", '"2"', "[2]", "-2", "02"):
    try:
        frame('{"op":"call","id":%s,"tool":"add","args":[1,2],"kwargs":{}}' % number)
    except OSError:
        break
""",
    ),
    "answers_of_the_host": Program(
        "what only the host may say is refused from the guest",
        """
for text in ('{"op":"return","call":1,"value":"FORGED"}', '{"op":"exec","id":3,"code":"1"}', '{"op":"init","manifest":{}}', '{"op":"ready","version":1}', '{"op":"listing","files":[]}'):
    frame(text)
""",
    ),
    "duplicate_keys": Program(
        "a message that says two things is taken for one of them at most",
        """
frame('{"op":"out","op":"call","id":1,"id":1,"tool":"danger","tool":"add","args":[1,2],"args":[3,4],"kwargs":{}}')
frame('{"op":"call","op":"done","id":2,"result":"two","result":"FORGED2","error":null,"files":[]}'.replace("FORGED2", "two"))
import time
time.sleep(0.2)
""",
    ),
    "forged_files": Program(
        "names of files that lead elsewhere are refused",
        r"""
import json
for name in ("../x", "/etc/passwd", "a/../../b", "", "a\0b", "\ud800"):
    frame(json.dumps({"op": "done", "id": 2, "result": None, "error": None, "files": [[name, 1]]}))
""",
    ),
    "slow_files": Program(
        "a guest that hands out a file byte by byte is stopped",
        """
import gc
for thing in gc.get_objects():
    if type(thing).__name__ == "Folder":
        type(thing).get = lambda self, path, offset, size: ("eA==", False)
        type(thing).changed = type(thing).listing = lambda self: [["slow.txt", 1]]
""",
    ),
    "wrong_arguments": Program(
        "hundreds of thousands of wrong arguments are answered in time",
        """
import tools
for args, kwargs in (([1] * 400_000, {}), ([], {f"a{number}": 1 for number in range(100_000)}), ([{"k" * 100_000: 1}], {"b": "x" * 1_000_000}), (["a"], {"\\ud800": 1})):
    try:
        tools.add(*args, **kwargs)
    except Exception as error:
        print("held", type(error).__name__, len(str(error)))
        if len(str(error)) > 10_000:
            print("ESCAPED: a long answer")
""",
    ),
    "forged_values": Program(
        "values with made-up tags are refused, and cost nothing",
        """
import json
nest = lambda depth: [] if not depth else [nest(depth - 1)]
values = [{"$": tag, "v": value} for tag in ("object", "float", "int", "str", "bytes", "tuple", "set", "dict", "complex", "datetime", "date", "timedelta", "decimal", "fraction",
          "uuid", "path", "pattern", "enum", "exception", "handle", "iterator", "array", "frame", "series", "image", "zone", "callable", "type", "nothing", "", None, 1, [], {})
          for value in ("", "9" * 5000, "../../../../etc/passwd", [], {}, None, 1, "(a+)+$", [[]], {"id": 1}, {"t": "add", "v": {}}, [[{}, {}]], ["1", "0"], "gASVIwAAAAAAAACMAm9zlIwGc3lzdGVtlJOUjAhlY2hvIGhpZJSFlFKULg==")]
values += [nest(100), nest(250), nest(900), {"$": "frame", "v": [{"range": [0, 10**15, 1], "name": None}, {"range": [0, 10**15, 1], "name": None}, []]},
           {"$": "series", "v": [{"range": [0, 10**15, 1], "name": None}, {"name": None, "dtype": "float64", "values": []}]}, {"$": "timedelta", "v": [10**9, 0, 0]},
           {"$": "datetime", "v": "2026-01-01T00:00:00", "z": "../../../../etc/passwd"}, {"$": "int", "v": "f" * 100_000}, {"$": "decimal", "v": "1e999999999999"},
           {"$": "fraction", "v": ["1", "0"]}, {"$": "tuple", "v": [{"$": "tuple", "v": []}] * 1000}, {"$": "dict", "v": [[{"$": "dict", "v": []}, 1]]}]
number = 0
for value in values:
    number += 1
    frame(json.dumps({"op": "call", "id": number, "tool": "add", "args": [value, value], "kwargs": {"a": value}}))
import time
time.sleep(0.5)
""",
    ),
    "strange_tools": Program(
        "no name of a tool, however long or strange, reaches anything",
        """
import json
names = ["", "add\\0", "add ", "ADD", ".add", "add.", "tools.add", "__class__", "add.__call__", "__init__", "a" * 3_000_000, "\\ud800", "\\x1b]0;owned\\x07", "../add", "{add}", "%s", "*", "$answer", "final_answer", "approve"]
for number, name in enumerate(names, 1):
    frame(json.dumps({"op": "call", "id": number, "tool": name, "args": [], "kwargs": {}}))
import time
time.sleep(0.3)
""",
    ),
    "floods_of_nothing": Program(
        "floods of cancellations, of requests for items, and of bytes one by one are cut",
        """
import tools
tools.add(1, 2)
one = frame('{"op":"cancel","call":1}', write=False)
many = one * 2000
while True:
    for start in range(len(one)):
        os.write(3, one[start:start + 1])
    os.write(3, many)
""",
        waits=True,
    ),
    "padding": Program(
        "messages padded with what nobody asked for end at the limit",
        """
body = b'{"op":"out","stream":"stdout","text":"","more":[' + b"[[]]," * 400_000 + b"1]}"
while True:
    frame(body)
""",
        waits=True,
    ),
    "big_arguments_at_once": Program(
        "large arguments sent at once from many threads are bounded",
        """
import threading, tools
big = ["x" * 1000] * 4000
def ask():
    while True:
        try:
            tools.add(big, big)
        except Exception:
            pass
for _ in range(12):
    threading.Thread(target=ask, daemon=True).start()
ask()
""",
        waits=True,
    ),
    "half_and_gone": Program(
        "a guest that ends in the middle of a message is missed by name",
        """
os.write(3, b"\\0\\1\\0\\0{\\"op\\":\\"call\\"")
os._exit(0)
""",
    ),
    "closed_one_way": Program(
        "a bridge that is shut in one direction ends the guest",
        """
import socket
bridge = socket.socket(fileno=os.dup(3))
bridge.shutdown(socket.SHUT_RD)
import tools
tools.add(1, 2)
""",
    ),
    "other_bridge": Program(
        "a bridge that is replaced by something else is missed, and no answer is taken from it",
        """
import socket
ours, theirs = socket.socketpair()
os.dup2(theirs.fileno(), 3)
ours.send(frame('{"op":"exec","id":3,"code":"print(1)"}', write=False))
""",
    ),
}
