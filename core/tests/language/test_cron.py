"""At which times a cron expression is due: against every minute of a year, looked at one by one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentplat.language.cron import fault_of_cron, first_times, last_times, next_times

_MINUTE = timedelta(minutes=1)
# With changes of an hour, of half an hour, of a whole day, on other dates than elsewhere, and without any.
ZONES = [
    "UTC",
    "Europe/Copenhagen",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Antarctica/Troll",
    "Asia/Kathmandu",
]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def matched(field: str, value: int, least: int, most: int) -> bool:
    for part in field.split(","):
        body, _, step = part.partition("/")
        low, _, high = body.partition("-")
        if body == "*":
            first, last = least, most
        else:
            first = int(low)
            last = int(high) if high else most if step else first
        if first <= value <= last and (value - first) % int(step or 1) == 0:
            return True
    return False


def on_the_wall(cron: str, local: datetime) -> bool:
    minute, hour, day, month, weekday = cron.split()
    if not (matched(minute, local.minute, 0, 59) and matched(hour, local.hour, 0, 23)):
        return False
    if not matched(month, local.month, 1, 12):
        return False
    by_day = matched(day, local.day, 1, 31)
    by_weekday = matched(weekday, local.isoweekday() % 7, 0, 7) or (
        local.isoweekday() == 7 and matched(weekday, 7, 0, 7)
    )
    both = day.startswith("*") or weekday.startswith("*")
    return (by_day and by_weekday) if both else (by_day or by_weekday)


def brute(cron: str, zone: ZoneInfo, since: datetime, until: datetime) -> list[datetime]:
    """Minute by minute: what the clock on the wall shows, and what it never showed."""
    minute, hour, *_ = cron.split()
    passing = minute.startswith("*") or hour.startswith("*")
    due: set[datetime] = set()
    shown: set[datetime] = set()
    at = since - timedelta(days=2)
    before = (at - _MINUTE).astimezone(zone).replace(tzinfo=None)
    while at <= until:
        local = at.astimezone(zone).replace(tzinfo=None)
        if passing:
            if on_the_wall(cron, local):
                due.add(at)
        else:
            if local not in shown and on_the_wall(cron, local):
                due.add(at)
            left_out = before + _MINUTE
            while left_out < local:  # the clock was put forward, over all of these
                if on_the_wall(cron, left_out):
                    due.add(at)
                left_out += _MINUTE
            shown.add(local)
            before = local
        at += _MINUTE
    return sorted(each for each in due if since <= each <= until)


def fields(least: int, most: int) -> st.SearchStrategy[str]:
    numbers = st.integers(least, most)
    ranges = st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.sampled_from([1, 2, 5, 7, 10, 15, 30])
    part = st.one_of(
        numbers.map(str),
        ranges,
        st.tuples(ranges, steps).map(lambda both: f"{both[0]}/{both[1]}"),
    )
    stars = st.one_of(st.just("*"), steps.map(lambda step: f"*/{step}"))
    return st.one_of(stars, part, st.lists(part, min_size=2, max_size=3).map(",".join))


crons = st.tuples(
    fields(0, 59),
    st.one_of(fields(0, 23), st.sampled_from(["1", "2", "3", "0-3", "1,2,3"])),
    st.one_of(st.just("*"), fields(1, 31)),
    st.one_of(st.just("*"), st.just("*"), fields(1, 12)),
    st.one_of(st.just("*"), fields(0, 7)),
).map(" ".join)

CHANGES = [
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # Copenhagen and Troll
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 3, 8, 7, tzinfo=UTC),  # New York, and around it St John's
    datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),  # Lord Howe
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2026, 2, 15, 2, tzinfo=UTC),  # Casablanca
    datetime(2026, 3, 22, 2, tzinfo=UTC),
    datetime(2011, 12, 30, 10, tzinfo=UTC),  # Apia, where a day is missing
]


@settings(max_examples=250, deadline=None)
@given(
    cron=crons,
    name=st.sampled_from(ZONES),
    change=st.sampled_from(CHANGES),
    before=st.integers(0, 3 * 1440),
    seconds=st.integers(0, 59),
    length=st.integers(1, 6 * 1440),
    most=st.integers(1, 40),
)
def test_times_are_those_that_the_clock_on_the_wall_shows(
    cron: str, name: str, change: datetime, before: int, seconds: int, length: int, most: int
) -> None:
    if fault_of_cron(cron):
        return
    zone = ZoneInfo(name)
    since = change - before * _MINUTE
    until = since + length * _MINUTE
    expected = brute(cron, zone, since, until)
    assert first_times(cron, zone, since, until, 10_000) == expected
    assert first_times(cron, zone, since, until, most) == expected[:most]
    assert last_times(cron, zone, since, until, most) == expected[-most:]
    after = since + timedelta(seconds=seconds, microseconds=seconds * 7)
    later = [due for due in expected if due > after]
    assert [due for due in next_times(cron, zone, after, len(later) + 1) if due <= until] == later


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        # 02:30 does not exist: at 03:00, once
        ("30 2 * * *", "Europe/Copenhagen", utc(2026, 3, 28, 12), [utc(2026, 3, 29, 1), utc(2026, 3, 30, 0, 30)]),
        ("0,30 2,3 * * *", "Europe/Copenhagen", utc(2026, 3, 29), [utc(2026, 3, 29, 1), utc(2026, 3, 29, 1, 30)]),
        # 02:30 exists twice: the first time only, wherever one looks from
        (
            "30 2 * * *",
            "Europe/Copenhagen",
            utc(2026, 10, 24, 12),
            [utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)],
        ),
        ("30 2 * * *", "Europe/Copenhagen", utc(2026, 10, 25, 1, 10), [utc(2026, 10, 26, 1, 30)]),
        # every half an hour is every half an hour
        (
            "*/30 * * * *",
            "Europe/Copenhagen",
            utc(2026, 10, 25, 0, 30),
            [utc(2026, 10, 25, 1), utc(2026, 10, 25, 1, 30)],
        ),
        ("*/30 * * * *", "Europe/Copenhagen", utc(2026, 3, 29, 0, 30), [utc(2026, 3, 29, 1), utc(2026, 3, 29, 1, 30)]),
        # where the clock is changed by half an hour, no minute of the next hour is lost
        ("*/10 3 * * *", "Australia/Lord_Howe", utc(2026, 10, 3, 12), [utc(2026, 10, 3, 16), utc(2026, 10, 3, 16, 10)]),
        ("0 0 29 2 *", "UTC", utc(2026, 1, 1), [utc(2028, 2, 29), utc(2032, 2, 29)]),
        ("0 12 13 * 5", "UTC", utc(2026, 3, 1), [utc(2026, 3, 6, 12), utc(2026, 3, 13, 12), utc(2026, 3, 20, 12)]),
    ],
)
def test_what_becomes_of_hours_that_are_left_out_or_come_twice(
    cron: str, zone: str, after: datetime, expected: Sequence[datetime]
) -> None:
    assert next_times(cron, ZoneInfo(zone), after, len(expected)) == expected


@pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 2,4,6 *"])
def test_what_is_never_due_is_refused(cron: str) -> None:
    assert "never due" in fault_of_cron(cron)


def test_a_range_of_one_with_a_step_is_refused() -> None:
    assert fault_of_cron("5-5/2 * * * *") == "`5-5/2` is no minute: 0 to 59, lists, ranges and steps (*/5)"
    assert not fault_of_cron("5/2 * * * *")


@settings(max_examples=300, deadline=None)
@given(cron=crons)
def test_whatever_is_accepted_is_due_some_time(cron: str) -> None:
    if not fault_of_cron(cron):
        assert next_times(cron, ZoneInfo("Europe/Copenhagen"), utc(2026, 1, 1), 1)


def test_the_newest_of_a_year_of_minutes_is_found_without_walking_through_the_year() -> None:
    asked: list[datetime] = []

    class Zone(ZoneInfo):
        def utcoffset(self, at: datetime | None, /) -> timedelta | None:
            assert at is not None
            asked.append(at)
            return super().utcoffset(at)

    until = utc(2026, 7, 1)
    zone = Zone.no_cache("Europe/Copenhagen")
    assert last_times("* * * * *", zone, utc(2025, 7, 1), until, 1) == [until]
    assert len(asked) < 1000
