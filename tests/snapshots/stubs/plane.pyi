import enum
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import InitVar, dataclass
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, Never, NotRequired, TypeAlias, TypedDict, TypeVar
from . import Decimal as Decimal
from . import Item as Item
from . import date as date
from . import ShopClosed as ShopClosed
from . import ValueError as ValueError
from . import Fraction as Fraction
from . import UUID as UUID
from . import Page as Page
from . import Colour as Colour
from . import Point as Point
from . import Place as Place
from . import Person as Person
from . import Movie as Movie
from . import Pair as Pair
from . import UserId as UserId
from . import Tags as Tags
from . import Pattern as Pattern
from . import Json as Json
from . import Grade as Grade
from . import Tree as Tree
from . import Cat as Cat
from . import Dog as Dog
from . import Path as Path
from . import Rights as Rights
from . import Size as Size
from . import time as time
from . import Hound as Hound
from . import Diary as Diary
from . import Connection as Connection
from . import datetime as datetime
from . import timedelta as timedelta
from . import T as T
from . import N as N
from . import ToolError as ToolError
from . import ToolFailed as ToolFailed
from . import InvalidCall as InvalidCall
from . import ToolTimeout as ToolTimeout
from . import ToolDenied as ToolDenied
from . import InvalidResult as InvalidResult

def move(x: Point, y: timedelta = timedelta(days=1), z: Decimal = Decimal("1.5")) -> datetime:
    ...

def max_(values: list[float]) -> float:
    """The largest of the values."""
