"""The command ``codeact-tools``: folds over the events of a run, for people and for pipes."""

from __future__ import annotations

from .app import app, main

__all__ = ["app", "main"]
