"""What this machine allows, found out by doing it: a throwaway zygote and one confined guest for each mode.

Looking at settings instead would mislead: under Ubuntu's rule for AppArmor ``unshare`` succeeds and only ``mount`` is
refused, and container profiles refuse things that no setting shows.
"""

from __future__ import annotations

import errno
import json
import os
from typing import Final

from . import kernel
from .launcher import SOURCE, Forked, Gone, Refused, Report, Zygote, await_end
from .lockdown import Order
from .zygote import Setup

_CONFINE_SECONDS: Final = 20.0
_SMALL: Final = Order(memory_mb=512, files_mb=1, threads=4)


def attempt(*, jail: bool) -> Refused | Report:
    """Start a zygote and a guest in it, and end both; return what the zygote says of itself, or what was refused."""
    try:
        zygote = Zygote(Setup(jail, str(SOURCE / "guest")))
    except Refused as refusal:
        return refusal
    except (Gone, OSError) as error:
        return Refused("start", None, str(error))
    try:
        forked = zygote.fork(_SMALL)
        try:
            await_confined(forked)
        finally:
            kernel.pidfd_send_signal(forked.pidfd, 9)
            await_end(forked.pidfd, 1.0)
            os.close(forked.pidfd)
            forked.bridge.close()
    except Refused as refusal:
        return refusal
    except (Gone, OSError) as error:
        return Refused("confine", None, str(error))
    else:
        return zygote.report
    finally:
        zygote.close()


def await_confined(forked: Forked) -> None:
    """Wait for the guest's first byte, by which it says that it is confined.

    Raises:
        Refused: It is not, and has ended.
    """
    bridge = forked.bridge
    bridge.settimeout(_CONFINE_SECONDS)
    try:
        first = bridge.recv(1)
        if first == b"+":
            return
        report = b""
        while first == b"-" and (part := bridge.recv(1 << 16)):
            report += part
    except TimeoutError:
        raise Refused("confine", None, f"the guest was not ready within {_CONFINE_SECONDS:.0f} s") from None
    except ConnectionError as error:
        raise Refused("confine", error.errno, str(error)) from error
    reason = json.loads(report).strip().splitlines()[-1] if report else "the guest ended while it was being confined"
    raise Refused("confine", None, reason)


def advice(refusal: Refused) -> str:
    """Say what would make the refused mode work."""
    if refusal.step == "unshare" and refusal.errno == errno.ENOSPC:
        return "Raise the number of user namespaces: `sysctl user.max_user_namespaces=10000`."
    if refusal.step == "unshare":
        return (
            "New namespaces are refused, as in Docker's default profile, or by the administrator for all. "
            "In Docker, run with a seccomp profile that allows `unshare` and `mount`, or as root with "
            "`--cap-add SYS_ADMIN --security-opt apparmor=unconfined`; on Debian set "
            "`sysctl kernel.unprivileged_userns_clone=1`."
        )
    if refusal.step in ("user map", "mount"):
        return (
            "Namespaces can be made but nothing can be mounted in them, as under Ubuntu's AppArmor rule: set "
            "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or give this Python an AppArmor profile with "
            "`userns,`."
        )
    if refusal.step == "landlock":
        return "Landlock needs Linux 5.13 or newer with `landlock` among the boot parameter `lsm=`."
    if refusal.step.startswith("import "):
        return "The package has to be importable without network, /proc and files of its own outside its folder."
    return "This is unexpected: please report it with the output of `codeact-tools doctor`."
