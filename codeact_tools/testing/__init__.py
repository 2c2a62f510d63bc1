"""Test kit for applications, toolkits and back ends: a scripted model, and a guest that nothing confines."""

from .scripted import ReplySource, ScriptedCall, ScriptedModel
from .unconfined import UnconfinedSandbox

__all__ = ["ReplySource", "ScriptedCall", "ScriptedModel", "UnconfinedSandbox"]
