"""Where and how `TransformersModel` loads its weights, and what to do where it cannot."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigurationError, ModelUnavailable

_IN_4_BITS = 0.6
"""Bytes of a weight in memory: 4 bits with their scales, and the layers that stay whole."""


class Plan(NamedTuple):
    """Where and how the weights are loaded."""

    device: str
    load_in_4bit: bool


def make_plan(device: str | None, load_in_4bit: bool | None) -> Plan:
    """Choose what the caller left open.

    Raises:
        ConfigurationError: Libraries are missing, or the device is not there.
    """
    need("torch", "transformers", "accelerate")
    torch: Any = importlib.import_module("torch")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is not None and device.startswith("cuda"):
        _check_device(device, gpus, torch.__version__)
    device = device or ("cuda" if gpus else "cpu")
    if load_in_4bit is None:
        load_in_4bit = device.startswith("cuda") and importlib.util.find_spec("bitsandbytes") is not None
    if load_in_4bit:
        need("bitsandbytes")
    return Plan(device, load_in_4bit)


def _check_device(device: str, gpus: int, version: str) -> None:
    if not gpus:
        msg = (
            f"device is {device!r}, and torch {version} sees no CUDA device: check `nvidia-smi`, and that "
            "torch is no CPU build; device='cpu' works for small models"
        )
        raise ConfigurationError(msg)
    number = device.partition(":")[2] or "0"
    if not number.isdecimal() or int(number) >= gpus:
        there = ", ".join(f"cuda:{index}" for index in range(gpus))
        raise ConfigurationError(f"device is {device!r}, and there is no such one; torch sees {there}")


def need(*modules: str) -> None:
    """Check that ``modules`` can be imported.

    Raises:
        ConfigurationError: Some are not installed.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        msg = f"this model needs {', '.join(missing)}; run `pip install 'codeact-tools[transformers]'`"
        raise ConfigurationError(msg)


def load(source: str, plan: Plan, options: dict[str, Any]) -> tuple[Any, Any]:
    """Return the tokenizer and the model.

    Args:
        source: A name on the hub, or a folder.
        plan: Where and how.
        options: More arguments for ``from_pretrained``.

    Raises:
        ModelUnavailable: There is no such model, it is not open to the user, or memory is too small for it.
    """
    check_memory(source, plan)
    with load_errors(source, plan):
        library: Any = importlib.import_module("transformers")
        torch: Any = importlib.import_module("torch")
        shared = {name: options[name] for name in ("revision", "gguf_file", "local_files_only") if name in options}
        tokenizer = library.AutoTokenizer.from_pretrained(source, **shared)
        if plan.load_in_4bit:
            quantization = library.BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=torch.bfloat16,
            )
            options = {**options, "quantization_config": quantization}
        whole = plan.device == "cpu" and not plan.load_in_4bit  # most CPUs have no arithmetic in bfloat16
        dtype = torch.float32 if whole else torch.bfloat16
        model = library.AutoModelForCausalLM.from_pretrained(
            source, **{"dtype": dtype, "device_map": {"": plan.device}, **options}
        )
        return tokenizer, model.eval()


def check_memory(source: str, plan: Plan) -> None:
    """Refuse a folder's weights that cannot fit, before minutes are spent on loading them.

    Raises:
        ModelUnavailable: They cannot.
    """
    sizes = [file.stat().st_size for file in Path(source).glob("*.safetensors")] if Path(source).is_dir() else []
    gpu = plan.device.startswith("cuda")
    if not sizes or not (gpu or plan.device == "cpu"):
        return
    if gpu:
        torch: Any = importlib.import_module("torch")
        free = torch.cuda.mem_get_info(plan.device)[0]
    else:
        psutil: Any = importlib.import_module("psutil")  # accelerate brings it
        free = psutil.virtual_memory().available
    needed = sum(sizes) / _stored_bytes(Path(source)) * (_IN_4_BITS if plan.load_in_4bit else 2 if gpu else 4)
    if needed > free:
        remedy = "free some, or use a smaller model" if plan.load_in_4bit else "load_in_4bit=True needs a quarter"
        what = "GPU memory" if gpu else "memory"
        msg = f"{source!r} needs about {needed / 1e9:.1f} GB of {what}, and {free / 1e9:.1f} GB are free; {remedy}"
        raise ModelUnavailable(msg)


def _stored_bytes(folder: Path) -> int:
    """Return the bytes of a weight on disk, by the folder's configuration; most models have two."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 2  # loading will tell what is wrong
    return 4 if "float32" in (config.get("dtype"), config.get("torch_dtype")) else 2


@contextlib.contextmanager
def load_errors(source: str, plan: Plan) -> Iterator[None]:
    """Map whatever loading raises.

    Raises:
        ModelUnavailable: In place of it.
    """
    try:
        yield
    except (ModelUnavailable, ConfigurationError):
        raise
    except Exception as error:
        raise ModelUnavailable(_explain(source, plan, error)) from error


def _explain(source: str, plan: Plan, error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    name = type(error).__name__
    if isinstance(error, MemoryError) or any(
        sign in f"{name} {text}" for sign in ("OutOfMemory", "out of memory", "dispatched on the CPU", "t allocate")
    ):
        remedy = "free some, or use a smaller model" if plan.load_in_4bit else "try load_in_4bit=True"
        return f"the memory of {plan.device!r} is too small for {source!r}; {remedy}"
    if "Gated" in name or "gated" in text:
        return f"{source!r} is gated: accept its terms on the hub, then log in with `hf auth login` ({text})"
    if isinstance(error, OSError) and Path(source).is_dir():
        return (
            f"the folder {source!r} holds no complete model of transformers: it needs config.json, *.safetensors and "
            f"a tokenizer ({text})"
        )
    if isinstance(error, OSError):
        return (
            f"there is no model {source!r}: no folder of that name, nothing in the hub's cache, and no download. "
            f"Check the name and the network, or pass the path of a folder ({text})"
        )
    return f"{source!r} cannot be loaded: {name}: {text}"
