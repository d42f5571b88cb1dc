"""Writes down every answer that a client of this process gets, one a line: what the hub said, as validate.py reads it."""

import json
import os

import requests

_file = open(os.environ["FOREIGN_RECORD"], "a", encoding="utf-8")
_send = requests.Session.send


def _sends(session, request, **options):
    response = _send(session, request, **options)
    line = {"asked": f"{request.method} {request.url}", "status": response.status_code, "body": response.text}
    _file.write(json.dumps(line) + "\n")
    _file.flush()
    return response


requests.Session.send = _sends
