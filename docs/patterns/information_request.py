"""The filler needs to know something before it can go on: a sub-Task with a Questionnaire, for the placer to answer."""

from hub import change, claim, create, name, on_offer, points_to, read, referral, search, standing, text

request = create(referral())
[triage] = on_offer(request)
claim(triage, "Organization/clinic-1")
change(name(triage), status="in-progress")

question = create({"resourceType": "Task", "status": "requested", "intent": "order", "partOf": [points_to(triage)],
                   "focus": points_to("Questionnaire/skin"), "description": "Since when, and where?"})
assert question["owner"]["reference"] == "Organization/surgery", "it is for whoever asked for the work"
assert read(name(triage))["businessStatus"]["coding"][0]["code"] == "awaiting-information"
assert "Since when, and where? (requested, Organization/surgery)" in standing(name(request))["waitingFor"]

# The placer finds it among what it is asked to do, and answers.
[mine] = search("Task", owner="Organization/surgery", status="requested", **{"part-of": name(triage)})
change(name(mine), status="accepted")
change(name(mine), status="in-progress")
answer = {"type": text("answers"), "valueReference": points_to("QuestionnaireResponse/17")}
change(name(mine), status="completed", output=[answer])

# The answer is an input of the work, which goes on.
work = read(name(triage))
assert work["businessStatus"]["coding"][0]["code"] == "information-received" and work["input"] == [answer]
change(name(triage), status="completed")
assert standing(name(request))["done"] == [1]
print("answered:", work["input"][0]["valueReference"]["reference"])
