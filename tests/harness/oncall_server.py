"""LinkedIn's own Oncall server (PyPI `oncall` 2.1.7), over SQLite in place of MySQL.

    oncall_server.py PORT CERTIFICATE KEY DATABASE

Its routes, its check of signatures and its SQL are its own. What it needs of a database's driver is put before SQLite here:
the form of parameters, cursors of dictionaries, and tables, as its schema has them, for what is read. DATABASE is filled by
whoever starts it, and read for each request.
"""
import importlib.machinery
import re
import sqlite3
import ssl
import sys
import types
import wsgiref.simple_server

PORT, CERTIFICATE, KEY, DATABASE = sys.argv[1:]


class Cursor:
    def __init__(self, connection, as_dictionary):
        self.inner, self.as_dictionary = connection.cursor(), as_dictionary
        self.rows, self.rowcount = [], 0

    def execute(self, statement, parameters=()):
        if not isinstance(parameters, (list, tuple)):
            parameters = (parameters,)
        self.inner.execute(statement.replace("%s", "?").replace("%%", "%"), tuple(parameters))
        names = [re.sub("^.*[.]", "", column[0]) for column in self.inner.description or []]
        rows = self.inner.fetchall()
        self.rows = [dict(zip(names, row)) for row in rows] if self.as_dictionary else rows
        self.rowcount = len(self.rows)

    def fetchone(self):
        return self.rows.pop(0) if self.rows else None

    def fetchall(self):
        rows, self.rows = self.rows, []
        return rows

    def __iter__(self):
        return iter(self.fetchall())

    def close(self):
        self.inner.close()


class Connection:
    def __init__(self):
        self.inner = sqlite3.connect(DATABASE)

    def cursor(self, kind=None):
        return Cursor(self.inner, kind is not None)

    def close(self):
        self.inner.close()

    def commit(self):
        self.inner.commit()


class Absent(types.ModuleType):
    """A library for what is not asked here: notices, LDAP, pages for people."""

    __path__ = []

    def __getattr__(self, name):
        return type(name, (Exception,), {})


class Finder:
    absent = ("gevent", "ldap", "irisclient", "slackclient", "pymsteams", "webassets", "greenlet")

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split(".")[0] in cls.absent:
            return importlib.machinery.ModuleSpec(name, cls, is_package=True)
        return None

    @staticmethod
    def create_module(spec):
        return Absent(spec.name)

    @staticmethod
    def exec_module(module):
        pass


sys.meta_path.insert(0, Finder)

from oncall import constants, db  # noqa: E402

db.connect, db.DictCursor, db.IntegrityError = Connection, dict, sqlite3.IntegrityError
import falcon  # noqa: E402
import oncall.api  # noqa: E402
from oncall import app, auth  # noqa: E402

notices = {"default_roles": [], "default_modes": [], "default_times": []}
constants.init({"supported_timezones": ["UTC"], "notifications": notices})


def nobody_is_logged_in(request):
    raise falcon.HTTPUnauthorized(title="Unauthorized", description="User must be logged in")


auth.authenticate_user = nobody_is_logged_in
api = falcon.App(middleware=[app.ReqBodyMiddleware(), app.AuthMiddleware()])
api.req_options.auto_parse_form_urlencoded = False
api.set_error_serializer(app.json_error_serializer)
oncall.api.init(api, {})


server = wsgiref.simple_server.make_server("0.0.0.0", int(PORT), api)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
