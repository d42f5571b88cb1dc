//! Small builders, so that a test reads like what it says.

use std::collections::HashMap;

use hub_domain::decision::{Decision, HeadWrite, Message, OutgoingId, Write};
use hub_domain::query::{
    self, AmountMatch, DateMatch, Filter, Prefix, Query, Sort, SystemMatch, TextMatch, TokenMatch, UnitMatch,
};
use hub_domain::registry::{Committed, HistoryOf, Method, Page, Registry, Stored};
use hub_domain::scene::{Head, Identifier, Needs, Receipt};
use schemas::resource::{Key, Kind, Resource};
use schemas::task::Priority;
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) fn root(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// The registry's time.
pub(crate) async fn now(registry: &dyn Registry) -> Timestamp {
    registry.load(&[]).await.unwrap().1
}

/// A decision under construction, at a moment.
pub(crate) struct Deciding {
    pub(crate) now: Timestamp,
    pub(crate) decision: Decision,
}

pub(crate) fn deciding(now: Timestamp) -> Deciding {
    Deciding { now, decision: Decision::default() }
}

impl Deciding {
    /// A head that was at `expected` and goes up by one.
    pub(crate) fn on(mut self, root: Uuid, expected: Option<u64>) -> Self {
        let head = Head { version: expected.unwrap_or(0) + 1, last: self.now, run: None };
        self.decision.heads.push(HeadWrite { root, expected, head });
        self
    }

    pub(crate) fn creates(self, root: Uuid, key: Key, body: Value) -> Self {
        self.writes(root, Method::Create, key, 1, body)
    }

    pub(crate) fn updates(self, root: Uuid, key: Key, version: u32, body: Value) -> Self {
        self.writes(root, Method::Update, key, version, body)
    }

    pub(crate) fn deletes(self, root: Uuid, key: Key, version: u32) -> Self {
        self.writes(root, Method::Delete, key, version, serde_json::json!({}))
    }

    fn writes(mut self, root: Uuid, method: Method, key: Key, version: u32, body: Value) -> Self {
        let Value::Object(body) = body else { panic!("a body is an object") };
        let resource = Resource::new(key, version, self.now, body);
        self.decision.writes.push(Write { root, method, resource, before: None });
        self
    }

    pub(crate) fn receipt(mut self, key: &str) -> Self {
        let receipt = Receipt { key: key.into(), fingerprint: "f".into(), answer: "{}".into() };
        self.decision.receipts.push(receipt);
        self
    }

    pub(crate) fn claims(mut self, identifier: &Identifier, id: &str) -> Self {
        self.decision.claims.push((identifier.clone(), id.into()));
        self
    }

    pub(crate) fn tells(mut self, task: &Key, version: u32, priority: Priority) -> Self {
        self.decision.outbox.push(Message {
            task: task.clone(),
            version,
            work: "laboratory".into(),
            step: "collect".into(),
            owner: None,
            priority,
            traceparent: Some("00-1-2-01".into()),
        });
        self
    }

    pub(crate) fn done(self) -> Decision {
        self.decision
    }
}

/// A new order whose one resource is this.
pub(crate) async fn create(registry: &dyn Registry, number: u128, key: Key, body: Value) {
    let decision = deciding(now(registry).await).on(root(number), None).creates(root(number), key, body).done();
    assert_eq!(commit_one(registry, decision).await.0, Committed::Done);
}

pub(crate) async fn commit_one(registry: &dyn Registry, decision: Decision) -> (Committed, Vec<OutgoingId>) {
    let decisions = upon_what_is_there(registry, &[decision]).await;
    registry.commit(&decisions).await.unwrap().remove(0)
}

pub(crate) async fn commit(registry: &dyn Registry, decisions: &[Decision]) -> Vec<Committed> {
    let decisions = upon_what_is_there(registry, decisions).await;
    registry.commit(&decisions).await.unwrap().into_iter().map(|(committed, _)| committed).collect()
}

/// Decisions that know what they replace, as those do that were made upon a scene.
async fn upon_what_is_there(registry: &dyn Registry, decisions: &[Decision]) -> Vec<Decision> {
    let mut decisions = decisions.to_vec();
    let mut written: HashMap<Key, Resource> = HashMap::new();
    for write in decisions.iter_mut().flat_map(|decision| &mut decision.writes) {
        let key = &write.resource.key;
        if write.method != Method::Create {
            let mut scene = registry.load(&[needing(key)]).await.unwrap().0.remove(0);
            write.before = written.get(key).cloned().or_else(|| scene.resources.remove(key));
        }
        written.insert(key.clone(), write.resource.clone());
    }
    decisions
}

pub(crate) fn identifier(kind: Kind, value: &str) -> Identifier {
    Identifier { kind, system: "urn:numbers".into(), value: value.into() }
}

pub(crate) async fn read(registry: &dyn Registry, key: &Key) -> Option<Stored> {
    registry.read(std::slice::from_ref(key)).await.unwrap().pop()
}

pub(crate) fn needing(resource: &Key) -> Needs {
    Needs { resources: vec![resource.clone()], ..Needs::default() }
}

pub(crate) fn history_of(kind: Kind, id: Option<&str>, count: u32) -> HistoryOf {
    HistoryOf { kind: Some(kind), id: id.map(str::to_owned), since: None, at: None, count, page: None }
}

pub(crate) fn task_query(filters: Vec<Filter>) -> Query {
    query_of(Kind::TASK, filters)
}

pub(crate) fn query_of(kind: Kind, filters: Vec<Filter>) -> Query {
    Query { kind, filters, sort: Vec::new(), count: 20, page: None }
}

pub(crate) fn sorted(mut query: Query, sort: &[Sort]) -> Query {
    query.sort = sort.to_vec();
    query
}

/// `system|code`, `|code` or `code`; several with commas.
pub(crate) fn token(kind: Kind, name: &str, values: &str) -> Filter {
    let param = query::find(kind, name).unwrap();
    Filter::Token { param, any: values.split(',').map(token_match).collect() }
}

pub(crate) fn token_match(text: &str) -> TokenMatch {
    let (system, code) = match text.split_once('|') {
        None => (SystemMatch::Any, text),
        Some(("", code)) => (SystemMatch::None, code),
        Some((system, code)) => (SystemMatch::Is(system.into()), code),
    };
    TokenMatch { system, code: (!code.is_empty()).then(|| code.to_owned()) }
}

pub(crate) fn reference(kind: Kind, name: &str, values: &str) -> Filter {
    let param = query::find(kind, name).unwrap();
    Filter::Reference { param, any: values.split(',').map(str::to_owned).collect() }
}

pub(crate) fn reference_identifier(kind: Kind, name: &str, value: &str) -> Filter {
    let param = query::find(kind, name).unwrap();
    Filter::ReferenceIdentifier { param, any: vec![token_match(value)] }
}

pub(crate) fn text(kind: Kind, name: &str, how: TextMatch, values: &str) -> Filter {
    let param = query::find(kind, name).unwrap();
    Filter::Text { param, how, any: values.split(',').map(str::to_owned).collect() }
}

/// `5`, `gt5||mg` or `5|http://unitsofmeasure.org|mg`.
pub(crate) fn amount(kind: Kind, name: &str, value: &str) -> Filter {
    let (prefix, rest) = Prefix::split(value);
    let mut parts = rest.split('|');
    let number = parts.next().unwrap();
    let unit = match (parts.next(), parts.next()) {
        (Some(""), Some(name)) => UnitMatch::Named(name.into()),
        (Some(system), Some(code)) => UnitMatch::Is { system: system.into(), code: code.into() },
        _ => UnitMatch::Any,
    };
    let any = vec![AmountMatch::read(prefix, number, unit).unwrap()];
    Filter::Amount { param: query::find(kind, name).unwrap(), any }
}

pub(crate) fn composite(kind: Kind, name: &str, parts: Vec<Filter>) -> Filter {
    Filter::Composite { param: query::find(kind, name).unwrap(), any: vec![parts] }
}

pub(crate) fn missing(kind: Kind, name: &str, missing: bool) -> Filter {
    Filter::Missing { param: query::find(kind, name).unwrap(), missing }
}

pub(crate) fn date_match(prefix: Prefix, text: &str) -> DateMatch {
    let (low, high) = Timestamp::range(text).unwrap();
    DateMatch { prefix, low, high }
}

pub(crate) fn date(kind: Kind, name: &str, prefix: Prefix, text: &str) -> Filter {
    Filter::Date { param: query::find(kind, name).unwrap(), any: vec![date_match(prefix, text)] }
}

pub(crate) fn ids(page: &Page) -> Vec<&str> {
    page.entries.iter().map(|entry| entry.key.id.as_str()).collect()
}

/// The ids that a query finds, all pages of it.
pub(crate) async fn found(registry: &dyn Registry, query: Query) -> Vec<String> {
    let mut query = query;
    let mut all = Vec::new();
    loop {
        let page = registry.search(&query).await.unwrap();
        all.extend(page.entries.into_iter().map(|entry| entry.key.id));
        query.page = page.next;
        if query.page.is_none() {
            return all;
        }
    }
}

pub(crate) const UCUM: &str = "http://unitsofmeasure.org";

pub(crate) fn coded(system: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code }] })
}

/// A Task with a value for every parameter.
pub(crate) fn full_task() -> Value {
    json!({
        "identifier": [{ "system": "urn:numbers", "value": "T-1" }, { "value": "T-2" }],
        "status": "requested", "intent": "order", "priority": "urgent",
        "businessStatus": coded("urn:b", "waiting"),
        "code": { "coding": [{ "system": "urn:c", "code": "fulfill" }, { "system": "urn:d", "code": "collect" }] },
        "groupIdentifier": { "system": "urn:g", "value": "G-1" },
        "performerType": [coded("urn:p", "lab"), coded("urn:p", "nurse")],
        "focus": { "reference": "ServiceRequest/r1", "identifier": { "system": "urn:numbers", "value": "R-1" } },
        "basedOn": [{ "reference": "ServiceRequest/r1" }, { "reference": "MedicationRequest/m1" }],
        "partOf": [{ "reference": "Task/t0" }],
        "owner": { "reference": "Organization/lab", "identifier": { "system": "urn:ods", "value": "A81" } },
        "requester": { "reference": "Practitioner/dr" },
        "for": { "reference": "Patient/ada", "identifier": { "system": "urn:nhs", "value": "999" } },
        "encounter": { "reference": "Encounter/e1" },
        "authoredOn": "2026-03-04T10:00:00Z", "lastModified": "2026-03-05T10:00:00.123Z",
        "executionPeriod": { "start": "2026-03-04" }
    })
}
