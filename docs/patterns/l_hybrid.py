"""L: the placer speaks REST, the filler takes work orders off a queue, and the hub is between them.

The filler here is whoever works at the queue `clinic` (`hub serve --fillers`, or ../../workers/examples/worker.py).
"""

from hub import create, name, read, referral, standing, tasks, wait_for

request = create(referral())
wait_for("the order is done", lambda: standing(name(request))["status"] == ["completed"])
for task in tasks(request):
    print(task["status"], task.get("description"), task.get("owner", {}).get("reference", ""))
assert read(name(request))["status"] == "completed"
