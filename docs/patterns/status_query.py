"""Where does it stand? By REST, by an operation, by a number, and for a group of orders."""

from hub import call, claim, create, name, number, on_offer, points_to, referral, search, standing, told

own, shared = number(), number()
first = create(referral(identifier=[own], requisition=shared))
second = create(referral(requisition=shared, basedOn=[points_to(first)]))
[triage] = on_offer(first)
claim(triage, "Organization/clinic-1")

# By REST: the Tasks whose focus it is.
found = search("Task", focus=name(first), _sort="_id")
assert [task["status"] for task in found][:3] == ["accepted", "accepted", "draft"], found

# By the operation, by id and by the order's own number.
by_id = standing(name(first))
assert by_id["waitingFor"] == ["Triage the referral (accepted, Organization/clinic-1)"]
_, parameters, _ = call("GET", f"$order-status?identifier={own['system']}|{own['value']}")
assert told(parameters) == by_id
assert by_id["request"] == [points_to(first)] and by_id["child"] == [points_to(second)]
assert standing(name(second))["basedOn"] == [points_to(first)]

# By the number that both share: each for itself.
_, parameters, _ = call("GET", f"$order-status?group={shared['system']}|{shared['value']}")
orders = [told({"parameter": order["part"]}) for order in parameters["parameter"]]
assert sorted(order["status"][0] for order in orders) == ["accepted", "requested"], orders
assert all(order["group"] == [shared] for order in orders)
print(len(orders), "orders of one requisition:", [order["status"][0] for order in orders])

# One number of several orders is not one order.
status, outcome, _ = call("GET", f"$order-status?identifier={shared['system']}|{shared['value']}")
assert status == 412 and outcome["issue"][0]["code"] == "multiple-matches"
