"""Any value of any supported type, made up by hypothesis, crosses to the action and back through all the checks."""

from __future__ import annotations

import inspect
import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, Optional, Union
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeact_tools.registry import ToolRegistry
from codeact_tools.sandbox.guest import values
from codeact_tools.sandbox.guest.classes import build_class
from codeact_tools.sandbox.guest.errors import ERRORS
from codeact_tools.sandbox.manifest import build_manifest
from codeact_tools.wire import Codec, FrameBuffer, encode_frame
from tests import contract_types as ct
from tests.equality import same


class Sample(NamedTuple):
    """A type, and values of it."""

    annotation: Any
    values: st.SearchStrategy[Any]


FLOATS = st.floats()
POINTS = st.builds(ct.Point, st.floats(allow_nan=False), st.floats(allow_nan=False))
ITEMS = st.builds(
    ct.Item,
    name=st.text(st.characters(categories=["L"]), min_size=1, max_size=5),
    price=st.decimals(min_value=0, allow_nan=False, allow_infinity=False),
    amount=st.integers(),
    tags=st.lists(st.text(max_size=3), max_size=2),
)
TREES = st.recursive(
    st.builds(ct.Tree, value=st.integers()),
    lambda inner: st.builds(ct.Tree, value=st.integers(), children=st.lists(inner, max_size=2)),
    max_leaves=4,
)
HASHABLE = [
    Sample(int, st.integers()),
    Sample(str, st.text(max_size=5)),
    Sample(bool, st.booleans()),
    Sample(bytes, st.binary(max_size=5)),
    Sample(date, st.dates()),
    Sample(UUID, st.uuids()),
    Sample(ct.Colour, st.sampled_from(ct.Colour)),
    Sample(ct.Size, st.sampled_from(ct.Size)),
    Sample(ct.Point, POINTS),
    Sample(ct.Pair, st.builds(ct.Pair, st.integers(), st.text(max_size=3))),
    Sample(tuple[int, str], st.tuples(st.integers(), st.text(max_size=3))),
]
SCALARS = [
    *HASHABLE,
    Sample(float, FLOATS),
    Sample(complex, st.complex_numbers()),
    Sample(datetime, st.datetimes(timezones=st.none() | st.timezones())),
    Sample(time, st.times()),
    Sample(timedelta, st.timedeltas()),
    Sample(Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    Sample(Fraction, st.fractions()),
    Sample(ct.Rights, st.sampled_from([ct.Rights.READ, ct.Rights.WRITE, ct.Rights(0), ct.Rights(3)])),
    Sample(ct.Item, ITEMS),
    Sample(ct.Page[ct.Item], st.builds(ct.Page[ct.Item], items=st.lists(ITEMS, max_size=2), more=st.booleans())),
    Sample(ct.Tree, TREES),
    Sample(ct.Place, st.builds(ct.Place, st.text(max_size=5), POINTS, notes=st.lists(st.text(max_size=3), max_size=2))),
    Sample(ct.Person, st.builds(ct.Person, st.text(max_size=5), st.integers())),
    Sample(ct.Range, st.builds(ct.Range, st.integers(), st.integers(min_value=0))),
    Sample(ct.Account, st.builds(ct.Account, st.text(max_size=5), st.floats(allow_nan=False))),
    Sample(
        ct.Movie, st.builds(dict, title=st.text(max_size=5)) | st.builds(dict, title=st.just(""), year=st.integers())
    ),
    Sample(ct.Box[int], st.builds(ct.Box, st.integers())),
]


def _of(container: Any, *samples: Sample) -> Any:
    """``container[T, ...]`` of the samples' types."""
    return container.__class_getitem__(tuple(each.annotation for each in samples))


def _containers(inner: st.SearchStrategy[Sample]) -> st.SearchStrategy[Sample]:
    hashable = st.sampled_from(HASHABLE)
    return st.one_of(
        inner.map(lambda one: Sample(_of(list, one), st.lists(one.values, max_size=3))),
        inner.map(lambda one: Sample(Optional[one.annotation], st.none() | one.values)),  # noqa: UP045
        st.tuples(inner, inner).map(lambda two: Sample(_of(tuple, *two), st.tuples(two[0].values, two[1].values))),
        hashable.map(lambda one: Sample(_of(set, one), st.sets(one.values, max_size=3))),
        hashable.map(lambda one: Sample(_of(frozenset, one), st.frozensets(one.values, max_size=3))),
        st.tuples(hashable, inner).map(
            lambda two: Sample(_of(dict, *two), st.dictionaries(two[0].values, two[1].values, max_size=3))
        ),
        st.tuples(st.sampled_from(HASHABLE), st.sampled_from(SCALARS)).map(
            lambda two: Sample(Union[two[0].annotation, two[1].annotation], two[0].values | two[1].values)  # noqa: UP007
        ),
    )


SAMPLES = st.recursive(st.sampled_from(SCALARS), _containers, max_leaves=4)


def _registry(annotation: Any) -> ToolRegistry:
    """One tool, ``keep``, that takes the type and returns it."""

    def keep(value: Any) -> Any:
        return value

    parameter = inspect.Parameter("value", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)
    keep.__annotations__ = {"value": annotation, "return": annotation}
    keep.__signature__ = inspect.Signature([parameter], return_annotation=annotation)  # type: ignore[attr-defined]
    return ToolRegistry([keep])


def _guest(registry: ToolRegistry, host: Codec) -> values.Codec:
    """The guest's codec with the classes of the registry."""
    guest = values.Codec()
    for error in ERRORS:
        guest.register(error.__name__, error, "")
    for entry in json.loads(json.dumps(build_manifest(registry, host)))["types"]:
        guest.register(entry["name"], build_class(entry, guest), entry["kind"])
    return guest


def _sent(value: Any) -> Any:
    [frame] = FrameBuffer(1 << 26).feed(encode_frame({"v": value}))
    return frame["v"]


@given(st.data(), SAMPLES)
@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_of_any_type_survives(data: st.DataObject, sample: Sample) -> None:
    """Checked as a result, sent in, sent back, and checked as an argument, a value is what it was, to the last bit."""
    value = data.draw(sample.values)
    registry = _registry(sample.annotation)
    spec = registry.get("keep")
    host = Codec(registry.catalog)
    guest = _guest(registry, host)
    inside = guest.decode(_sent(host.encode(spec.check_result(value))))
    back = spec.bind([host.decode(_sent(guest.encode(inside)))], {})
    assert same(back.arguments["value"], value)
