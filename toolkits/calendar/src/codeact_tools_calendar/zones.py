"""Wall-clock times in the world's time zones, from the IANA database."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from codeact_tools import tool

from .errors import InvalidTime, UnknownTimeZone, nearest


@cache
def _known_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def zone_named(name: str) -> ZoneInfo:
    """Return a zone by its IANA name.

    Raises:
        UnknownTimeZone: There is none; the message gives near names.
    """
    known = _known_zones()
    if name in known:
        return ZoneInfo(name)
    city = _city(name.replace(" ", "_"))
    of_city = sorted(zone for zone in known if _city(zone) == city)
    hint = f"; did you mean {' or '.join(map(repr, of_city))}?" if of_city else nearest(name, sorted(known))
    raise UnknownTimeZone(f"no time zone is named {name!r}{hint or '; names look like ' + repr('Europe/Berlin')}")


def _city(zone: str) -> str:
    return zone.rpartition("/")[2].casefold()


@tool(read_only=True, idempotent=True)
def convert_time(time: datetime, from_zone: str, to_zone: str) -> datetime:
    """Convert a wall-clock time of one time zone into another.

    Args:
        time: The local time in `from_zone`, without a zone of its own.
        from_zone: IANA name of its zone, e.g. "Europe/Berlin".
        to_zone: IANA name of the zone to convert to, e.g. "America/New_York".

    Returns:
        The same moment as the clocks of `to_zone` show it, with its offset from UTC.

    Raises:
        UnknownTimeZone: A zone's name is not in the IANA database.
        InvalidTime: `time` has a zone already, or the clocks of `from_zone` skip it.

    Examples:
        >>> convert_time(datetime(2026, 12, 24, 18, 0), "Europe/Berlin", "Asia/Tokyo").isoformat()
        '2026-12-25T02:00:00+09:00'
    """
    if time.tzinfo is not None:
        raise InvalidTime(f"{time.isoformat()} has a zone already; pass it without one: {time.replace(tzinfo=None)!r}")
    source, target = zone_named(from_zone), zone_named(to_zone)
    local = time.replace(tzinfo=source)
    try:
        moment = local.astimezone(UTC)
        converted = with_fixed_offset(moment, target)
    except OverflowError as error:
        raise InvalidTime(f"{time} in {from_zone} is outside the calendar in {to_zone}") from error
    if moment.astimezone(source).replace(tzinfo=None) != time:
        raise InvalidTime(f"{time} does not exist in {from_zone}: the clocks skip it; pass a later time")
    return converted


def with_fixed_offset(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return ``moment`` as ``zone`` shows it, with a fixed offset: any reader of the value understands that."""
    return datetime.fromisoformat(moment.astimezone(zone).isoformat())


@tool(read_only=True)
def current_time(zone: str = "UTC") -> datetime:
    """Tell the present date and time in a time zone.

    Args:
        zone: IANA name of the zone, e.g. "Europe/Berlin".

    Returns:
        Now, to the second, with its offset from UTC; `.date()` of it is today.

    Raises:
        UnknownTimeZone: The zone's name is not in the IANA database.

    Examples:
        >>> current_time("Europe/Berlin").utcoffset() >= current_time("UTC").utcoffset()
        True
    """
    return with_fixed_offset(datetime.now(UTC).replace(microsecond=0), zone_named(zone))
