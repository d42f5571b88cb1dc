"""G and I: the filler has a Task of its own for the work, in its own system, and a twin of it on the hub.

The twin is `partOf` the hub's Task of the step and has the same focus. What the filler does to it, the hub does to the
step; what happens to the step, happens to the twin.
"""

from hub import change, create, name, on_offer, points_to, read, referral, standing, tasks, text

CLINIC = "Organization/clinic-1"


def twin_of(step, status, **elements):
    return create({"resourceType": "Task", "status": status, "intent": "filler-order", "partOf": [points_to(step)],
                   "focus": step["focus"], "owner": points_to(CLINIC),
                   "identifier": [{"system": "https://clinic.example/tasks", "value": "4711"}], **elements})


# G: the clinic got the Task in its own system, and says that it will do it.
request = create(referral())
[triage] = on_offer(request)
twin = twin_of(triage, "accepted")
assert read(name(triage))["owner"]["reference"] == CLINIC, "to accept its own is to claim the hub's"
change(name(twin), status="in-progress", businessStatus=text("being read"))
assert (read(name(triage))["status"], read(name(triage))["businessStatus"]["text"]) == ("in-progress", "being read")
change(name(twin), status="completed", output=[{"type": text("outcome"), "valueString": "to be seen"}])
assert read(name(triage))["output"][0]["valueString"] == "to be seen"
assert standing(name(request))["done"] == [1] and standing(name(request))["total"] == [4], "it counts once"

# I: and back again. The placer revokes its request, and the clinic sees that at its twin.
[book] = on_offer(request)
twin = twin_of(book, "accepted")
change(name(request), status="revoked")
assert read(name(twin))["status"] == "cancelled"
print("the twin of", book["description"], "is", read(name(twin))["statusReason"]["text"])

# What it will not do goes to the next: the twin is rejected, and the step is offered again.
request = create(referral())
[triage] = on_offer(request)
twin_of(triage, "rejected", statusReason=text("no clinic this month"))
[again] = on_offer(request)
assert again["id"] == triage["id"] + ".2" and read(name(triage))["status"] == "rejected"
