"""H: the hub as a broker. It offers the work to one service of its directory after another, until one does it.

The plan says so: start the hub with `--set plans=docs/patterns/plans`.
"""

from uuid import uuid4

from hub import change, create, do, name, on_offer, points_to, read, referral, standing, tasks, text

SERVICE = f"dermatology-{uuid4().hex[:8]}"
CODE = {"coding": [{"system": "urn:example:services", "code": SERVICE}]}
NORTH = points_to("Location/north")


def provides(organization, **elements):
    """A service of the directory, with whoever provides it."""
    by = create({"resourceType": "Organization", "name": organization})
    create({"resourceType": "HealthcareService", "active": True, "type": [CODE], "providedBy": points_to(by),
            "location": [NORTH], **elements})
    return name(by)


def asked(request):
    """Whom the triage was offered to, one after the other."""
    return [(task["owner"]["reference"], task["status"]) for task in tasks(request)
            if task["description"] == "Triage the referral"]


one_place = [{"url": "urn:fhir-workflow-hub:extension:capacity", "valuePositiveInt": 1}]
small = provides("A small clinic", extension=one_place)
large = provides("A large clinic")
far = provides("A clinic elsewhere", location=[points_to("Location/south")])
closed = provides("A clinic that is closed", active=False)
off = create({"resourceType": "Endpoint", "status": "off", "connectionType": {"code": "hl7-fhir-rest"},
              "payloadType": [text("any")], "address": "https://gone.example/fhir"})
unreachable = provides("A clinic that cannot be reached", endpoint=[points_to(off)])

# Who has most room is asked first; who refuses is passed over, by a new Task each time.
request = create(referral(code=CODE, locationReference=[NORTH]))
[triage] = on_offer(request)
assert triage["owner"]["reference"] == large
change(name(triage), status="rejected", statusReason=text("not ours"))
assert asked(request) == [(large, "rejected"), (small, "requested")], asked(request)
assert read(name(triage))["statusReason"]["text"] == "not ours", "what was refused stays as it was refused"

# Whoever has begun goes on with it: the later steps are its own.
[triage] = on_offer(request)
change(name(triage), status="accepted")
do(triage)
assert [task["owner"]["reference"] for task in on_offer(request)] == [small]
print("asked:", asked(request))

# The small clinic is full now, and the large one refuses again: nobody is left, and the order says so.
request = create(referral(code=CODE, locationReference=[NORTH]))
[triage] = on_offer(request)
change(name(triage), status="rejected")
assert asked(request) == [(large, "rejected")]
now = standing(name(request))
assert now["status"] == ["rejected"] and now["reason"][0]["coding"][0]["code"] == "nobody-left", now
assert read(name(request))["status"] == "active", "what to do now is for the placer to say"
print("nobody is left:", now["reason"][0]["text"])
