"""Suspend and resume: on hold nothing is granted, and who has begun is asked to pause and to go on."""

from hub import change, claim, create, name, on_offer, points_to, read, referral, tasks

request = create(referral())
[triage] = on_offer(request)
change(name(request), status="on-hold")
change(name(triage), expected=409, status="accepted", owner=points_to("Organization/clinic-1"))
change(name(request), status="active")

claim(triage, "Organization/clinic-1")
change(name(triage), status="in-progress")
for placer_says, code, becomes in (("on-hold", "suspend", "on-hold"), ("active", "resume", "in-progress")):
    change(name(request), status=placer_says)
    [asked] = [task for task in on_offer(request) if task["code"]["coding"][0]["code"] == code]
    for status in ("accepted", "in-progress", "completed"):
        change(name(asked), status=status)
    assert read(name(triage))["status"] == becomes
    assert tasks(request)[0]["status"] == becomes
    print(f"{code}: the triage is {becomes}")
