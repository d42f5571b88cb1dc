"""Change and replace: the placer wants something else than it asked for, when work has begun."""

from hub import change, claim, create, name, on_offer, points_to, read, referral, standing, tasks, text

old = create(referral())
[triage] = on_offer(old)
claim(triage, "Organization/clinic-1")
change(name(triage), status="in-progress")

# One that only adds to what was said is a change of the request. Whoever has begun is told, and heeds it; each step that
# is on offer later has it.
change(name(old), note=[{"text": "She is free on Mondays"}])
told = tasks(old)[5]
assert told["code"]["coding"][0]["code"] == "change"
assert told["owner"] == {"reference": "Organization/clinic-1"} and told["partOf"] == [points_to(triage)]
assert told["focus"]["reference"] == name(read(name(old))) + "/_history/2"
for status in ["accepted", "in-progress", "completed"]:
    change(name(told), status=status)

# One that is another order replaces it: the old one is revoked, its Tasks end, and the new one begins.
new = create(referral(code=text("Referral to plastic surgery"), replaces=[points_to(old)]))
assert read(name(old))["status"] == "revoked"
assert [task["status"] for task in tasks(old)] == ["in-progress", "in-progress"] + 3 * ["cancelled"] + [
    "completed", "requested"]
assert tasks(old)[2]["statusReason"]["coding"][0]["code"] == "request-replaced"
assert tasks(old)[6]["code"]["coding"][0]["code"] == "abort", "who has begun is asked to stop"
assert [task["status"] for task in tasks(new)] == ["requested", "requested"] + 3 * ["draft"]

# Both ways it is known which took the place of which.
assert standing(name(new))["replaces"] == [points_to(old)]
assert standing(name(old))["replacedBy"] == [points_to(new)]
print(name(new), "replaces", name(old))
