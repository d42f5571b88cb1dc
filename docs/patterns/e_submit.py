"""E: an operation, whose answer says at once whether the order is taken, and a call back when it has ended.

The hub calls only where its site says (`callbacks`); for this script:
`--set callbacks=http://127.0.0.1:PORT/=TOKEN --fillers`, with that PORT and TOKEN in CALLBACK_PORT and CALLBACK_TOKEN.
"""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from hub import call, read, referral, told, wait_for

PORT, TOKEN = int(os.environ["CALLBACK_PORT"]), os.environ["CALLBACK_TOKEN"]
calls = []


class Placer(BaseHTTPRequestHandler):
    """The placer's own system: busy when it is called first."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        calls.append((self.headers["Authorization"], self.headers["Idempotency-Key"], body))
        self.send_response(503 if len(calls) == 1 else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


threading.Thread(target=HTTPServer(("127.0.0.1", PORT), Placer).serve_forever, daemon=True).start()


def submit(request, callback):
    parameters = [{"name": "request", "resource": request}, {"name": "callback", "valueUrl": callback}]
    return call("POST", "$submit", {"resourceType": "Parameters", "parameter": parameters})


# Refused at once, with every fault.
status, outcome, _ = submit(referral(), "https://elsewhere.example/hook")
assert status == 422 and outcome["issue"][0]["expression"] == ["Parameters.parameter[1].valueUrl"], (status, outcome)

# Taken at once; how it goes on can be asked.
status, answer, _ = submit(referral(), f"http://127.0.0.1:{PORT}/orders")
assert status == 200, (status, answer)
taken = told(answer)
assert taken["outcome"] == ["accepted"], taken
task = taken["task"][0]["reference"]
assert call("GET", taken["status"][0])[0] == 200

# Told when it has ended, once more when that did not get through. Each call of one order has the same key.
wait_for("the second call", lambda: len(calls) > 1)
for token, key, body in calls:
    assert token == f"Bearer {TOKEN}" and f"Task/{body['id']}" == task and body["status"] == "completed"
assert calls[0][1] == calls[1][1]
made = [task for task in (entry["resource"] for entry in told(read(f"{task}/$order-status"))["result"][0]["entry"])
        if task["code"].get("text") == "Tell the placer how it ended"]
assert made[0]["status"] == "failed" and made[0]["statusReason"]["coding"][0]["code"] == "not-reached"
wait_for("the call is done", lambda: read(f"Task/{made[1]['id']}")["status"] == "completed")
print(f"{task} is {calls[-1][2]['status']}: told after {len(calls)} calls")
