"""What holds for the tests of the library and of its toolkits: they end the same way on any machine, however busy."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# The same examples each time; `--hypothesis-profile=default` looks for others.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

# A shell that starts the tests in its background lets them, and the programs that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
