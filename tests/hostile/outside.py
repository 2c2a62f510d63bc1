"""Hostile programs that go for the host's files, secrets and network."""

# ruff: noqa: E501 - lines of the programs

from __future__ import annotations

from typing import Final

from .program import Program

FILES: Final = {
    "read_secrets": Program(
        "no file of the host can be read",
        """
for path in ("/etc/passwd", "/etc/shadow", "//etc//passwd", "/usr/../etc/passwd", "../../../../../../etc/passwd",
             "/proc/self/root/etc/passwd", "/proc/1/root/etc/passwd", "/proc/self/cwd/../../etc/passwd",
             HOME + "/.ssh/id_rsa", HOME + "/secret.txt", "/root/.bashrc", "/var/log/dmesg"):
    attempt(path, lambda: open(path, "rb").read(4000))
""",
    ),
    "list_homes": Program(
        "no folder of a user can be listed",
        """
import glob
for path in (HOME, HOME + "/.ssh", "/var", "/var/log", "/sys", "/boot"):
    attempt(path, lambda: os.listdir(path) or 1 / 0)
print(glob.glob("/home/*/.ssh/*"), glob.glob(HOME + "/*"))
""",
    ),
    "native_open": Program(
        "native code is confined like Python is",
        """
import ctypes, mmap
def raw():
    fd = libc({"x86_64": 257}.get(os.uname().machine, 56), -100, (HOME + "/secret.txt").encode(), 0, 0)
    return os.read(fd, 4000)
attempt("openat", raw)
code = mmap.mmap(-1, 4096, prot=7)
if os.uname().machine == "x86_64":
    # open(path, O_RDONLY) by the 32-bit gate, where other numbers mean other calls: 5 is open there
    code[:11] = b"\\xb8\\x05\\x00\\x00\\x00" + b"\\x31\\xc9" + b"\\xcd\\x80" + b"\\x90\\xc3"
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    print("int 0x80 returned", function())
    print("ESCAPED: the 32-bit gate is open")
""",
    ),
    "write_everywhere": Program(
        "nothing is written outside the working folder",
        """
names = ["/tmp/" + MARK, "/var/tmp/" + MARK, "/dev/shm/" + MARK, "/" + MARK, "/etc/" + MARK, HOME + "/" + MARK,
         "../" + MARK, "../../../../../../tmp/" + MARK, "/proc/self/cwd/../../" + MARK, "/run/" + MARK]
for name in names:
    try:
        open(name, "w").write("x")
        print("written (the host looks for it)", name)
    except BaseException as error:
        print("held", name, type(error).__name__)
""",
    ),
    "change_metadata": Program(
        "modes, owners, times and names of the host's files stay as they are",
        """
path = HOME + "/secret.txt"
for name, function in (("chmod", lambda: os.chmod(path, 0o777)), ("utime", lambda: os.utime(path, (1, 1))),
                       ("chown", lambda: os.chown(path, os.getuid(), os.getgid())),
                       ("truncate", lambda: os.truncate(path, 0)),
                       ("rename", lambda: os.rename(path, path + "2")), ("unlink", lambda: os.unlink(path)),
                       ("mkdir", lambda: os.mkdir(HOME + "/d")), ("rmdir", lambda: os.rmdir(HOME + "/empty")),
                       ("symlink", lambda: os.symlink("/", HOME + "/l")), ("link", lambda: os.link(path, path + "3")),
                       ("setxattr", lambda: os.setxattr(path, "user.x", b"1")), ("mkfifo", lambda: os.mkfifo(HOME + "/f")),
                       ("chmod folder", lambda: os.chmod(HOME, 0o777)), ("utime library", lambda: os.utime(os.__file__, (1, 1))),
                       ("library", lambda: open(os.__file__, "a").write("#"))):
    attempt(name, function)
""",
    ),
    "stat_host": Program(
        "names, sizes and times of the host's files are not told",
        """
for path in (HOME + "/.ssh/id_rsa", HOME + "/secret.txt", "/etc/shadow"):
    for function in (os.stat, os.lstat, os.chdir, os.statvfs):
        attempt(function.__name__ + " " + path, lambda: function(path))
    attempt("access " + path, lambda: os.access(path, os.F_OK) or 1 / 0)
""",
        lite=False,
    ),
    "devices": Program(
        "no device but null, zero and urandom",
        """
import stat
for name in ("vda", "sda", "mem", "kmsg", "kvm", "fuse", "net/tun", "tty", "ptmx", "console", "loop-control", "random", "vsock"):
    for mode in (os.O_RDONLY, os.O_RDWR):
        attempt(name, lambda: os.open("/dev/" + name, mode))
for major, minor in ((254, 0), (1, 1), (8, 0)):
    attempt("mknod", lambda: os.mknod(f"node{major}", 0o600 | stat.S_IFBLK, os.makedev(major, minor)))
""",
    ),
    "old_root": Program(
        "the host's root is not behind any descriptor or mount",
        """
for fd in range(64):
    attempt(f"fd {fd} ..", lambda: os.open("..", os.O_RDONLY, dir_fd=fd))
attempt("chroot", lambda: os.chroot("."))
attempt("mount", lambda: libc({"x86_64": 165}.get(os.uname().machine, 40), b"none", b"/scratch", b"tmpfs", 0, None))
attempt("umount", lambda: libc({"x86_64": 166}.get(os.uname().machine, 39), b"/scratch", 2))
attempt("open_by_handle_at", lambda: libc({"x86_64": 304}.get(os.uname().machine, 265), 3, b"x" * 64, 0))
for flags in (0x10000000, 0x00020000, 0x20000000, 0x40000000):
    attempt("unshare", lambda: libc({"x86_64": 272}.get(os.uname().machine, 97), flags))
""",
    ),
    "links_out": Program(
        "a link in the working folder leads nowhere outside, also not for the host that collects files",
        """
for name, target in (("a.txt", HOME + "/secret.txt"), ("b", "/"), ("c.txt", "/proc/self/environ"), ("d.txt", "/etc/passwd")):
    try:
        os.symlink(target, name)
        attempt("read " + name, lambda: open(name).read())
    except OSError as error:
        print("held", name, error)
""",
    ),
    "odd_files": Program(
        "pipes, deep folders and odd names in the working folder do not hang or break the host",
        r"""
for function in (lambda: os.mkfifo("pipe"), lambda: open("new\nline", "w"), lambda: open(b"\xff\xfe", "w"),
                 lambda: os.makedirs("/".join("d" * 60)), lambda: open("-rf", "w"), lambda: open("‮txt.exe", "w"),
                 lambda: os.symlink("loop", "loop"), lambda: open("big", "wb").truncate(1 << 40)):
    try:
        function()
    except BaseException as error:
        print("held", type(error).__name__)
""",
    ),
    "plant_code": Program(
        "no file that a later guest or the host would execute can be planted",
        """
import sys
for folder in [*sys.path, "/usr/lib/python3/dist-packages", "/usr/local/lib", HOME + "/.local/lib", os.path.dirname(os.__file__)]:
    for name in ("sitecustomize.py", "usercustomize.py", MARK + ".pth", "json.py", "tools.py", "__pycache__/os.pyc"):
        path = os.path.join(folder or ".", name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            open(path, "w").write("raise SystemExit('ESCAPED')")
            print("written", path)
        except BaseException as error:
            print("held", type(error).__name__)
""",
    ),
}

SECRETS: Final = {
    "environment": Program(
        "no environment variable of the host is visible",
        """
print(dict(os.environ))
for path in ("/proc/self/environ", "/proc/1/environ", f"/proc/{os.getppid()}/environ", f"/proc/{HOST}/environ"):
    attempt(path, lambda: open(path, "rb").read())
""",
    ),
    "descriptors": Program(
        "no descriptor of the host is open",
        """
for fd in range(256):
    if fd == 3:
        continue
    try:
        os.lseek(fd, 0, 0)
        print("fd", fd, os.read(fd, 200))
    except BaseException as error:
        pass
""",
    ),
    "proc_walk": Program(
        "/proc shows nothing of the host",
        """
try:
    numbers = [name for name in os.listdir("/proc") if name.isdigit()]
except BaseException as error:
    numbers = []
    print("held", type(error).__name__)
numbers += [str(HOST), str(VICTIM), str(os.getppid())]
for number in {*numbers} - {str(os.getpid())}:
    for name in ("cmdline", "environ", "maps", "status", "mem", "auxv"):
        attempt(f"/proc/{number}/{name}", lambda: open(f"/proc/{number}/{name}", "rb").read(1000))
    for name in ("exe", "cwd", "root", "fd/0", "ns/mnt"):
        attempt(f"/proc/{number}/{name}", lambda: os.readlink(f"/proc/{number}/{name}"))
""",
    ),
    "peer_of_bridge": Program(
        "the bridge's socket says nothing of the process at its other end, and hands out no handle of it",
        """
import socket
bridge = socket.socket(fileno=os.dup(3))
for name, option in (("PEERCRED", 17), ("PEERSEC", 31), ("PEERGROUPS", 59), ("PEERPIDFD", 77), ("SNDBUF", 7)):
    attempt(name, lambda: bridge.getsockopt(1, option, 64))
attempt("ATTACH_FILTER", lambda: bridge.setsockopt(1, 26, b"x" * 16))
attempt("out of band", lambda: bridge.send(b"x", socket.MSG_OOB))
attempt("recvmsg", lambda: bridge.recvmsg(10, 100))
attempt("sendmsg", lambda: bridge.sendmsg([b"x"], [(1, 1, b"\\0" * 4)]))
""",
    ),
    "subclass_walk": Program(
        "what can be reached through Python's objects gives no reach to the host",
        """
for kind in ().__class__.__base__.__subclasses__():
    try:
        scope = kind.__init__.__globals__
        system = scope.get("os") or scope["sys"].modules["os"]
        print(system.popen("cat /etc/passwd; env").read())
        print(system.environ, system.open(HOME + "/secret.txt", 0))
    except BaseException:
        pass
import gc
for thing in gc.get_objects():
    if type(thing).__name__ in ("Plan", "Setup", "Zygote", "socket"):
        print("seen", type(thing).__name__)
""",
    ),
    "import_tricks": Program(
        "loaders, restored imports and the module table give no reach to the host",
        """
import sys
import importlib, importlib.machinery, importlib.util
for function in (lambda: importlib.machinery.SourceFileLoader("x", "/etc/passwd").get_data("/etc/passwd"),
                 lambda: importlib.util.spec_from_file_location("m", HOME + "/hostmodule.py").loader.load_module(),
                 lambda: sys.modules["os"].listdir(HOME), lambda: __import__("_io").FileIO(HOME + "/secret.txt").read(),
                 lambda: __import__("zipimport").zipimporter("/etc/passwd"),
                 lambda: __import__("_ctypes").dlopen(HOME + "/x.so", 0),
                 lambda: __import__("posix").open(HOME + "/secret.txt", 0),
                 lambda: __import__("codeact_tools"), lambda: __import__("pydantic"), lambda: __import__("jail.zygote")):
    attempt("import", function)
sys.path.insert(0, HOME)
attempt("hostmodule", lambda: __import__("hostmodule").SECRET)
""",
    ),
}

NETWORK: Final = {
    "loopback": Program(
        "no server of the host can be reached",
        """
import socket
for family, kind, address in ((2, 1, ("127.0.0.1", TCP)), (2, 2, ("127.0.0.1", UDP)), (10, 1, ("::1", TCP6)),
                              (2, 1, ("0.0.0.0", TCP)), (1, 1, UNIX), (1, 2, UNIX_DATAGRAM), (1, 1, "\\0" + ABSTRACT)):
    def reach():
        with socket.socket(family, kind) as s:
            s.settimeout(1)
            s.connect(address)
            s.send(b"from the sandbox")
    attempt(address, reach)
attempt("socketpair datagram", lambda: socket.socketpair(1, 2))
ours, theirs = socket.socketpair()
attempt("sendto", lambda: ours.sendto(b"x", UNIX_DATAGRAM))
""",
    ),
    "outside": Program(
        "no connection goes out, no port is opened, no other protocol is spoken",
        """
import socket
for address in (("10.77.0.1", 80), ("169.254.169.254", 80), ("1.1.1.1", 53)):
    attempt(address, lambda: socket.create_connection(address, 1))
attempt("listen", lambda: socket.create_server(("0.0.0.0", 0)))
attempt("name", lambda: socket.getaddrinfo("example.com", 80))
for family, kind, protocol in ((17, 3, 0), (16, 3, 0), (2, 3, 1), (40, 1, 0), (38, 5, 0), (1, 1, 0), (44, 3, 0)):
    attempt(f"family {family}", lambda: socket.socket(family, kind, protocol))
""",
    ),
    "event_loop": Program(
        "asyncio works, and opens nothing",
        """
import asyncio
async def dial():
    await asyncio.open_connection("127.0.0.1", TCP)
attempt("open_connection", lambda: asyncio.new_event_loop().run_until_complete(dial()))
""",
    ),
}
