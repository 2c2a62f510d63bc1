"""A small server that speaks E2B's protocols, for tests without the cloud: the unmodified SDK works against it.

It has what the E2B back end uses, and what goes wrong with it: the control plane (keys, create, connect, list, timeout
and expiry, pause, kill) and the daemon in each sandbox (processes, files). A sandbox is a folder and real processes of
this machine: **it confines nothing**. Needs the extra ``e2b-test``.

    with E2BServer() as server:
        sandbox = E2BSandbox(**server.options)      # or set the variables of `server.environment`
        server.faults.round_trip = 0.02             # as if it were 20 ms away

Paths of the files API are relative to the sandbox's home, which is also where its commands start; absolute ones are
below the sandbox's folder, whereas its commands see this machine's root.
"""

from .faults import Failure, Faults
from .server import E2BServer

__all__ = ["E2BServer", "Failure", "Faults"]
