"""What two programs that read calendars, which have no code in common but dateutil, make of one.

read.py ZONE FROM TO FILE... prints a JSON list of [FILE, READER, SHIFTS or null] for each; a shift is [SUMMARY, START, END] in seconds
since the epoch. Times without a zone are in ZONE. FROM and TO are seconds, too."""

import datetime
import json
import sys
import warnings
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events
from ical.calendar_stream import IcsCalendarStream

warnings.simplefilter("ignore")
ZONE = ZoneInfo(sys.argv[1])
START, END = (datetime.datetime.fromtimestamp(int(at), datetime.timezone.utc) for at in sys.argv[2:4])
DAY = datetime.timedelta(days=1)


def instant(at):
    """Seconds since the epoch of a date, or of a time with or without a zone."""
    if not isinstance(at, datetime.datetime):
        at = datetime.datetime(at.year, at.month, at.day)
    return int((at if at.tzinfo else at.replace(tzinfo=ZONE)).timestamp())


def shifts(found):
    """Those of length, in order."""
    told = {(name, instant(start), instant(end)) for name, start, end, status in found if status != "CANCELLED"}
    return sorted(shift for shift in told if shift[1] < shift[2])


def first(text):
    """recurring-ical-events."""
    for one in recurring_ical_events.of(icalendar.Calendar.from_ical(text)).between(START, END):
        start = one["DTSTART"].dt
        if "DTEND" in one:
            end = one["DTEND"].dt
        elif "DURATION" in one:
            end = start + one["DURATION"].dt
        else:
            end = start if isinstance(start, datetime.datetime) else start + DAY
        yield str(one.get("SUMMARY")), start, end, str(one.get("STATUS", "")).upper()


def second(text):
    """ical."""
    calendar = IcsCalendarStream.calendar_from_ics(text.decode("utf-8-sig"))
    for one in calendar.timeline_tz(ZONE).overlapping(START, END):
        yield one.summary, one.start, one.end, (one.status.value if one.status else "").upper()


answers = []
for file in sys.argv[4:]:
    with open(file, "rb") as opened:
        content = opened.read()
    for name, reader in (("recurring-ical-events", first), ("ical", second)):
        try:
            answers.append((file, name, shifts(reader(content))))
        except Exception:  # pylint: disable=broad-except # whatever it is, it has nothing to say
            answers.append((file, name, None))
json.dump(answers, sys.stdout)
