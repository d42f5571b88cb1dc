// fhir-kit-client does the same, by JSON Patch, and places the order in a transaction.

import "./record.mjs";
import assert from "node:assert/strict";
import { Client } from "fhir-kit-client";

const hub = new Client({ baseUrl: process.argv[2] });
const capability = await hub.capabilityStatement();
assert.equal(capability.fhirVersion, "4.0.1");

// Patient and referral in one transaction: the one refers to the other before either has an id.
const url = "urn:uuid:3f9b0d0e-53a1-4d2e-9a64-3f2f7c6b8a11";
const placed = await hub.transaction({
  body: {
    resourceType: "Bundle",
    type: "transaction",
    entry: [
      {
        fullUrl: url,
        resource: { resourceType: "Patient", name: [{ family: "Kit", given: ["Joan"] }], birthDate: "1968-03-14" },
        request: { method: "POST", url: "Patient" },
      },
      ...[0, 1, 2, 3, 4].map((n) => ({
        resource: {
          resourceType: "ServiceRequest",
          status: "active",
          intent: "order",
          code: { text: `Referral ${n}` },
          subject: { reference: url },
          identifier: [{ system: "urn:example:kit", value: `R-${n}` }],
        },
        request: { method: "POST", url: "ServiceRequest" },
      })),
    ],
  },
});
assert.equal(placed.type, "transaction-response");
assert.deepEqual(placed.entry.map((entry) => entry.response.status.slice(0, 3)), Array(6).fill("201"));
const patient = placed.entry[0].response.location.match(/Patient\/[^/]+/)[0];

const search = { resourceType: "ServiceRequest", searchParams: { subject: patient, _count: 2 } };
for (const options of [{}, { postSearch: true }]) {
  const found = [];
  let pages = 0;
  for (let page = await hub.search({ ...search, options }); page; page = await hub.nextPage({ bundle: page })) {
    found.push(...page.entry.map((entry) => entry.resource.identifier[0].value));
    pages += 1;
  }
  assert.equal(pages, 3);
  assert.deepEqual(found.sort(), ["R-0", "R-1", "R-2", "R-3", "R-4"]);
}
const chained = { "subject:Patient.family": "kit", _summary: "count" };
const counted = await hub.search({ resourceType: "ServiceRequest", searchParams: chained });
assert.deepEqual([counted.total, counted.entry], [5, undefined]);
const having = { "_has:ServiceRequest:subject:identifier": "urn:example:kit|R-4", _elements: "birthDate", _total: "accurate" };
const short = await hub.search({ resourceType: "Patient", searchParams: having });
assert.deepEqual([short.total, short.entry[0].resource.birthDate, short.entry[0].resource.name], [1, "1968-03-14", undefined]);
const by = { identifier: "urn:example:kit|R-2", _include: "ServiceRequest:subject", _revinclude: "Task:based-on" };
const page = await hub.search({ resourceType: "ServiceRequest", searchParams: by });
const one = page.entry.find((entry) => entry.search.mode === "match").resource;
const kinds = page.entry.map((entry) => entry.resource.resourceType).sort();
assert.deepEqual([...new Set(kinds)], ["Patient", "ServiceRequest", "Task"]);
const resolved = await hub.resolve({ reference: one.subject.reference });
assert.equal(resolved.name[0].family, "Kit");

const openTasks = async () => {
  const searchParams = {
    "based-on": `ServiceRequest/${one.id}`,
    status: "requested,ready",
    "owner:missing": "true",
    performer: "clinic",
    _sort: "priority,authored-on",
  };
  const page = await hub.search({ resourceType: "Task", searchParams });
  return (page.entry ?? []).map((entry) => entry.resource);
};
const patches = (id, ...jsonPatch) => hub.patch({ resourceType: "Task", id, jsonPatch });
const done = [];
for (let tasks = await openTasks(); tasks.length; tasks = await openTasks()) {
  const { id, meta } = tasks[0];
  const owner = { op: "add", path: "/owner", value: { reference: "Organization/kit-clinic" } };
  const claim = [{ op: "replace", path: "/status", value: "accepted" }, owner];
  const options = { headers: { "If-Match": `W/"${meta.versionId}"` } };
  await hub.patch({ resourceType: "Task", id, jsonPatch: claim, options });
  // Whoever comes second is told that the version is another by now.
  await assert.rejects(hub.patch({ resourceType: "Task", id, jsonPatch: claim, options }), isTold(412));
  await patches(id, { op: "replace", path: "/status", value: "in-progress" });
  const output = [{ type: { text: "Result" }, valueString: "done" }];
  const ended = await patches(
    id,
    { op: "replace", path: "/status", value: "completed" },
    { op: "add", path: "/output", value: output },
  );
  assert.deepEqual([ended.status, ended.output], ["completed", output]);
  done.push(ended);
}
assert.equal(done.length, 4, "triage, booking, appointment, report");
assert.equal((await hub.read({ resourceType: "Task", id: `${one.id}.0` })).status, "completed");
const status = await hub.operation({ name: "order-status", resourceType: "ServiceRequest", id: one.id, method: "GET" });
assert.equal(status.parameter[0].valueCode, "completed");
const history = await hub.history({ resourceType: "Task", id: done[0].id });
const states = history.entry.map((entry) => entry.resource.status);
assert.deepEqual(states, ["completed", "in-progress", "accepted", "requested"]);
const first = await hub.vread({ resourceType: "Task", id: done[0].id, version: "1" });
assert.equal(first.status, "requested");
assert.equal((await hub.history({ resourceType: "ServiceRequest" })).type, "history");

// What is not allowed is told as FHIR has it.
function isTold(status) {
  return (no) => no.response.status === status && no.response.data.resourceType === "OperationOutcome";
}
await assert.rejects(patches(done[0].id, { op: "replace", path: "/status", value: "requested" }), isTold(422));
await assert.rejects(hub.create({ resourceType: "Task", body: { resourceType: "Task", status: "ready" } }), isTold(422));
await assert.rejects(hub.read({ resourceType: "Task", id: "nobody" }), isTold(404));
await assert.rejects(hub.search({ resourceType: "Task", searchParams: { colour: "red" } }), isTold(400));

const batch = await hub.batch({
  body: {
    resourceType: "Bundle",
    type: "batch",
    entry: [
      {
        resource: { resourceType: "Patient", name: [{ family: "Batch" }] },
        request: { method: "POST", url: "Patient" },
      },
      {
        resource: {
          resourceType: "Task",
          status: "requested",
          intent: "order",
          focus: { reference: "ServiceRequest/nobody" },
        },
        request: { method: "POST", url: "Task" },
      },
    ],
  },
});
assert.deepEqual(batch.entry.map((entry) => entry.response.status.slice(0, 3)), ["201", "422"]);
const lonely = batch.entry[0].response.location.match(/Patient\/([^/]+)/)[1];
await hub.delete({ resourceType: "Patient", id: lonely });
await assert.rejects(hub.read({ resourceType: "Patient", id: lonely }), isTold(410));
