"""B: the request is posted to whoever does it, tagged as to be acted upon; what comes of it is posted back.

The hub stands in for the filler's system: it takes the request, and what the filler posts with `basedOn` belongs to the
order from then on.
"""

from hub import change, create, name, points_to, referral, standing, text

ACTIONABLE = {"system": "http://terminology.hl7.org/CodeSystem/common-tags", "code": "actionable"}

request = create(referral(meta={"tag": [ACTIONABLE]}))
assert request["_link"], "what is actionable is acted upon"

event = {"status": "preliminary", "basedOn": [points_to(request)], "subject": request["subject"]}
weight = create({"resourceType": "Observation", "code": text("Body weight"), **event})
report = create({"resourceType": "DiagnosticReport", "code": text("Dermatology report"), **event})
letter = create({
    "resourceType": "DocumentReference",
    "status": "current",
    "content": [{"attachment": {"url": "https://clinic.example/letters/1"}}],
    "context": {"related": [points_to(request)]},
})

now = {event["reference"]: event.get("display") for event in standing(name(request))["event"]}
assert now == {name(weight): "preliminary", name(report): "preliminary", name(letter): "current"}, now
change(name(report), status="final")
events = standing(name(request))["event"]
assert {"reference": name(report), "display": "final"} in events, events
print("posted back:", ", ".join(event["reference"] for event in events))

# There is no accepting and no refusing here: the placer ends it, by its own word.
change(name(request), status="completed")
assert standing(name(request))["status"] == ["cancelled"], "no Task was ever claimed"
