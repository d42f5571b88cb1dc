"""D: messaging. The placer sends a message, and is answered by one with the Task by which its order is followed."""

from uuid import uuid4

from hub import call, name, points_to, read, referral, standing

FULFIL = {"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}


def message(*parts, event=FULFIL):
    """What is in focus first, then all that it points to; each part by a URL of its own."""
    urls = [f"urn:uuid:{uuid4()}" for _ in parts]
    header = {"resourceType": "MessageHeader", "id": str(uuid4()), "eventCoding": event,
              "source": {"endpoint": "https://surgery.example/messages"}, "focus": [{"reference": urls[0]}]}
    entries = [{"fullUrl": f"urn:uuid:{header['id']}", "resource": header}]
    for url, part in zip(urls, parts):
        entries.append({"fullUrl": url, "resource": part(urls) if callable(part) else part})
    number = {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid4()}"}
    return {"resourceType": "Bundle", "type": "message", "identifier": number,
            "timestamp": "2026-11-28T12:00:00Z", "entry": entries}


rosa = {"resourceType": "Patient", "name": [{"family": "Diaz", "given": ["Rosa"]}]}
sent = message(lambda urls: referral(subject={"reference": urls[1]}), rosa)
status, answer, _ = call("POST", "$process-message", sent)
assert status == 200, (status, answer)
header, followed = (entry["resource"] for entry in answer["entry"])
assert header["response"] == {"identifier": sent["entry"][0]["resource"]["id"], "code": "ok"}
assert followed["code"]["coding"] == [FULFIL] and read(followed["focus"]["reference"])["status"] == "active"
assert read(followed["for"]["reference"])["name"] == rosa["name"], "all that was in the message is here"
assert standing(name(followed))["status"] == ["requested"]

# The same message again is the same order.
_, again, _ = call("POST", "$process-message", sent)
assert name(again["entry"][1]["resource"]) == name(followed)

# J: its focus may be the placer's Task for that request, too. The hub writes that Task itself.
task = {"resourceType": "Task", "status": "requested", "intent": "order", "code": {"coding": [FULFIL]}}
status, answer, _ = call("POST", "$process-message", message(
    lambda urls: {**task, "focus": {"reference": urls[1]}}, referral()))
assert status == 200 and len(answer["entry"]) == 2, (status, answer)

# What no workflow understands is refused by name, and what is wrong is told with its place.
status, outcome, _ = call("POST", "$process-message", message(referral(), event={**FULFIL, "code": "replace"}))
assert status == 400 and "fulfill" in outcome["issue"][0]["diagnostics"], (status, outcome)
status, outcome, _ = call("POST", "$process-message", message(rosa, referral()))
assert status == 422 and outcome["issue"][0]["expression"] == ["Bundle.entry[0].resource.focus[0]"], (status, outcome)
print(f"answered with {name(followed)}")
