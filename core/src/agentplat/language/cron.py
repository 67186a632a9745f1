"""Cron expressions: what is wrong with one, and at which times it is due in a timezone.

The calendar is cronsim's, asked without a timezone. What becomes of the hours that a change of the clock leaves out or
repeats is decided here, as Debian's cron does: where minute and hour are fixed, a time that is left out is made up for
at the next time that there is, and one that comes twice counts the first time; where one of them begins with `*`, time
goes on as it passes, so nothing is made up for and what comes twice is due twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_WORDS = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "weekday": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}
_PART = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", re.ASCII)
_SOME_DAY = datetime(2024, 1, 1)  # noqa: DTZ001  # of a leap year
_SECOND, _MINUTE, _HOUR, _DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))


def fault_of_cron(cron: str) -> str:
    """Why it is no cron expression of five fields, or one that is never due; empty when nothing is wrong."""
    fields = cron.split()
    if len(fields) != len(_FIELDS):
        return f"`{cron}` has {len(fields)} fields"
    for text, (name, least, most) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            found = _PART.fullmatch(part)
            numbers = [_number(word, name, least) for word in found.groups()[:2] if word] if found else [None]
            known = [number for number in numbers if number is not None and least <= number <= most]
            # `5-5/2` is one minute to some, and many to cronsim.
            strange = found is not None and (found[3] == "0" or (found[3] and known[1:] == known[:1]))
            if found is None or len(known) < len(numbers) or known != sorted(known) or strange:
                return f"`{part}` is no {name}: {least} to {most}, lists, ranges and steps (*/5)"
    try:
        due = next(CronSim(cron, _SOME_DAY), None)
    except CronSimError:
        due = None
    return "" if due is not None else f"`{cron}` is never due"


def zone_of(name: str) -> ZoneInfo | None:
    """The timezone of that name; None when there is none, or when machines differ on what it is."""
    if name.partition("/")[0] in ("localtime", "posixrules", "posix", "right", "Factory"):
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return None


def next_times(cron: str, zone: tzinfo, after: datetime, most: int) -> list[datetime]:
    """The first times after `after`, at most so many, in UTC and in order, each once."""
    return list(islice(_times(cron, zone, after), most))


def last_times(cron: str, zone: tzinfo, since: datetime, until: datetime, most: int) -> list[datetime]:
    """The newest times from `since` to `until`, at most so many, in UTC and in order; both ends count."""
    reach = _HOUR
    while True:
        # From an end that is near to one that is further away: a year of minutes need not be walked through for one.
        start = max(since, until - reach)
        found = [due for due in _until(cron, zone, start - _SECOND, until) if due >= start]
        if len(found) >= most or start == since:
            return found[max(len(found) - most, 0) :]
        reach *= 4


def first_times(cron: str, zone: tzinfo, since: datetime, until: datetime, most: int) -> list[datetime]:
    """The earliest times from `since` to `until`, at most so many, in UTC and in order; both ends count."""
    found = (due for due in _until(cron, zone, since - _SECOND, until) if due >= since)
    return list(islice(found, most))


def _until(cron: str, zone: tzinfo, after: datetime, until: datetime) -> Iterator[datetime]:
    for due in _times(cron, zone, after):
        if due > until:
            return
        yield due


def _times(cron: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    minute, hour, *_ = cron.split()
    passing = minute.startswith("*") or hour.startswith("*")
    after = after.astimezone(UTC).replace(microsecond=0)
    return _as_time_passes(cron, zone, after) if passing else _at_fixed_times(cron, zone, after)


def _at_fixed_times(cron: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    for local in CronSim(cron, after.astimezone(zone).replace(tzinfo=None)):
        due = local.replace(tzinfo=zone).astimezone(UTC)
        # One that is left out comes, by the offset before the change, as long after it as it would have been.
        while (due - _MINUTE).astimezone(zone).replace(tzinfo=None) > local:
            due -= _MINUTE
        if due > after:
            yield due
            after = due


def _as_time_passes(cron: str, zone: tzinfo, at: datetime) -> Iterator[datetime]:
    """From one change of the clock to the next: in between, local time is as far from UTC as it was."""
    offset = _offset(zone, at + _SECOND)
    while True:
        changes_at: datetime | None = None
        for local in CronSim(cron, (at + offset).replace(tzinfo=None)):
            due = local.replace(tzinfo=UTC) - offset
            changes_at = _change(zone, at, due)
            if changes_at is not None:
                break
            yield due
            at = due
        if changes_at is None:
            return
        at, offset = changes_at - _SECOND, _offset(zone, changes_at)


def _change(zone: tzinfo, after: datetime, until: datetime) -> datetime | None:
    """The first second in which the offset of the zone is another one than at `after`; None: up to `until` it stays."""
    low, offset = after, _offset(zone, after + _SECOND)
    while low < until:
        high = min(low + _DAY, until)
        if _offset(zone, high) != offset:
            while high - low > _SECOND:
                middle = low + (high - low) // _SECOND // 2 * _SECOND
                low, high = (low, middle) if _offset(zone, middle) != offset else (middle, high)
            return high
        low = high
    return None


def _offset(zone: tzinfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta(0)


def _number(word: str, name: str, least: int) -> int | None:
    if word == "*":
        return least
    words = _WORDS.get(name, [])
    if word.lower() in words:
        return words.index(word.lower()) + (1 if name == "month" else 0)
    return int(word) if word.isdecimal() else None
