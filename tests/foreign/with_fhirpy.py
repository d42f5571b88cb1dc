"""fhirpy places a referral, finds what is to be done, does it, and reads how it went."""

import sys

import record  # noqa: F401
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

hub = SyncFHIRClient(sys.argv[1])

# Who it is about, and several referrals of hers: a page is cut behind two.
patient = hub.resource("Patient", name=[{"family": "Fhirpy", "given": ["Ada"]}], birthDate="1968-03-14")
patient.save()
assert patient.id and patient["meta"]["versionId"] == "1"
patient["gender"] = "female"
patient.save()
assert patient["meta"]["versionId"] == "2"
assert hub.reference("Patient", patient.id).to_resource()["gender"] == "female"

referrals = []
for n in range(5):
    referral = hub.resource(
        "ServiceRequest",
        status="active",
        intent="order",
        subject=patient.to_reference(),
        code={"text": f"Referral {n}"},
        identifier=[{"system": "urn:example:fhirpy", "value": f"R-{n}"}],
        priority="urgent" if n == 0 else "routine",
    )
    referral.save()
    referrals.append(referral)

about = hub.resources("ServiceRequest").search(subject=f"Patient/{patient.id}")
found = about.limit(2).fetch_all()
assert sorted(r.id for r in found) == sorted(r.id for r in referrals), "every page is followed, and none comes twice"
assert len(about.limit(2).fetch()) == 2
one = hub.resources("ServiceRequest").search(identifier="urn:example:fhirpy|R-0").get()
assert one["code"]["text"] == "Referral 0"
with_patient = hub.resources("ServiceRequest").search(_id=one.id).include("ServiceRequest", "subject").fetch_raw()
assert [e["search"]["mode"] for e in with_patient["entry"]] == ["match", "include"]
assert hub.resources("Patient").search(_id="nobody").first() is None
assert [p.id for p in hub.resources("Patient").search(family="fhir", birthdate__ge="1968").fetch()] == [patient.id]
assert hub.resources("Patient").search(family__exact="fhirpy").first() is None, "by its letters"
try:
    about.count()
    raise AssertionError("a parameter that FHIR does not have is not ignored")
except OperationOutcome as no:
    assert no.resource["issue"][0]["expression"] == ["_totalMethod"], no

# What is there already is not made again. fhirpy's own get_or_create puts the condition into the URL, where FHIR has none.
twin = {k: v for k, v in one.serialize().items() if k not in ("id", "meta")}
try:
    hub.resources("ServiceRequest").search(identifier="urn:example:fhirpy|R-0").get_or_create(
        hub.resource("ServiceRequest", **twin)
    )
    raise AssertionError("a condition that is not understood is not ignored")
except OperationOutcome as no:
    assert "If-None-Exist" in no.resource["issue"][0]["diagnostics"], no
unless_there = SyncFHIRClient(sys.argv[1], extra_headers={"If-None-Exist": "identifier=urn:example:fhirpy|R-0"})
same = unless_there.resource("ServiceRequest", **twin)
same.save()
assert same.id == one.id


def tasks(**by):
    return hub.resources("Task").search(based_on=f"ServiceRequest/{one.id}", **by).fetch_all()


# The work, step by step: claimed, begun, ended.
done = []
while open_tasks := tasks(status="requested,ready", owner__missing=True, performer="clinic"):
    task = open_tasks[0]
    task["status"], task["owner"] = "accepted", {"reference": "Organization/fhirpy-clinic"}
    task.save()
    task.patch(status="in-progress", businessStatus={"text": "Seen by fhirpy"})
    assert task["owner"]["reference"] == "Organization/fhirpy-clinic", "what a patch does not name stays"
    task.patch(status="completed", businessStatus=None, output=[{"type": {"text": "Result"}, "valueString": "done"}])
    assert "businessStatus" not in task and task["status"] == "completed"
    done.append(task)
assert len(done) == 4, "triage, booking, appointment, report"
whole = hub.get("Task", f"{one.id}.0")
assert whole["status"] == "completed"
one.refresh()
assert one["status"] == "completed"

history = hub.execute(f"Task/{done[0].id}/_history", method="get")
assert [e["resource"]["status"] for e in history["entry"]] == ["completed", "in-progress", "accepted", "requested"]
status = hub.execute(f"ServiceRequest/{one.id}/$order-status", method="get")
assert status["parameter"][0]["valueCode"] == "completed"

# What is not allowed is told as FHIR has it.
try:
    hub.resource("Task", **{**done[0].serialize(), "status": "requested"}).save()
    raise AssertionError("a Task that has ended is no longer changed")
except OperationOutcome as no:
    assert no.resource["resourceType"] == "OperationOutcome", no
try:
    hub.resource("ServiceRequest", status="actve", intent="order", subject={}).save()
    raise AssertionError("a resource that is not FHIR is refused")
except OperationOutcome as no:
    assert len(no.resource["issue"]) >= 2, "every fault"
try:
    hub.get("Task", "nobody")
    raise AssertionError("nobody is not there")
except ResourceNotFound:
    pass

# One that is not wanted any more.
other = hub.resources("ServiceRequest").search(identifier="urn:example:fhirpy|R-1").get()
other.patch(status="revoked")
cancelled = hub.resources("Task").search(based_on=f"ServiceRequest/{other.id}", status="cancelled").fetch_all()
assert len(cancelled) == 5, "the order and its four steps"
lonely = hub.resource("Patient", name=[{"family": "Lonely"}])
lonely.save()
lonely.delete()
try:
    hub.get("Patient", lonely.id)
    raise AssertionError("she is gone")
except ResourceNotFound:
    pass
assert hub.execute("metadata", method="get")["fhirVersion"] == "4.0.1"
