#!/usr/bin/env python3
"""An S3 server for tests: moto, which keeps conditional writes, behind a check of each signature by botocore.

moto itself takes any signature in a query. Here each request must be signed as Amazon's own library would sign it, for this
region, not before its time and not after it, with the headers that matter among those signed.

A request without a signature is anybody's, and gets what the bucket's policy gives everybody: a single object, by GET or
HEAD. As with S3 an object that is not there is refused like one that is, for nobody may list the bucket.

usage: s3.py PORT CERTIFICATE KEY BUCKET ID SECRET [POLICY]
POLICY is a file, which may be empty and may change. Of the language of policies it is understood as much as `reads` says; by
one with anything else in it nobody reads anything.
Says `ready` on its standard error once it answers. GET of /_test counts requests; its query sets what goes wrong from then on:
  busy=N    the next N requests are answered 503 and not carried out
  lost=N    the next N are carried out, and answered 500
  deaf=1    conditions are taken and ignored
  page=N    a list has N names a page
"""

import datetime
import io
import ipaddress
import json
import os
import ssl
import sys
import threading
from urllib.parse import parse_qsl, quote, urlencode

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

REGION = "eu-central-1"
PORT, CERTIFICATE, KEY, BUCKET, ID, SECRET = sys.argv[1:7]
POLICY = sys.argv[7] if len(sys.argv) > 7 else os.devnull


def reads(policy):
    """What everybody may read by a policy: pairs of a resource, which may end in *, and networks."""
    version, statements = policy.pop("Version"), policy.pop("Statement")
    if version != "2012-10-17" or policy:
        raise ValueError("policy: only Version 2012-10-17 and Statement")
    found = []
    for statement in statements:
        given = {name: statement.pop(name) for name in ("Effect", "Principal", "Action")}
        if given != {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}:
            raise ValueError(f"policy: not understood: {given}")
        resource, condition = statement.pop("Resource"), statement.pop("Condition", {})
        networks = condition.pop("IpAddress", {"aws:SourceIp": ["0.0.0.0/0"]})
        networks = [ipaddress.ip_network(network) for network in networks.pop("aws:SourceIp")]
        if statement or condition or "*" in resource[:-1] or "?" in resource or "$" in resource:
            raise ValueError(f"policy: not understood: {statement} {condition} {resource}")
        found.append((resource, networks))
    return found


def anybodys(method, query, environ):
    """Why somebody without a signature is refused; None if the policy lets them read this."""
    if any(name.startswith("HTTP_X_AMZ_") for name in environ) or query:
        return "more than an object"
    if method not in ("GET", "HEAD"):
        return method + " by nobody"
    with open(POLICY, encoding="utf-8") as file:
        text = file.read()
    bucket, _, key = environ["PATH_INFO"].removeprefix("/").partition("/")
    name, address = f"arn:aws:s3:::{bucket}/{key}", ipaddress.ip_address(environ["REMOTE_ADDR"])
    for resource, networks in reads(json.loads(text)) if text else []:
        is_meant = name.startswith(resource[:-1]) if resource.endswith("*") else name == resource
        if is_meant and any(address in network for network in networks):
            is_there = bucket == BUCKET and s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_object(bucket, key)
            return None if is_there else "not there, which nobody may know"
    return "nothing allows it"


def refusal(method, query, environ):
    """Why the signature does not hold; None if it does."""
    parameters = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    names = [name for name, _ in parameters]
    if len(set(names)) != len(names):
        return "a parameter comes twice"
    given = dict(parameters)
    if given.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256":
        return "not signed"
    at = datetime.datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    age = (datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - at).total_seconds()
    if age < -900 or age > int(given["X-Amz-Expires"]):
        return "expired"
    scope = f"{ID}/{at:%Y%m%d}/{REGION}/s3/aws4_request"
    if given.get("X-Amz-Credential") != scope:
        return "another key or region"
    signed = given["X-Amz-SignedHeaders"].split(";")
    headers = {name: environ.get("HTTP_" + name.upper().replace("-", "_"), "") for name in signed}
    for name in ("if-match", "if-none-match", "content-md5"):
        if "HTTP_" + name.upper().replace("-", "_") in environ and name not in signed:
            return name + " is not signed"
    if "host" not in signed or any(key.startswith("HTTP_X_AMZ_") for key in environ):
        return "host is not signed, or something else should be"
    unsigned = urlencode([pair for pair in parameters if pair[0] != "X-Amz-Signature"], safe="~", quote_via=quote)
    request = AWSRequest(method, f"https://{environ['HTTP_HOST']}{environ['RAW_URI'].partition('?')[0]}?{unsigned}", headers)
    request.context["timestamp"] = given["X-Amz-Date"]
    auth = S3SigV4QueryAuth(Credentials(ID, SECRET), "s3", REGION)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return None if auth.signature(text, request) == given.get("X-Amz-Signature") else "signature does not match"


class Server:
    def __init__(self, app):
        self.app, self.lock = app, threading.Lock()
        self.wrong = {"busy": 0, "lost": 0, "deaf": 0, "page": 1000}
        self.counts = {}

    def __call__(self, environ, start_response):
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
        if environ["PATH_INFO"] == "/_test":
            self.wrong.update((name, int(value)) for name, value in parse_qsl(query))
            start_response("200 OK", [])
            return [repr(self.counts).encode()]
        # Whole before anybody is kept waiting: a client may be stopped in the middle of what it sends.
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        # One at a time, as if each were atomic; moto looks and writes in two steps.
        with self.lock:
            return self.answer(method, query, environ, start_response)

    def answer(self, method, query, environ, start_response):
        self.counts[method] = self.counts.get(method, 0) + 1
        is_signed = "HTTP_AUTHORIZATION" in environ or "X-Amz-" in query
        try:
            why = (refusal if is_signed else anybodys)(method, query, environ)
        except (KeyError, ValueError) as error:
            why = f"cannot be read: {error!r}"
        if why:
            print("refused:", method, environ["PATH_INFO"], why, file=sys.stderr, flush=True)
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [why.encode()]
        # By any other name of the server moto would take its first part for a bucket.
        environ["HTTP_HOST"] = "s3.amazonaws.com"
        if not is_signed:
            # moto wants to see a signature, or policies of its own, which have no conditions.
            environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 Credential=x/20260101/{REGION}/s3/aws4_request"
        if self.wrong["busy"] > 0:
            self.wrong["busy"] -= 1
            start_response("503 Slow Down", [])
            return [b""]
        environ["QUERY_STRING"] = query + f"&max-keys={self.wrong['page']}" if "list-type" in query else query
        if self.wrong["deaf"]:
            for name in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"):
                environ.pop(name, None)
        if self.wrong["lost"] > 0:
            self.wrong["lost"] -= 1
            list(self.app(environ, lambda *_: None))
            start_response("500 Internal Server Error", [])
            return [b""]
        return list(self.app(environ, start_response))


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code="-", size="-"):
        print(self.address_string(), self.command, self.path, code, file=sys.stderr, flush=True)


def main():
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(BUCKET, REGION)
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("0.0.0.0", int(PORT), Server(app), threaded=True, request_handler=Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    # Each connection shakes hands in its own thread; by werkzeug's own way one that is stopped there keeps out all others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.ssl_context = context
    print("ready", file=sys.stderr, flush=True)
    server.serve_forever()


main()
