"""What the scripts of this folder have in common: a FHIR client of a few lines, with nothing but Python's own library.

The base is HUB (default http://127.0.0.1:8080/fhir/R4). Each script is a story that can be read from top to bottom; it
ends with code 0 when the hub did as its section of ../patterns.md says.
"""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

BASE = os.environ.get("HUB", "http://127.0.0.1:8080/fhir/R4")
# How long a script waits for what others do (a worker, a timer), in seconds.
PATIENCE = 60


def call(method, path, body=None, **headers):
    """One request: the status, the resource, the headers."""
    url = path if path.startswith("http") else f"{BASE}/{path}".rstrip("/")
    media = "application/json-patch+json" if method == "PATCH" else "application/fhir+json"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": media, **headers}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            status, text, told = answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as no:
        status, text, told = no.code, no.read(), no.headers
    return status, json.loads(text) if text else None, told


def create(resource, **headers):
    """POST to its type; the resource as it was stored."""
    status, stored, told = call("POST", resource["resourceType"], resource, **headers)
    assert status == 201, (status, stored)
    stored["_link"] = told.get("Link", "")
    return stored


def read(reference):
    status, resource, _ = call("GET", reference)
    assert status == 200, (status, resource)
    return resource


def change(reference, expected=200, **elements):
    """PATCH: sets these elements, and leaves the others."""
    patch = [{"op": "add", "path": f"/{name}", "value": value} for name, value in elements.items()]
    status, resource, _ = call("PATCH", reference, patch)
    assert status == expected, (status, resource)
    return resource


def search(path, **parameters):
    """All that is found, over all pages."""
    found, url = [], f"{path}?{urllib.parse.urlencode(parameters)}"
    while url:
        status, page, _ = call("GET", url)
        assert status == 200, (status, page)
        found += [entry["resource"] for entry in page.get("entry", [])]
        url = next((link["url"] for link in page.get("link", []) if link["relation"] == "next"), None)
    return found


def name(resource):
    """`Type/id`"""
    return f"{resource['resourceType']}/{resource['id']}"


def points_to(resource):
    return {"reference": resource if isinstance(resource, str) else name(resource)}


def text(words):
    return {"text": words}


def number():
    """A business identifier that nobody has yet."""
    return {"system": "urn:example:numbers", "value": uuid.uuid4().hex}


def referral(**elements):
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "code": text("Referral to dermatology"),
        "subject": {"reference": "Patient/rosa"},
        "requester": {"reference": "Organization/surgery"},
        **elements,
    }


def standing(reference):
    """`$order-status` of a request or a Task: each parameter's values by its name."""
    return told(read(f"{reference}/$order-status"))


def told(parameters):
    all_of = {}
    for parameter in parameters["parameter"]:
        values = [value for key, value in parameter.items() if key != "name"]
        all_of.setdefault(parameter["name"], []).extend(values)
    return all_of


def tasks(request):
    """The Tasks of an order: the fulfilment Task first, then its steps in the order of the plan."""
    return [entry["resource"] for entry in standing(name(request))["result"][0]["entry"]]


def on_offer(request):
    """The work items of an order that somebody may claim now."""
    return [task for task in tasks(request) if task["status"] == "requested" and "partOf" in task]


def claim(task, owner):
    return change(name(task), status="accepted", owner=points_to(owner))


def do(task, **elements):
    """Begins a claimed Task, and completes it with what is said of it."""
    change(name(task), status="in-progress")
    return change(name(task), status="completed", **elements)


def wait_for(what, see):
    """Asks until it is so."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if seen := see():
            return seen
        time.sleep(0.1)
    raise AssertionError(f"in vain: {what}")
