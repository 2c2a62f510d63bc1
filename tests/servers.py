"""Real servers for the tests, each in a process of its own on the loopback interface."""

from __future__ import annotations

import subprocess
import sys
from typing import Self

import pytest

from codeact_tools.models.weights import DEFAULT_WEIGHTS, locate

_LLAMA = """
import sys
import xllamacpp
from codeact_tools.models.embedded import available_cpus
parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.n_ctx, parameters.n_parallel, parameters.verbosity, parameters.warmup = 8192, 1, -1, False
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = available_cpus()
parameters.api_keys = [sys.argv[2]]
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


class LlamaServer:
    """llama.cpp's OpenAI-compatible HTTP server with the embedded model's weights.

    It ends with the ``with`` block, and with the process that started it.
    """

    api_key = "sesame"

    def __enter__(self) -> Self:
        weights = locate(DEFAULT_WEIGHTS)
        if weights is None:
            pytest.skip("the embedded model's weights are not here: codeact-tools model fetch")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LLAMA, str(weights), self.api_key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        address = self._process.stdout.readline().strip()
        if not address.startswith("http"):
            self._process.communicate()
            raise RuntimeError("llama.cpp's server did not start; see its output above")
        self.base_url = f"{address}/v1"
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate("", timeout=30)
