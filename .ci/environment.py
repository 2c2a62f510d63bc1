"""Makes the virtual environment that the Makefile uses; needs nothing but Python with its standard library.

    python3 .ci/environment.py .venv --group dev -e .[check,embedded] -e toolkits/calendar

Everything after the folder goes to ``pip install``. What pip collects and downloads is shown, a line each, on stderr;
its whole output is shown only where it fails. This file must be readable by old Pythons, to tell them what is missing.
"""

from __future__ import print_function

import os
import subprocess
import sys

LEAST = (3, 11)
PIP = "pip>=25.1"  # the first that installs dependency groups


def say(line):
    """Write a line of progress."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def refuse(line):
    """End with a message that says what to do."""
    say("error: " + line)
    sys.exit(2)


def check_python():
    """Refuse a Python that is too old, or that cannot make virtual environments."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < LEAST:
        refuse(
            "Python %d.%d or newer is needed, and %s is %s. Name another: make PYTHON=/path/to/python3.12"
            % (LEAST[0], LEAST[1], sys.executable, found)
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        refuse(
            "%s has no venv module; install your system's package for it, e.g. apt-get install python%d.%d-venv"
            % (sys.executable, sys.version_info[0], sys.version_info[1])
        )


def make(folder):
    """Make the environment, unless it is there; return its Python."""
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python) or subprocess.call([python, "-c", "import pip"], stderr=subprocess.DEVNULL) != 0:
        say("Making the virtual environment " + folder)
        if subprocess.call([sys.executable, "-m", "venv", "--clear", folder]) != 0:
            refuse("the virtual environment cannot be made; the lines above say why")
    return python


def install(python, arguments):
    """Run pip and show what it collects; show all of its output where it fails."""
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    pip = subprocess.Popen(
        command + arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, errors="replace"
    )
    lines = []
    for line in pip.stdout:
        lines.append(line)
        words = line.split()
        if words[:1] == ["Downloading"] and len(words) > 2:
            name = os.path.basename(words[1]).split("-")
            say("  downloading " + " ".join(name[:2] + words[2:]))
        elif words[:2] == ["Building", "wheels"]:
            say("  building " + " ".join(words[4:]))
        elif words[:2] == ["Installing", "collected"]:
            say("  installing %d packages" % (line.count(",") + 1))
    if pip.wait() != 0:
        sys.stderr.write("".join(lines[-60:]))
        refuse("pip failed; its last lines are above. Check the network and pip's index, then run make again")


def main():
    """Make the environment and install what the command line names."""
    check_python()
    folder, arguments = sys.argv[1], sys.argv[2:]
    python = make(folder)
    say("Installing into %s (once)" % folder)
    install(python, ["--upgrade", PIP])
    install(python, arguments)


main()
