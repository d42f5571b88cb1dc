"""C: a queue server. The placer leaves its request for a performer, who comes by and asks what is new."""

from uuid import uuid4

from hub import change, create, name, points_to, referral, search, text

ME = f"Organization/clinic-{uuid4().hex[:8]}"
ACTIONABLE = {"system": "http://terminology.hl7.org/CodeSystem/common-tags", "code": "actionable"}


def what_is_new(since):
    tag = f"{ACTIONABLE['system']}|{ACTIONABLE['code']}"
    return search("ServiceRequest", _tag=tag, performer=ME, status="active", _lastUpdated=f"gt{since}")


old = create(referral(performer=[points_to(ME)], meta={"tag": [ACTIONABLE]}))
assert [name(request) for request in what_is_new("2020-01-01")] == [name(old)]
seen = old["meta"]["lastUpdated"]
assert what_is_new(seen) == []
new = create(referral(performer=[points_to(ME)], meta={"tag": [ACTIONABLE]}))
[found] = what_is_new(seen)
assert name(found) == name(new)

# Without a Task nobody knows whether it was seen. What was done is an event that is based on it.
report = create({
    "resourceType": "DiagnosticReport",
    "status": "final",
    "code": text("Dermatology report"),
    "basedOn": [points_to(found)],
    "subject": found["subject"],
})
[seen_by_placer] = search("DiagnosticReport", **{"based-on": name(new)})
assert name(seen_by_placer) == name(report)
change(name(new), status="completed")

# The hub also keeps a Task of each step, for those who would rather say that they have seen it.
mine = search("Task", owner=ME, status="requested", focus=name(old))
assert [task["description"] for task in mine if "partOf" in task] == ["Triage the referral"]
print("found by its performer:", name(old), name(new), "- reported:", name(report))
