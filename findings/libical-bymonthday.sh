#!/bin/bash
# Most would guess: readers of calendars agree what BYMONTHDAY means, since RFC 5545 has a table of it.
#
# Section 3.3.10: by year BYMONTHDAY adds days, in each month where no BYMONTH says which; by day it takes days away. libical has
# `FREQ=YEARLY;BYMONTHDAY=15` come once a year, in the month of DTSTART, and never takes `BYMONTHDAY=-1` by day for the last day of
# a month: it passes over negative numbers there. python-dateutil counts both as the table says. So one calendar is twelve shifts
# a year in one program, and one in the next.
#
# libical 3.0.16 (src/libical/icalrecur.c: `setup_defaults`, `check_contract_restriction`), python-dateutil 2.9.0.post0.
#
# Needs Debian 12 with apt, python3 with venv, and both archives; half a minute.
set -eu
version=3.0.16-1+b1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -qq "libical3=$version" libicu72=72.1-3+deb12u1 2>/dev/null || { echo "libical3 $version cannot be had here" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" .; done
python3 -m venv venv && venv/bin/pip install -q python-dateutil==2.9.0.post0 || { echo "dateutil cannot be had here" >&2; exit 2; }
cat >compare.py <<'PYTHON'
import ctypes, datetime, itertools
from dateutil.rrule import rrulestr

UTC = datetime.timezone.utc
expand = ctypes.CDLL("libical.so.3").icalrecur_expand_recurrence
expand.argtypes = [ctypes.c_char_p, ctypes.c_int64, ctypes.c_int, ctypes.POINTER(ctypes.c_int64)]
for rule, start in [
    ("FREQ=YEARLY;BYMONTHDAY=15", datetime.datetime(2026, 7, 15, 9, tzinfo=UTC)),
    ("FREQ=DAILY;BYMONTHDAY=15,-1", datetime.datetime(2026, 7, 15, 9, tzinfo=UTC)),
]:
    found = (ctypes.c_int64 * 3)()
    expand(rule.encode(), int(start.timestamp()), 3, found)
    print(rule, "libical", *(datetime.datetime.fromtimestamp(at, UTC).date() for at in found))
    print(rule, "dateutil", *(at.date() for at in itertools.islice(rrulestr(rule, dtstart=start), 3)))
PYTHON
LD_LIBRARY_PATH=$work/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu) venv/bin/python compare.py | tee seen
grep -qx 'FREQ=YEARLY;BYMONTHDAY=15 libical 2026-07-15 2027-07-15 2028-07-15' seen &&
    grep -qx 'FREQ=YEARLY;BYMONTHDAY=15 dateutil 2026-07-15 2026-08-15 2026-09-15' seen &&
    grep -qx 'FREQ=DAILY;BYMONTHDAY=15,-1 libical 2026-07-15 2026-08-15 2026-09-15' seen &&
    grep -qx 'FREQ=DAILY;BYMONTHDAY=15,-1 dateutil 2026-07-15 2026-07-31 2026-08-15' seen
