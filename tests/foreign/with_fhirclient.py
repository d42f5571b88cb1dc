"""fhirclient, which reads into strict models of R4, does the same. It knows no PATCH: it writes the whole resource."""

import sys

import record  # noqa: F401
from fhirclient.client import FHIRClient
from fhirclient.models.codeableconcept import CodeableConcept
from fhirclient.models.encounter import Encounter
from fhirclient.models.fhirreference import FHIRReference
from fhirclient.models.humanname import HumanName
from fhirclient.models.identifier import Identifier
from fhirclient.models.patient import Patient
from fhirclient.models.servicerequest import ServiceRequest
from fhirclient.models.task import Task, TaskOutput
from requests.exceptions import HTTPError

smart = FHIRClient(settings={"app_id": "foreign", "api_base": sys.argv[1]})
assert smart.prepare(), "what /metadata says is understood"
hub = smart.server


def text(words):
    return CodeableConcept({"text": words})


def to(resource):
    return FHIRReference({"reference": resource.relativePath()})


patient = Patient({"birthDate": "1968-03-14"})
patient.name = [HumanName({"family": "Fhirclient", "given": ["Grace"]})]
patient = Patient(patient.create(hub))
assert patient.meta.versionId == "1"
patient.gender = "female"
patient.origin_server = hub
patient = Patient(patient.update(hub))
assert Patient.read(patient.id, hub).gender == "female"

made = []
for n in range(5):
    referral = ServiceRequest()
    referral.status, referral.intent, referral.code = "active", "order", text(f"Referral {n}")
    referral.subject = to(patient)
    referral.identifier = [Identifier({"system": "urn:example:fhirclient", "value": f"R-{n}"})]
    made.append(ServiceRequest(referral.create(hub)))

about = {"subject": patient.relativePath(), "_count": "2"}
pages = list(ServiceRequest.where(about).perform_iter(hub))
assert [len(page.entry) for page in pages] == [2, 2, 1]
found = [referral.id for referral in ServiceRequest.where(about).perform_resources_iter(hub)]
assert sorted(found) == sorted(referral.id for referral in made)
named = Patient.where({"name": "grace", "gender": "female"}).perform_resources_iter(hub)
assert [one.id for one in named] == [patient.id]
by_number = ServiceRequest.where({"identifier": "urn:example:fhirclient|R-3"}).include("subject")
page = next(by_number.perform_iter(hub))
assert [entry.resource.resource_type for entry in page.entry] == ["ServiceRequest", "Patient"]
one = page.entry[0].resource


def open_tasks():
    by = {"based-on": one.relativePath(), "status": "requested,ready", "owner:missing": "true", "performer": "clinic"}
    return list(Task.where(by).perform_resources_iter(hub))


done = []
while tasks := open_tasks():
    task = tasks[0]
    task.status, task.owner = "accepted", FHIRReference({"reference": "Organization/fhirclient-clinic"})
    task = Task(task.update(hub))
    task.status, task.businessStatus = "in-progress", text("Seen by fhirclient")
    task = Task(task.update(hub))
    task.status = "completed"
    task.output = [TaskOutput({"type": {"text": "Result"}, "valueString": "done"})]
    task = Task(task.update(hub))
    assert task.lastModified and task.output[0].valueString == "done"
    done.append(task)
assert len(done) == 4, "triage, booking, appointment, report"
assert Task.read(f"{one.id}.0", hub).status == "completed"
assert ServiceRequest.read(one.id, hub).status == "completed"
history = hub.request_json(f"{done[0].relativePath()}/_history")
assert [entry["resource"]["status"] for entry in history["entry"]] == ["completed", "in-progress", "accepted", "requested"]
first = Task.read_from(f"{done[0].relativePath()}/_history/1", hub)
assert first.status == "requested"

task = Task.read(done[0].id, hub)
task.status = "requested"
try:
    task.update(hub)
    raise AssertionError("a Task that has ended is no longer changed")
except HTTPError as no:
    assert no.response.json()["resourceType"] == "OperationOutcome"

lonely = Encounter({"status": "planned", "class": {"code": "AMB"}})
lonely = Encounter(lonely.create(hub))
lonely.delete(hub)
try:
    Encounter.read(lonely.id, hub)
    raise AssertionError("it is gone")
except Exception as no:
    assert type(no).__name__ in ("FHIRNotFoundException", "HTTPError"), no
