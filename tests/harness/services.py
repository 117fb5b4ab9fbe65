"""On-call services that are asked over HTTPS, each as strict as its documentation.

    services.py PORT CERTIFICATE KEY STATE

STATE is a file of JSON, read for each request: `shifts` ([user, start, end], Unix seconds), `outcome`. A request
that a service's documentation does not allow is answered as the service would, and a line on standard output says why.
"""
import base64
import calendar
import hashlib
import hmac
import http.server
import json
import ssl
import sys
import time
import urllib.parse

PORT, CERTIFICATE, KEY, STATE = sys.argv[1:]
SECRET = "secretOfTheTest"
GOALERT = open("/run/suite/source/lib/sources/src/goalert.graphql").read()


class Refused(Exception):
    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


def iso(unix):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix))


def unix(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def want(query, needed, allowed=()):
    names = set(query)
    if not set(needed) <= names or not names <= set(needed) | set(allowed):
        raise Refused(400, f"parameters {sorted(names)}, needed {sorted(needed)}")


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    offset = 0

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string(time.time() + self.offset if timestamp is None else timestamp)

    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, body):
        state = json.load(open(STATE))
        path, _, raw = self.path.partition("?")
        query = urllib.parse.parse_qs(raw, keep_blank_values=True)
        try:
            value = self.judge(state, urllib.parse.unquote(path), raw, query, body)
            status = 200
        except Refused as refused:
            print(f"refused: {self.command} {self.path}: {refused.args[0]}", flush=True)
            value, status = {"error": "refused"}, refused.status
        self.send(state["outcome"], status, value)

    def send(self, outcome, status, value):
        text = json.dumps(value).encode()
        kind = "application/json"
        headers = []
        if outcome.isdigit():
            status, text = int(outcome), b'{"error": "as the test asked"}'
            if outcome == "429":
                headers.append(("Retry-After", "3600"))
        elif outcome.startswith("offset "):
            self.offset = int(outcome.split()[1])
        elif outcome == "truncated":
            text = text[: len(text) // 2]
        elif outcome == "html":
            kind, text = "text/html", b"<html>Log in</html>"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, header in headers:
            self.send_header(name, header)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Connection", "close")
        self.end_headers()
        if outcome == "drip":
            for byte in text:
                self.wfile.write(bytes([byte]))
                time.sleep(1)
        self.wfile.write(text)
        self.close_connection = True

    def authorized(self, expected):
        if self.headers.get("Authorization") != expected:
            raise Refused(401, f"Authorization is not {expected.split(' ')[0]} as it should be")

    def hmac(self, path, raw, body):
        said = self.headers.get("Authorization", "")
        target = path + ("?" + raw if raw else "")
        for window in (int(time.time()) // 30, int(time.time()) // 30 - 1):
            text = f"{window} {self.command} {target} {body.decode()}"
            digest = hmac.new(SECRET.encode(), text.encode(), hashlib.sha512).digest()
            if said == "hmac cache:" + base64.urlsafe_b64encode(digest).decode():
                return
        raise Refused(401, "the signature is wrong")

    def judge(self, state, path, raw, query, body):
        if self.headers.get("Accept") != "application/json":
            raise Refused(406, "Accept")
        shifts = [] if state["outcome"] == "empty" else state["shifts"]
        self.endless = state["outcome"] == "endless"
        if path.startswith("/api/v0/"):
            self.hmac(path, raw, body)
            return linkedin(path, query, shifts)
        if path == "/api/graphql":
            self.authorized(f"Bearer {SECRET}")
            return goalert(self, json.loads(body), shifts)
        if path.startswith("/v2/"):
            self.authorized(f"Bearer {SECRET}")
            return incident_io(self, path, query, shifts)
        if path.startswith("/api/v1/"):
            self.authorized(f"Bearer {SECRET}")
            if self.headers.get("X-Grafana-URL") != "https://acme.grafana.example":
                raise Refused(403, "X-Grafana-URL")
            return grafana(self, path, query, shifts)
        if path.startswith("/jsm/ops/api/c-1/v1/"):
            pair = base64.b64encode(f"bot@example.com:{SECRET}".encode()).decode()
            self.authorized(f"Basic {pair}")
            return jsm(self, path, query, shifts)
        raise Refused(404, "no such path")


def linkedin(path, query, shifts):
    if path == "/api/v0/roles":
        return [{"id": n, "name": name} for n, name in enumerate(["primary", "secondary", "vacation"])]
    if path == "/api/v0/teams":
        return ["db", "my team"]
    if path == "/api/v0/users":
        if query != {"fields": ["name", "contacts", "active"]}:
            raise Refused(400, "fields")
        names = {shift[0] for shift in shifts}
        return [{"name": n, "active": 1, "contacts": {"email": f"{n}@example.com"}} for n in sorted(names)]
    if path == "/api/v0/events":
        want(query, ["team", "end__gt", "start__lt", "include_subscribed"])
        since, until = int(query["end__gt"][0]), int(query["start__lt"][0])
        team = query["team"][0]
        own = [s for s in shifts if team == "my team" and s[2] > since and s[1] < until]
        return [
            {"id": n, "start": start, "end": end, "role": "primary", "team": team, "user": user, "full_name": user}
            for n, (user, start, end) in enumerate(own)
        ]
    raise Refused(404, "no such path")


def goalert(request, asked, shifts):
    if request.command != "POST" or request.headers.get("Content-Type") != "application/json":
        raise Refused(400, "not a POST of JSON")
    if asked["query"] != GOALERT:
        raise Refused(401, "the key is bound to another query")
    variables = asked["variables"]
    if set(variables) != {"id", "start", "end"}:
        raise Refused(400, "variables")
    start, end = unix(variables["start"]), unix(variables["end"])
    if variables["id"] != "5c000000-0000-4000-8000-0000000000aa":
        return {"data": {"schedule": None}}
    own = [
        {
            "userID": f"id-{user}",
            "user": {"id": f"id-{user}", "name": user, "email": f"{user}@example.com"},
            "start": iso(since),
            "end": iso(min(until, end)),
            "truncated": until > end,
        }
        for user, since, until in shifts
        if until > start and since < end
    ]
    return {"data": {"schedule": {"id": variables["id"], "name": "primary", "timeZone": "UTC", "shifts": own}}}


def incident_io(request, path, query, shifts):
    here = f"https://{request.headers['Host']}{path}"
    if path == "/v2/schedules":
        want(query, ["page_size"], ["after"])
        meta = {"page_size": 25}
        if request.endless:
            after = int(query.get("after", ["0"])[0]) + 1
            meta["after_url"] = f"{here}?page_size=25&after={after}"
        return {"schedules": [{"id": "01PRIMARY", "name": "primary"}], "pagination_meta": meta}
    if path != "/v2/schedule_entries":
        raise Refused(404, "no such path")
    want(query, ["schedule_id", "entry_window_start", "entry_window_end"])
    # One entry to a page; the address of the next has the cursor where the start was.
    start = query["entry_window_start"][0]
    place = int(start[2:]) if start.startswith("c-") else 0
    page = shifts[place : place + 1]
    entries = [
        {
            "start_at": iso(since),
            "end_at": iso(until),
            "rotation_id": "R1",
            "user": {"id": f"id-{user}", "name": user, "email": f"{user}@example.com"},
        }
        for user, since, until in page
    ]
    answer = {"schedule_entries": {"final": entries, "overrides": [], "scheduled": []}}
    if place + 1 < len(shifts):
        again = {**{name: values[0] for name, values in query.items()}, "entry_window_start": f"c-{place + 1}"}
        answer["pagination_meta"] = {"after_url": f"{here}?{urllib.parse.urlencode(again)}"}
    return answer


def grafana(request, path, query, shifts):
    if path == "/api/v1/schedules/":
        want(query, [], ["page"])
        following = f"https://elsewhere.example{path}?page=2" if request.endless else None
        return {"count": 1, "results": [{"id": "SPRIMARY", "name": "primary"}], "next": following, "previous": None}
    if path != "/api/v1/schedules/SPRIMARY/final_shifts":
        raise Refused(404, "no such path")
    want(query, ["start_date", "end_date"])
    first, last = (unix(query[name][0] + "T00:00:00Z") for name in ("start_date", "end_date"))
    own = [
        {
            "user_pk": f"id-{user}",
            "user_email": f"{user}@example.com",
            "user_username": user,
            "shift_start": iso(max(since, first)),
            "shift_end": iso(min(until, last)),
        }
        for user, since, until in shifts
        if until > first and since < last
    ]
    return {"count": len(own), "results": own, "next": None, "previous": None}


def jsm(request, path, query, shifts):
    root = "/jsm/ops/api/c-1/v1/schedules"
    if path == root:
        want(query, [], ["offset"])
        offset = int(query.get("offset", ["0"])[0]) + 1
        links = {"next": f"/v1/schedules?offset={offset}&size=1"} if request.endless else {}
        return {"values": [{"id": "f8f2a4ec", "name": "primary", "enabled": True}], "links": links}
    if path != f"{root}/f8f2a4ec/timeline":
        raise Refused(404, "no such path")
    want(query, ["date", "interval", "intervalUnit"])
    start = unix(query["date"][0])
    end = start + int(query["interval"][0]) * 86400
    if query["intervalUnit"] != ["days"]:
        raise Refused(400, "intervalUnit")
    periods = [
        {
            "startDate": iso(since),
            "endDate": iso(min(until, end)),
            "type": "default",
            "responder": {"id": f"id-{user}", "type": "user"},
        }
        for user, since, until in shifts
        if until > start and since < end
    ]
    return {"finalTimeline": {"rotations": [{"id": "r", "name": "daily", "order": 1, "periods": periods}]}}


server = http.server.ThreadingHTTPServer(("0.0.0.0", int(PORT)), Service)
server.daemon_threads = True
# A client that is tired of waiting goes away in the middle.
server.handle_error = lambda *_: None
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
