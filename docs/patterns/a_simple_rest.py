"""A: the placer asks by a POST, and the answer says that it was taken. Nothing else passes between the two."""

from hub import call, create, name, read, referral

request = create(referral())
fulfilment = request["_link"].split(">")[0].split("/")[-1]
print(f"{name(request)} is kept, and followed by Task/{fulfilment}")
assert read(f"Task/{fulfilment}")["focus"]["reference"] == name(request)

# What cannot be done is said at once, with every fault.
status, outcome, _ = call("POST", "ServiceRequest", referral(status="perhaps", colour="blue"))
assert status == 422 and len(outcome["issue"]) == 2, (status, outcome)
print("refused:", [issue["expression"][0] for issue in outcome["issue"]])

# The same by an operation: where does it stand?
status, parameters, _ = call("GET", f"{name(request)}/$order-status")
assert status == 200 and parameters["parameter"][0] == {"name": "status", "valueCode": "requested"}
