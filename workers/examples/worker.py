#!/usr/bin/env python3
"""A worker in Python, written from schemas/generated/asyncapi.yaml alone.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python worker.py --url amqp://guest:guest@localhost:5672/%2F --work laboratory

It takes work orders of one kind, claims each of the hub, acknowledges it when the claim is answered, does simulated
work and reports. With --performer Organization/x it claims in that name and also does what is directed to it. It ends
after --count Tasks, after --idle-seconds without work, or when it is interrupted: then it finishes what it has begun.

To make it yours, change `do`. It works on one Task at a time; start it several times for more.
"""

import argparse
import json
import random
import signal
import sys
import time
import uuid
from datetime import datetime, timezone

import pika
from pika.compat import long  # an integer that goes out as AMQP's 64-bit `l`
from pika.exceptions import AMQPError, ChannelClosedByBroker

REPORTS = "hub.v1.reports"
PARKED = "hub.v1.parked"
RETRY_SECONDS = [1, 5, 30, 300, 3600]
SILENCE_SECONDS = 5  # the put-off while the hub says nothing: nothing is wrong with the work order
UNANSWERED_SECONDS = 30  # the longest put-off for want of an answer
REMEMBERED = 10_000  # Tasks and claims; one that is forgotten costs a claim that is refused
ANSWER_SECONDS = 10
IDLE_PAUSE_SECONDS = 0.2
RECONNECT_SECONDS = [0.2, 1, 2, 5, 10]
ROUTINE_EVERY = 5


def now():
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def forget(known):
    """The oldest of what is remembered, when it is too much."""
    while len(known) > REMEMBERED:
        del known[next(iter(known))]


def performer_place(reference):
    """A reference as a place: every byte that is no letter, digit or hyphen becomes _ and two hex digits."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
    return "performer." + "".join(chr(b) if b in plain else f"_{b:02X}" for b in reference.encode())


class Order:
    """A work order and where it came from."""

    def __init__(self, queue, connection_number, method, properties, body):
        self.queue, self.connection_number = queue, connection_number
        self.method, self.properties, self.body = method, properties, body
        self.event = self.data = None

    def read(self):
        """Raises ValueError or KeyError when this is no work order."""
        event = json.loads(self.body)
        if not isinstance(event, dict) or event.get("type") != "fhir-workflow-hub.work-order.v1":
            raise ValueError("another type of event")
        data = event["data"]
        for name, kind in [("task_id", str), ("task_version", int), ("task_status", str), ("work", str), ("step", str)]:
            if not isinstance(data[name], kind):
                raise ValueError(name)
        self.event, self.data = event, data

    @property
    def task(self):
        return self.data["task_id"]

    @property
    def version(self):
        return self.data["task_version"]

    @property
    def attempts(self):
        return (self.properties.headers or {}).get("x-hub-attempts", 0)


class Fenced(Exception):
    """The hub refused a later report: the Task is not ours any more."""


class Grant:
    """A Task that is ours: what every later report about it needs."""

    def __init__(self, order, reply):
        data = reply["data"]
        self.order = order
        self.version = data.get("task_version", order.version)
        self.reports = []  # ids of the reports whose refusal is still heeded
        self.sequence = 1  # that was the claim
        until = data.get("lease_until")
        # Both instants are the hub's, so our clock does not matter.
        self.lease_seconds = (instant(until) - instant(reply["time"])).total_seconds() if until else None


class Worker:
    def __init__(self, options):
        self.url, self.work = options.url, options.work
        self.performer = options.performer or f"Organization/python-{options.work}"
        self.id = uuid.uuid4()
        self.replies = f"hub.v1.replies.{uuid.uuid4()}"
        places = [f"open.{options.work}"] + ([performer_place(options.performer)] if options.performer else [])
        self.queues = {tier: [f"hub.v1.work.{place}.{tier}" for place in places] for tier in ("urgent", "routine")}
        self.attempts = options.attempts
        self.taken = 0
        self.heard = 0  # answers of the hub to anything
        self.answers = {}  # claim id -> the hub's reply
        self.unanswered = {}  # claim id -> order that was put off; a late grant still makes it ours
        self.lowest = {}  # task -> lowest version that is still worth a look
        self.connection, self.connection_number = None, 0
        self.draining = False

    # The broker, and losing it.

    def connect(self):
        """Until there is a connection. Only what is unacknowledged is lost with the old one, and it comes again."""
        attempt = 0
        while True:
            try:
                self.connection = pika.BlockingConnection(pika.URLParameters(self.url))
                self.connection_number += 1
                self.open_channels()
                return
            except (AMQPError, OSError) as error:
                pause = RECONNECT_SECONDS[min(attempt, len(RECONNECT_SECONDS) - 1)]
                say(f"no broker ({type(error).__name__}), again in {pause} s")
                time.sleep(pause)
                attempt += 1

    def open_channels(self):
        self.publishing = self.connection.channel()
        self.publishing.confirm_delivery()
        self.taking = self.connection.channel()
        answering = self.connection.channel()
        arguments = {"x-queue-type": "classic", "x-expires": 600_000}
        answering.queue_declare(self.replies, durable=True, exclusive=False, auto_delete=False, arguments=arguments)
        answering.basic_consume(self.replies, self.hear)

    def hear(self, channel, method, _properties, body):
        try:
            reply = json.loads(body)
            self.answers[reply["data"]["report_id"]] = reply
            self.heard += 1
        except (ValueError, KeyError, TypeError):
            say("an answer could not be read")
        channel.basic_ack(method.delivery_tag)

    def wait(self, seconds):
        """Also serves heartbeats and answers; a connection that is lost meanwhile is made again."""
        try:
            self.connection.sleep(seconds)
        except AMQPError:
            self.connect()

    def publish(self, exchange, key, body, properties):
        """Until it is confirmed. The same message each time, so that the hub knows a repeat."""
        while True:
            try:
                return self.publishing.basic_publish(exchange, key, body, properties, mandatory=True)
            except AMQPError as error:
                say(f"not confirmed ({type(error).__name__}), again")
                time.sleep(RECONNECT_SECONDS[0])
                if not self.publishing.is_open:
                    self.connect()

    def acknowledge(self, order):
        """Too late on another connection: then it comes again, and finds nothing left to do."""
        if order.connection_number == self.connection_number:
            try:
                self.taking.basic_ack(order.method.delivery_tag)
            except AMQPError:
                self.connect()

    # Taking work.

    def take(self):
        """The next work order, urgent before routine, but now and then routine first. None when there is none.

        Taking one by one instead of subscribing: so none waits in here while we are busy with another.
        """
        tiers = ["urgent", "routine"] if (self.taken + 1) % ROUTINE_EVERY else ["routine", "urgent"]
        for queue in [queue for tier in tiers for queue in self.queues[tier]]:
            try:
                method, properties, body = self.taking.basic_get(queue)
            except ChannelClosedByBroker as error:
                if error.reply_code != 404:
                    raise
                # The hub has not made this queue yet.
                self.taking = self.connection.channel()
                continue
            if method:
                self.taken += 1
                return Order(queue, self.connection_number, method, properties, body)
        return None

    def settle(self, order):
        """Claims the order and, if it is granted, does the work. True when a Task was done."""
        try:
            order.read()
        except (ValueError, KeyError, TypeError):
            return self.park(order, "not a work order")
        if order.data["work"] != self.work:
            # Of the same performer, for another of its workers.
            return self.put_off(order, f"no worker took it: its kind of work is {order.data['work']}")
        wanted = order.data["task_status"] in ("requested", "ready")
        if not wanted or order.version < self.lowest.get(order.task, 0):
            self.lowest[order.task] = max(order.version, self.lowest.get(order.task, 0))
            return self.acknowledge(order)
        heard = self.heard
        claim = self.claim(order)
        reply = self.answer(claim)
        if reply is None:
            self.unanswered[claim] = order
            forget(self.unanswered)
            if self.heard == heard:
                return self.retry(order, SILENCE_SECONDS, order.attempts)
            return self.put_off(order, "the hub did not answer its claim, but others", UNANSWERED_SECONDS)
        self.acknowledge(order)
        return self.follow(order, reply)

    def claim(self, order):
        """The same id whenever this version is claimed again, so that it is one claim and has one answer."""
        claim = str(uuid.uuid5(self.id, f"{order.task}/{order.version}"))
        self.unanswered.pop(claim, None)
        self.send(order, claim, 1, "claim", order.version, {})
        return claim

    def answer(self, claim):
        until = time.monotonic() + ANSWER_SECONDS
        while claim not in self.answers and time.monotonic() < until:
            self.wait(0.02)
        return self.answers.pop(claim, None)

    def follow(self, order, reply):
        granted = reply["data"]["answer"] == "granted"
        settled = max(order.version, reply["data"].get("task_version") or 0)
        self.lowest[order.task] = settled + 1
        forget(self.lowest)
        if not granted:
            say(f"Task/{order.task} refused")
            return False
        say(f"Task/{order.task} granted: {order.data['step']}")
        try:
            self.do(Grant(order, reply))
        except Fenced as fenced:
            say(f"Task/{order.task} is not ours any more, the work stops: {fenced}")
            return False
        return True

    def late_grants(self):
        """Answers that came after the order was put off. Of others only a no to a last word is worth a line."""
        done = 0
        for claim in list(self.answers):
            reply, order = self.answers.pop(claim, None), self.unanswered.pop(claim, None)
            if reply is not None and order is not None and self.follow(order, reply):
                done += 1
            elif reply is not None and order is None and reply["data"]["answer"] == "refused":
                say(f"Task/{reply['data']['task_id']} a report was refused: {reply['data'].get('reason')}")
        return done

    def again(self, order, exchange, header, value):
        """Puts a message where it waits or is looked at, unchanged but for one header."""
        order.properties.headers = {**(order.properties.headers or {}), header: value}
        order.properties.user_id = None  # it would have to be our own
        self.publish(exchange, order.queue, order.body, order.properties)
        self.acknowledge(order)
        return False

    def put_off(self, order, why, longest=RETRY_SECONDS[-1]):
        """For longer each time, and not for ever."""
        if order.attempts >= self.attempts:
            return self.park(order, why)
        seconds = RETRY_SECONDS[min(order.attempts, len(RETRY_SECONDS) - 1)]
        return self.retry(order, min(seconds, longest), order.attempts + 1)

    def retry(self, order, seconds, attempts):
        """Back between one half and the whole of the time, so that what failed together does not come together."""
        order.properties.expiration = str(int(seconds * 1000 * random.uniform(0.5, 1)))
        return self.again(order, f"hub.v1.retry.{seconds}s", "x-hub-attempts", long(attempts))

    def park(self, order, why):
        return self.again(order, PARKED, "x-hub-parked-why", why)

    # The work, and what is said about it.

    def do(self, grant):
        """Simulated. Replace it by the real thing; let `Fenced` pass."""
        self.report(grant, "in-progress", business_status={"text": "In progress in Python"})
        self.work_for(grant, 0.3)
        output = {"type": {"text": "Result"}, "valueString": f"{grant.order.data['step']} done in Python"}
        self.report(grant, "completed", output=[output])

    def work_for(self, grant, seconds):
        """Time passes, and the lease is renewed at half of it."""
        step = min(seconds, (grant.lease_seconds or 120) / 2)
        while seconds > step > 0:
            self.wait_for(grant, step)
            self.report(grant, "in-progress")
            seconds -= step
        self.wait_for(grant, seconds)

    def wait_for(self, grant, seconds):
        """Heeding at once what the hub says of the work meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.wait(min(left, IDLE_PAUSE_SECONDS))
            self.heed(grant)

    def report(self, grant, act, **said):
        self.heed(grant)
        grant.sequence += 1
        report_id = str(uuid.uuid4())
        grant.reports.append(report_id)
        self.send(grant.order, report_id, grant.sequence, act, grant.version, said)

    def heed(self, grant):
        """Raises when a report was refused: from there on another may be at the same work."""
        for report_id in grant.reports:
            reply = self.answers.pop(report_id, None)
            if reply is not None and reply["data"]["answer"] == "refused":
                raise Fenced(reply["data"].get("reason", ""))
        grant.reports = grant.reports[-32:]

    def send(self, order, report_id, sequence, act, version, said):
        data = {
            "report_id": report_id,
            "task_id": order.task,
            "sequence": sequence,
            "performer": self.performer,
            "act": act,
            "task_version": version,
            **said,
        }
        event = {
            "specversion": "1.0",
            "id": report_id,
            "source": f"urn:fhir-workflow-hub:worker:{self.id}",
            "type": "fhir-workflow-hub.status-report.v1",
            "subject": f"Task/{order.task}",
            "time": now(),
            "datacontenttype": "application/json",
            "data": data,
        }
        headers = {}
        if order.event.get("traceparent"):
            event["traceparent"] = headers["traceparent"] = order.event["traceparent"]
        properties = pika.BasicProperties(
            content_type="application/cloudevents+json",
            delivery_mode=2,
            message_id=report_id,
            reply_to=self.replies,
            headers=headers,
        )
        self.publish(REPORTS, "", json.dumps(event).encode(), properties)

    # The whole.

    def run(self, count, idle_seconds):
        self.connect()
        say(f"{self.work} at work as {self.performer}")
        done, busy_at = 0, time.monotonic()
        while not self.draining and (count is None or done < count):
            try:
                done += self.late_grants()
                order = self.take()
                if order is not None:
                    done += bool(self.settle(order))
                    busy_at = time.monotonic()
            except AMQPError as error:
                say(f"lost the broker ({type(error).__name__})")
                self.connect()
                continue
            if idle_seconds is not None and time.monotonic() - busy_at > idle_seconds:
                break
            if order is None:
                self.wait(IDLE_PAUSE_SECONDS)
        say(f"{done} done")
        return done

    def drain(self, *_):
        """A second signal has its usual effect, which is the end."""
        self.draining = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def say(line):
    print(f"worker.py: {line}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="amqp://user:password@host:port/vhost")
    parser.add_argument("--work", required=True, help="the kind of work, for example laboratory")
    parser.add_argument("--performer", help="claim in this name, for example Organization/lab-1")
    parser.add_argument("--attempts", type=int, default=20, help="so often is work put off before it is parked")
    parser.add_argument("--count", type=int, help="end after so many Tasks")
    parser.add_argument("--idle-seconds", type=float, help="end after so long without work")
    options = parser.parse_args()
    worker = Worker(options)
    signal.signal(signal.SIGINT, worker.drain)
    signal.signal(signal.SIGTERM, worker.drain)
    done = worker.run(options.count, options.idle_seconds)
    if options.count is not None and done < options.count:
        sys.exit(1)


if __name__ == "__main__":
    main()
