#!/bin/bash
# Most would guess: a CalDAV server gives a calendar back with the time zones that it was given.
#
# Radicale keeps what it is given as vobject understands it, which knows a zone by rules for each year and no list of dates. A
# VTIMEZONE whose changes are listed (RDATE), as python-icalendar writes one for every zone of the tz database, comes back
# without its summer: one STANDARD, each January. Whoever goes by the VTIMEZONE of the answer, as RFC 5545, section 3.6.5,
# has it, is an hour off for half the year; whoever goes by the zone's name in the tz database is not.
#
# Radicale 3.9.0 with vobject 0.9.9 (vobject/icalendar.py, `TimezoneComponent`), icalendar 7.3.2.
#
# Needs python3 with venv, the packages from PyPI, and a free port 15232 on the loopback; half a minute.
set -eu
command -v python3 >/dev/null || { echo "needs python3" >&2; exit 2; }
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill $server; rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" -q install radicale==3.9.0 vobject==0.9.9 icalendar==7.3.2 tzdata==2026.6 ||
    { echo "the packages could not be installed" >&2; exit 2; }
"$work/venv/bin/python" -m radicale --server-hosts 127.0.0.1:15232 --auth-type none --logging-level error \
    --storage-filesystem-folder "$work/collections" &
server=$!
"$work/venv/bin/python" - <<'PYTHON'
import datetime
import time
import urllib.error
import urllib.request
import zoneinfo

import icalendar

start = datetime.datetime(2026, 7, 1, 9, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
calendar = icalendar.Calendar()
calendar.add("prodid", "-//x//y//EN")
calendar.add("version", "2.0")
event = icalendar.Event()
for key, value in {"uid": "1", "dtstamp": start, "dtstart": start, "dtend": start}.items():
    event.add(key, value)
calendar.add_component(event)
calendar.add_missing_timezones()
given = calendar.to_ical()
url, kind = "http://127.0.0.1:15232/me/rota/", {"Content-Type": "text/calendar", "Authorization": "Basic bWU6"}
for tries in range(60):
    try:
        urllib.request.urlopen(urllib.request.Request(url, given, kind, method="PUT"))
        break
    except urllib.error.URLError:
        time.sleep(1)
kept = urllib.request.urlopen(urllib.request.Request(url, headers=kind)).read().decode().replace("\r\n", "\n")
zone = kept[kept.index("BEGIN:VTIMEZONE"):kept.index("END:VTIMEZONE")]
print("given:", given.count(b"BEGIN:DAYLIGHT"), "DAYLIGHT; given back:")
print(zone)
raise SystemExit(0 if b"BEGIN:DAYLIGHT" in given and "DAYLIGHT" not in zone else 1)
PYTHON
