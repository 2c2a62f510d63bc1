"""Connections."""
import enum
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import InitVar, dataclass
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, Never, NotRequired, TypeAlias, TypedDict, TypeVar
from . import Connection as Connection
from . import Decimal
from . import Item
from . import date
from . import timedelta
from . import ShopClosed
from . import ValueError
from . import Fraction
from . import UUID
from . import Page
from . import Colour
from . import Point
from . import Place
from . import Person
from . import Movie
from . import Pair
from . import UserId
from . import Tags
from . import Pattern
from . import Json
from . import Grade
from . import Tree
from . import Cat
from . import Dog
from . import Path
from . import Rights
from . import Size
from . import time
from . import timezone
from . import Hound
from . import Diary
from . import datetime
from . import T
from . import N

async def fetch(connection: Connection) -> dict[str, Any]:
    ...

def watch() -> AsyncIterator[Item]:
    ...
