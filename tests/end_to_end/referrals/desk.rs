//! The words that stories of referrals are told in: somebody at a desk, and what lies on it.

use serde_json::{Value, json};
pub(crate) use tests::referral::{booking, coded, parameters, patient, referral, referral_of, shortlist, text};
use tests::referral::{entry_of, slot_of};
use tests::{Client, Hub, Reply};

pub(crate) const PRACTICE: &str = "R68";
pub(crate) const CLINIC: &str = "R69";
pub(crate) const UBRN: &str = "https://fhir.nhs.uk/Id/UBRN";

/// Somebody at a desk of an organisation, in a role.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) service: Client,
    pub(crate) role: &'static str,
    pub(crate) organization: &'static str,
}

pub(crate) fn service(hub: &Hub) -> Client {
    Client::new(format!("{}/ers", hub.base.strip_suffix("/fhir/R4").unwrap()))
}

pub(crate) fn practice(hub: &Hub) -> Desk {
    Desk { service: service(hub), role: "REFERRING_CLINICIAN", organization: PRACTICE }
}

pub(crate) fn clinic(hub: &Hub) -> Desk {
    Desk { service: service(hub), role: "SERVICE_PROVIDER_CLINICIAN", organization: CLINIC }
}

pub(crate) fn clinic_office(hub: &Hub) -> Desk {
    Desk { role: "SERVICE_PROVIDER_ADMIN", ..clinic(hub) }
}

impl Desk {
    pub(crate) fn with(&self, request: tests::Request) -> tests::Request {
        request
            .header("nhsd-ers-business-function", self.role)
            .header("nhsd-end-user-organisation-ods", self.organization)
    }

    pub(crate) fn get(&self, path: &str) -> tests::Request {
        self.with(self.service.get(path))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> tests::Request {
        self.with(self.service.post(path, body))
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> tests::Request {
        self.with(self.service.put(path, body))
    }

    /// Acts on the version that is the current one.
    pub(crate) async fn acts(&self, referral: &str, operation: &str, parameters: &Value) -> Reply {
        let version = self.version(referral).await;
        self.post(&format!("{referral}/{operation}"), parameters).header("if-match", version).await
    }

    /// The ETag of a referral, whoever may read it.
    pub(crate) async fn version(&self, referral: &str) -> String {
        let plain = Client::new(self.service.base.replace("/ers", "/fhir/R4"));
        plain.get(referral).await.header("etag").to_owned()
    }

    /// What this desk may do now, by its codes.
    pub(crate) async fn may(&self, referral: &str) -> Vec<String> {
        let version = self.version(referral).await.replace(['W', '/', '"'], "");
        let path = format!("Task?focus={referral}/_history/{version}&intent=proposal&status=ready");
        let found = self.get(&path).await.is(200);
        let focus = format!("{referral}/_history/{version}");
        let code = |task: Value| {
            assert_eq!(
                (task["status"].as_str(), task["focus"]["reference"].as_str()),
                (Some("ready"), Some(focus.as_str()))
            );
            task["code"]["coding"][0]["code"].as_str().unwrap().to_owned()
        };
        found.resources().into_iter().map(code).collect()
    }

    /// Makes a referral to these services.
    pub(crate) async fn refers(&self, services: &[&str]) -> String {
        self.post("ServiceRequest/$ers.createReferral", &referral(services)).await.is(201).reference()
    }
}

pub(crate) fn nothing() -> Value {
    json!({ "resourceType": "Parameters" })
}

/// A service in the directory, of a type.
pub(crate) async fn directory(hub: &Hub, kind: &str) -> String {
    let service = entry_of(CLINIC, kind);
    hub.post("HealthcareService", &service).await.is(201).reference()
}

/// So many free slots of a service, in years to come.
pub(crate) async fn slots(hub: &Hub, service: &str, count: usize) -> Vec<String> {
    let schedule = json!({ "resourceType": "Schedule", "actor": [{ "reference": service }] });
    let schedule = hub.post("Schedule", &schedule).await.is(201).reference();
    let mut slots = Vec::new();
    for n in 0..count {
        let slot = slot_of(&schedule, n + 1);
        slots.push(hub.post("Slot", &slot).await.is(201).reference());
    }
    slots
}

pub(crate) async fn books(desk: &Desk, referral: &str, slot: &str) -> Reply {
    let version = desk.version(referral).await;
    desk.post("Appointment", &booking(referral, slot)).header("if-match", version).await
}

/// A letter among Parameters, of a file that was uploaded.
pub(crate) async fn letter(desk: &Desk, name: &str, title: &str) -> Value {
    let file = json!({ "resourceType": "Binary", "contentType": "text/plain", "data": "aGVsbG8=" });
    let uploaded = desk.post("Binary", &file).await.is(201);
    let binary = uploaded.header("location").rsplit_once("/ers/").unwrap().1.to_owned();
    document(name, title, &binary)
}

pub(crate) fn document(name: &str, title: &str, binary: &str) -> Value {
    json!({ "name": name, "resource": {
        "resourceType": "DocumentReference",
        "status": "current",
        "description": title,
        "content": [{ "attachment": { "contentType": "text/plain", "url": binary, "title": title } }],
    } })
}

/// The state that a referral shows.
pub(crate) fn state(referral: &Value) -> String {
    let all = referral["extension"].as_array().unwrap().iter();
    let mut states = all.filter(|extension| extension["url"].as_str().unwrap().ends_with("eRS-ReferralState-1"));
    states.next().unwrap()["extension"][0]["valueCoding"]["code"].as_str().unwrap().to_owned()
}

/// Of each step's newest Task, the step and the status.
pub(crate) async fn steps(hub: &Hub, referral: &str) -> Vec<(String, String)> {
    let status = hub.get(&format!("{referral}/$order-status")).await.is(200).body;
    let parameters = status["parameter"].as_array().unwrap();
    let result = parameters.iter().find(|parameter| parameter["name"] == "result").unwrap();
    let mut newest = std::collections::BTreeMap::new();
    for entry in result["resource"]["entry"].as_array().unwrap() {
        let task = &entry["resource"];
        if task.get("partOf").is_some() {
            let code = task["code"]["coding"][0]["code"].as_str().unwrap().to_owned();
            newest.insert(code, task["status"].as_str().unwrap().to_owned());
        }
    }
    newest.into_iter().collect()
}

pub(crate) fn named(steps: &[(String, String)], step: &str) -> String {
    steps.iter().find(|(name, _)| name == step).map(|(_, status)| status.clone()).unwrap_or_default()
}
