"""What holds for the tests of the library and of its toolkits: they end the same way on any machine, however busy."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The same examples each time; `--hypothesis-profile=default` looks for others.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")
