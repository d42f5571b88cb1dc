"""Cancellation where the filler owns the Task: the placer asks by a Task with code abort, and the filler agrees or not."""

from hub import call, change, claim, create, name, on_offer, points_to, read, referral, tasks, text

ABORT = {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "abort"}]}


def ask_to_stop(task, expected=201):
    wanted = {"resourceType": "Task", "status": "requested", "intent": "order", "code": ABORT,
              "focus": points_to(task), "requester": points_to("Organization/surgery")}
    status, asked, _ = call("POST", "Task", wanted)
    assert status == expected, (status, asked)
    return asked


for answer, becomes in (("rejected", "in-progress"), ("completed", "cancelled")):
    request = create(referral())
    [triage] = on_offer(request)
    ask_to_stop(triage, expected=422)  # Nobody has it: the placer may cancel it by itself.
    claim(triage, "Organization/clinic-1")
    change(name(triage), status="in-progress")
    asked = ask_to_stop(triage)
    assert asked["owner"]["reference"] == "Organization/clinic-1", "it is for whoever works"
    assert name(asked) in [name(task) for task in on_offer(request)], "it is a Task of the order"
    for status in ["rejected"] if answer == "rejected" else ["accepted", "in-progress", "completed"]:
        change(name(asked), status=status)
    assert read(name(triage))["status"] == becomes
    print(f"the clinic said {answer}: the triage is {becomes}, the order {tasks(request)[0]['status']}")

# The request is as it was: what to do now is for the placer to say.
assert read(name(request))["status"] == "active"
