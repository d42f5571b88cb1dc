//! Those who place orchestrations: groups within groups, a wait, a choice, something that is done twice, and a unit whose
//! second step nobody but its placer may do, who refuses it; so that the first is to be undone.

use std::sync::Arc;
use std::time::Duration;

use ::tests::{Client, Order};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clients::Clients;
use crate::diary::Entry;

pub(crate) const ORCHESTRATORS: usize = 6;
/// What they place; the hub keeps it as a RequestGroup.
pub(crate) const ORCHESTRATION: &str = "RequestOrchestration";
const PAUSE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Who is not asked by then never will be.
const LOOKS_MAX: usize = 300;
/// The hub may be down.
const PATIENCE: Duration = Duration::from_secs(2);

/// Of [`orchestration`]: the number of the step that is refused.
const CONFIRM: u32 = 14;

pub(crate) struct Orchestrators {
    clients: Arc<Clients>,
}

impl Orchestrators {
    pub(crate) fn new(clients: Arc<Clients>) -> Arc<Self> {
        Arc::new(Self { clients })
    }

    /// Each ends when its last orchestration has come to its end.
    pub(crate) fn begin(self: Arc<Self>, jobs: &mut JoinSet<()>, seed: u64, chance: &mut Rng) {
        for n in 0..ORCHESTRATORS {
            jobs.spawn(self.clone().place(format!("{seed}-o{n}"), chance.fork()));
        }
    }

    async fn place(self: Arc<Self>, name: String, mut chance: Rng) {
        let performer = format!("Organization/orchestrator-{name}");
        let mut n = 0;
        while self.clients.goes_on(PAUSE, &mut chance).await {
            n += 1;
            let identifier = format!("chaos-{name}-{n}");
            let key = format!("key-{identifier}");
            let body = orchestration(&identifier, &performer);
            let submit = |hub: &Client| {
                let r5 = Client::new(hub.base.replace("/fhir/R4", "/fhir/R5"));
                r5.post(ORCHESTRATION, &body).header("idempotency-key", &key)
            };
            let told = self.clients.ask(&submit, &mut chance).await;
            let order = told.reply.as_ref().filter(|_| told.is_ok()).map(|(hub, reply)| hub.order_of(reply));
            let request = order.as_ref().map(|order| order.request().replace(ORCHESTRATION, "RequestGroup"));
            self.clients.diary.write(Entry::Submitted {
                key,
                identifier,
                kind: ORCHESTRATION.to_owned(),
                tries: told.tries,
                answers: told.answers,
                request: request.unwrap_or_default(),
                fulfilment: order.as_ref().map(|order| order.fulfilment.clone()).unwrap_or_default(),
            });
            if let Some(order) = order {
                self.refuses(&order, &performer, &mut chance).await;
            }
        }
    }

    /// Waits for the step that is this performer's, and refuses it; unless the whole was revoked by somebody before.
    async fn refuses(&self, order: &Order, performer: &str, chance: &mut Rng) {
        let task = order.step(CONFIRM);
        for _ in 0..LOOKS_MAX {
            sleep(LOOK_EVERY).await;
            let hub = self.clients.any(chance);
            let Ok(Some(reply)) = timeout(PATIENCE, hub.get(&task).attempt()).await else { continue };
            match reply.body["status"].as_str() {
                Some("requested") => break,
                Some("draft") | None => {}
                Some(_) => return,
            }
        }
        let to = "rejected";
        let told =
            self.clients.patch(&task, json!([{ "op": "add", "path": "/status", "value": to }]), None, chance).await;
        let (performer, to, answers, done) = (performer.to_owned(), to.to_owned(), told.statuses(), told.is_ok());
        self.clients.diary.write(Entry::Moved { task, performer, to, answers, done, raced: false });
    }
}

/// Every step asks for the same panel of the laboratory's.
fn orchestration(identifier: &str, performer: &str) -> Value {
    let subject = json!({ "reference": format!("Patient/{identifier}") });
    let category = json!([{ "coding": [{ "system": "http://snomed.info/sct", "code": "108252007" }] }]);
    let panel = json!({
        "resourceType": "ServiceRequest", "id": "panel", "status": "active", "intent": "option", "category": category,
        "code": { "concept": { "text": "Panel" } }, "subject": subject,
    });
    let named = |name: &str, more: Value| {
        let mut action = json!({ "id": name, "linkId": name });
        more.as_object().into_iter().flatten().for_each(|(name, value)| action[name] = value.clone());
        action
    };
    let step = |name: &str, more: Value| {
        let mut step = named(name, more);
        step["resource"] = json!({ "reference": "#panel" });
        step
    };
    let after = |name: &str, seconds: u32| {
        let offset = json!({ "value": seconds, "unit": "s", "system": "http://unitsofmeasure.org", "code": "s" });
        json!([{ "targetId": name, "relationship": "after-end", "offsetDuration": offset }])
    };
    let undone = json!([{ "url": "urn:fhir-workflow-hub:extension:undone-by", "valueString": "release" }]);
    let refuser = json!([{ "type": "organization", "actorReference": { "reference": performer } }]);
    let twice = json!({ "repeat": { "count": 2, "period": 2, "periodUnit": "s" } });
    let draw = [step("draw", json!({})), step("repeat", json!({ "relatedAction": after("draw", 1) }))];
    let either = [step("one", json!({})), step("other", json!({}))];
    let unit = [
        step("reserve", json!({ "extension": undone })),
        step("confirm", json!({ "participant": refuser, "relatedAction": after("reserve", 0) })),
    ];
    json!({
        "resourceType": ORCHESTRATION, "status": "active", "intent": "order", "subject": subject,
        "identifier": [{ "system": "urn:chaos", "value": identifier }],
        "contained": [panel],
        "action": [
            named("prepare", json!({ "action": [
                named("drawing", json!({ "action": draw })),
                step("ask", json!({})),
            ]})),
            named("either", json!({
                "selectionBehavior": "exactly-one", "relatedAction": after("prepare", 1), "action": either,
            })),
            step("twice", json!({ "timingTiming": twice })),
            named("unit", json!({
                "selectionBehavior": "all-or-none", "requiredBehavior": "could", "action": unit,
            })),
            step("release", json!({})),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of all that is numbered, in the order of the numbers.
    fn numbered(actions: &Value) -> Vec<String> {
        let of = |action: &Value| {
            let times = action["timingTiming"]["repeat"]["count"].as_u64().map_or(1, |count| count + 1);
            let names = (0..times).map(|_| action["id"].as_str().unwrap().to_owned());
            names.chain(numbered(&action["action"])).collect::<Vec<_>>()
        };
        actions.as_array().into_iter().flatten().flat_map(of).collect()
    }

    #[test]
    fn the_step_that_is_refused_is_the_one_that_is_meant() {
        let names = numbered(&orchestration("1", "Organization/1")["action"]);
        assert_eq!(names[CONFIRM as usize - 1], "confirm");
    }
}
