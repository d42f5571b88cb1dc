"""Cancellation by the placer: it owns the request, and what nobody has begun ends at once."""

from hub import change, claim, create, name, on_offer, referral, tasks

request = create(referral())
[triage] = on_offer(request)
claim(triage, "Organization/clinic-1")
change(name(request), status="revoked")
assert {task["status"] for task in tasks(request)} == {"cancelled"}
assert tasks(request)[0]["statusReason"]["coding"][0]["code"] == "request-revoked"

# Begun work is not cut off: the hub asks its owner to stop, by a Task with code abort.
request = create(referral())
[triage] = on_offer(request)
claim(triage, "Organization/clinic-1")
change(name(triage), status="in-progress")
change(name(request), status="revoked")
[asked] = [task for task in on_offer(request) if task["focus"]["reference"] == name(triage)]
assert asked["code"]["coding"][0]["code"] == "abort" and asked["owner"]["reference"] == "Organization/clinic-1"
for status in ("accepted", "in-progress", "completed"):
    change(name(asked), status=status)
assert {task["status"] for task in tasks(request)} == {"cancelled", "completed"}
print("the clinic stopped:", tasks(request)[1]["statusReason"]["text"])
