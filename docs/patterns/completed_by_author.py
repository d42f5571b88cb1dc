"""The author marks the request complete: what has begun goes on to its end, and nothing else begins."""

from hub import change, claim, create, name, on_offer, referral, tasks

request = create(referral())
[triage] = on_offer(request)
claim(triage, "Organization/clinic-1")
change(name(triage), status="in-progress")
change(name(request), status="completed")
assert [task["status"] for task in tasks(request)] == ["in-progress", "in-progress"] + 3 * ["cancelled"]
change(name(triage), status="completed")
assert [task["status"] for task in tasks(request)] == ["completed", "completed"] + 3 * ["cancelled"]
