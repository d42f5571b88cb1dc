"""F: a Task on the hub, which anyone entitled may claim. The filler works on the hub's Task, and the placer looks."""

from hub import call, create, do, name, on_offer, points_to, read, referral, standing, tasks, text

request = create(referral())
for step in ("triage", "book", "attend", "report"):
    [task] = on_offer(request)
    # Two want it. The version that each has seen decides: one wins, the other is told.
    claims = [{"op": "add", "path": "/status", "value": "accepted"}]
    for clinic, expected in (("Organization/clinic-1", 200), ("Organization/clinic-2", 412)):
        owner = [{"op": "add", "path": "/owner", "value": points_to(clinic)}]
        seen = {"If-Match": f'W/"{task["meta"]["versionId"]}"'}
        status, answer, _ = call("PATCH", name(task), claims + owner, **seen)
        assert status == expected, (status, answer)
    done = do(task, output=[{"type": text("outcome"), "valueString": f"{step} is done"}])
    assert done["owner"]["reference"] == "Organization/clinic-1"
    print(standing(name(request))["done"], "of", standing(name(request))["total"], "done")

assert tasks(request)[0]["status"] == "completed"
assert read(name(request))["status"] == "completed", "the hub completes the request"
