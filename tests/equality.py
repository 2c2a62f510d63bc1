"""Equality to the last bit."""

from __future__ import annotations

import math
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from pydantic import BaseModel


def same(left: Any, right: Any) -> bool:
    """Equality that tells types, signs, folds and zones apart, and takes NaN as equal to itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        signs = math.copysign(1, left), math.copysign(1, right)
        return math.isnan(left) and math.isnan(right) if left != right else signs[0] == signs[1]
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.keys()), list(right.keys())) and same(list(left.values()), list(right.values()))
    if isinstance(left, Decimal):
        return str(left) == str(right)
    if isinstance(left, datetime | time):
        return (
            left.replace(tzinfo=None) == right.replace(tzinfo=None)
            and left.fold == right.fold
            and str(left.tzinfo) == str(right.tzinfo)
        )
    if isinstance(left, BaseModel):
        return same(vars(left), vars(right)) and same(left.__pydantic_extra__, right.__pydantic_extra__)
    return bool(left == right)
