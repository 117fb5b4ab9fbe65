"""A rota over a year and a half as python-icalendar writes it: weeks by turns from two weeks ago on, with exceptions of every kind.

write.py ZONE prints it; ZONE is what TZID is to be called in it."""

import datetime
import sys
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vCalAddress

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
BERLIN = ZoneInfo("Europe/Berlin")
DAY, WEEK = datetime.timedelta(days=1), datetime.timedelta(weeks=1)
LOCAL = NOW.astimezone(BERLIN)
# A Monday, 09:00 by the clock.
MONDAY = (LOCAL - LOCAL.weekday() * DAY - 2 * WEEK).replace(hour=9, minute=0, second=0)

calendar = Calendar()
calendar.add("prodid", "-//site//rota//EN")
calendar.add("version", "2.0")
calendar.add("x-wr-calname", "Site rota")


def event(uid, who, start, end, **more):
    """Adds an event whose only attendee is `who`."""
    one = Event()
    for key, value in {"uid": uid, "summary": who, "dtstamp": NOW, "dtstart": start, "dtend": end, **more}.items():
        one.add(key.replace("_", "-"), value)
    invited = vCalAddress(f"MAILTO:{who.title()}@example.com")
    invited.params["CN"] = f"{who.title()}, on call: tonight; and; longer, so that the line is folded"
    invited.params["ROLE"] = "REQ-PARTICIPANT"
    one.add("attendee", invited, encode=0)
    calendar.add_component(one)


UNTIL = (MONDAY + 50 * WEEK).astimezone(datetime.timezone.utc)
event("a", "alice", MONDAY, MONDAY + WEEK, rrule={"freq": "weekly", "interval": 2}, exdate=[MONDAY + 6 * WEEK])
event("b", "bob", MONDAY + WEEK, MONDAY + 2 * WEEK, rrule={"freq": "weekly", "interval": 2, "until": UNTIL})
# Moved, called off, and given to somebody else.
event("b", "bob", MONDAY + 3 * WEEK + DAY, MONDAY + 4 * WEEK, recurrence_id=MONDAY + 3 * WEEK)
event("b", "bob", MONDAY + 5 * WEEK, MONDAY + 6 * WEEK, recurrence_id=MONDAY + 5 * WEEK, status="CANCELLED")
event("b", "dave", MONDAY + 9 * WEEK, MONDAY + 10 * WEEK, recurrence_id=MONDAY + 9 * WEEK)
event("days", "carol", (MONDAY + 4 * WEEK).date(), (MONDAY + 4 * WEEK + 3 * DAY).date())
# At a time that clocks skip once a year, and show twice.
NIGHT = (MONDAY + 3 * WEEK).replace(hour=2, minute=30)
event("nights", "dave", NIGHT, NIGHT.replace(hour=6, minute=0), rrule={"freq": "daily", "count": 450})
event("off", "dave", MONDAY + 2 * WEEK, MONDAY + 3 * WEEK, status="CANCELLED")
event("last", "carol", MONDAY, MONDAY + DAY, rrule={"freq": "monthly", "byday": f"{(MONDAY.day + 6) // 7}MO"} if MONDAY.day <= 28 else {"freq": "weekly"})
calendar.add_missing_timezones()
text = calendar.to_ical().decode()
sys.stdout.write(text.replace("TZID=Europe/Berlin", f"TZID={sys.argv[1]}"))
