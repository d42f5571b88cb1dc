// @medplum/core, made for a server of its own, does the same.

import "./record.mjs";
import assert from "node:assert/strict";
import { MedplumClient, createReference, getReferenceString } from "@medplum/core";

const base = new URL(process.argv[2]);
const hub = new MedplumClient({
  baseUrl: base.origin,
  fhirUrlPath: base.pathname,
  fetch: (...call) => fetch(...call),
  cacheTime: 0,
  accessToken: "none is asked for",
});

const patient = await hub.createResource({
  resourceType: "Patient",
  name: [{ family: "Medplum", given: ["Mary"] }],
  birthDate: "1968-03-14",
});
assert.equal(patient.meta.versionId, "1");
const updated = await hub.updateResource({ ...patient, gender: "female" });
assert.equal(updated.meta.versionId, "2");

const referral = (n) => ({
  resourceType: "ServiceRequest",
  status: "active",
  intent: "order",
  code: { text: `Referral ${n}` },
  subject: createReference(patient),
  identifier: [{ system: "urn:example:medplum", value: `R-${n}` }],
});
for (let n = 0; n < 5; n++) {
  await hub.createResource(referral(n));
}
// The same once more, unless it is there.
const again = await hub.createResourceIfNoneExist(referral(3), "identifier=urn:example:medplum|R-3");
const one = await hub.searchOne("ServiceRequest", { identifier: "urn:example:medplum|R-3" });
assert.equal(again.id, one.id);
assert.equal((await hub.readReference(one.subject)).name[0].family, "Medplum");

const named = await hub.searchResources("Patient", "family:contains=EDPL&birthdate=lt1970");
assert.deepEqual(named.map((one) => one.id), [patient.id]);

const found = [];
const pages = [];
for await (const page of hub.searchResourcePages("ServiceRequest", { subject: getReferenceString(patient), _count: 2 })) {
  pages.push(page.length);
  found.push(...page.map((resource) => resource.identifier[0].value));
}
assert.deepEqual(pages, [2, 2, 1]);
assert.deepEqual(found.sort(), ["R-0", "R-1", "R-2", "R-3", "R-4"]);
// Without a _count it asks for a thousand, which is more than a page of the hub has.
const unlimited = [];
for await (const page of hub.searchResourcePages("ServiceRequest", { subject: getReferenceString(patient) })) {
  unlimited.push(...page);
}
assert.equal(unlimited.length, 5);

const openTasks = () =>
  hub.searchResources("Task", {
    "based-on": getReferenceString(one),
    status: "requested,ready",
    "owner:missing": true,
    performer: "clinic",
    _sort: "priority,authored-on",
  });
const done = [];
for (let tasks = await openTasks(); tasks.length; tasks = await openTasks()) {
  const { id } = tasks[0];
  const claimed = await hub.patchResource("Task", id, [
    { op: "test", path: "/status", value: "requested" },
    { op: "replace", path: "/status", value: "accepted" },
    { op: "add", path: "/owner", value: { reference: "Organization/medplum-clinic" } },
  ]);
  const begun = await hub.updateResource({ ...claimed, status: "in-progress", businessStatus: { text: "Seen" } });
  const output = [{ type: { text: "Result" }, valueString: "done" }];
  done.push(await hub.updateResource({ ...begun, status: "completed", output }));
}
assert.equal(done.length, 4, "triage, booking, appointment, report");
assert.deepEqual(done.map((task) => task.status), Array(4).fill("completed"));
assert.equal((await hub.readResource("Task", `${one.id}.0`)).status, "completed");
const history = await hub.readHistory("Task", done[0].id);
const states = history.entry.map((entry) => entry.resource.status);
assert.deepEqual(states, ["completed", "in-progress", "accepted", "requested"]);
assert.equal((await hub.readVersion("Task", done[0].id, "1")).status, "requested");
const status = await hub.get(hub.fhirUrl("ServiceRequest", one.id, "$order-status"));
assert.equal(status.parameter[0].valueCode, "completed");

const batch = await hub.executeBatch({
  resourceType: "Bundle",
  type: "transaction",
  entry: [{ resource: { resourceType: "Patient", name: [{ family: "Lonely" }] }, request: { method: "POST", url: "Patient" } }],
});
const lonely = batch.entry[0].response.location.match(/Patient\/([^/]+)/)[1];
await hub.deleteResource("Patient", lonely);

// What is not allowed is told as FHIR has it: this client throws the OperationOutcome.
const isTold = (...codes) => (no) => no.outcome.issue.map((issue) => issue.code).join() === codes.join();
await assert.rejects(hub.updateResource({ ...done[0], status: "requested" }), isTold("business-rule"));
await assert.rejects(hub.readResource("Patient", lonely), isTold("deleted"));
await assert.rejects(hub.readResource("Patient", "nobody"), isTold("not-found"));
await assert.rejects(hub.createResource({ resourceType: "Task", status: "ready" }), isTold("required"));
