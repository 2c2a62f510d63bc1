"""Real servers for the tests, each in a process of its own on the loopback interface."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
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
    """llama.cpp's OpenAI-compatible HTTP server, with the embedded model's weights or those of a file.

    It ends with the ``with`` block, and with the process that started it.
    """

    api_key = "sesame"

    def __init__(self, weights: Path | None = None) -> None:
        self._weights = weights

    def __enter__(self) -> Self:
        weights = self._weights or locate(DEFAULT_WEIGHTS)
        if weights is None:
            pytest.skip("the embedded model's weights are not here: codeact-tools model fetch")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LLAMA, str(weights), self.api_key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"},  # spinning starves a busy machine
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


class TransformersServer:
    """``transformers serve`` with the model of a folder, on the CPU; it ends with the ``with`` block."""

    def __init__(self, folder: Path, log: Path) -> None:
        for module in ("fastapi", "openai", "uvicorn"):
            if importlib.util.find_spec(module) is None:
                pytest.skip(f"{module} is not installed: pip install 'transformers[serving]'")
        self.model = str(folder)
        self._log = log

    def __enter__(self) -> Self:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [str(Path(sys.executable).with_name("transformers")), "serve", self.model]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "HF_HUB_OFFLINE": "1"},
                start_new_session=True,
            )
        self.base_url = f"http://127.0.0.1:{port}/v1"
        try:
            self._wait(f"http://127.0.0.1:{port}/health")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self, url: str) -> None:
        for _ in range(1200):
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"`transformers serve` did not start:\n{self._log.read_text()[-2000:]}")

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
