"""Negotiation: the filler will not do this, and proposes something else; the placer may order that instead."""

from hub import change, create, name, on_offer, points_to, read, referral, standing, tasks, text

CLINIC = "Organization/clinic-1"

request = create(referral(performer=[points_to(CLINIC)]))
[triage] = on_offer(request)
proposal = create(referral(intent="proposal", code=text("Teledermatology"), basedOn=[points_to(request)]))
assert proposal["_link"] == "", "what is proposed is not ordered"
why = {"coding": [{"system": "urn:example:reasons", "code": "alternative"}], "text": "Photographs would do"}
change(name(triage), status="rejected", statusReason=why,
       output=[{"type": text("proposal"), "valueReference": points_to(proposal)}])

# The whole says so: rejected, why, and what is proposed.
whole = tasks(request)[0]
assert (whole["status"], whole["statusReason"]) == ("rejected", why)
proposed = whole["output"][0]["valueReference"]["reference"]
assert proposed == name(proposal) and standing(name(request))["child"] == [points_to(proposal)]
assert read(name(request))["status"] == "active", "what to do now is for the placer to say"

# It agrees: an order that is based on the proposal, and replaces the one that was refused.
order = create(referral(code=read(proposed)["code"], basedOn=[points_to(proposed)], replaces=[points_to(request)],
                        performer=[points_to(CLINIC)]))
assert read(name(request))["status"] == "revoked"
assert [task["owner"]["reference"] for task in on_offer(order)] == [CLINIC]
print(name(order), "is ordered in place of", name(request))
