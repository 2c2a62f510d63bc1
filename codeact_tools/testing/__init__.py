"""Test kit for applications, toolkits and back ends: a scripted model, a guest that nothing confines, and contracts."""

from .scripted import ReplySource, ScriptedCall, ScriptedModel
from .toolkit_contract import ToolkitContract
from .unconfined import UnconfinedSandbox

__all__ = ["ReplySource", "ScriptedCall", "ScriptedModel", "ToolkitContract", "UnconfinedSandbox"]
