//! What the placer is told while an order runs: by a Communication, which belongs to the order as every event does, and by a
//! call where one was asked for.

use schemas::resource::{Body, Key, Kind, text_at};
use schemas::task::business;
use serde_json::{Value, json};

use super::Stop;
use super::order::Order;

/// FHIR's codes of what a Communication is for.
const CATEGORIES: &str = "http://terminology.hl7.org/CodeSystem/communication-category";

impl Order<'_, '_> {
    /// Of a step; `code` is one of the business statuses.
    pub(super) fn notify(&mut self, step: usize, code: &str, text: &str) -> Result<(), Stop> {
        let now = self.draft.now().to_string();
        let key = Key::task(self.id_of(step));
        let task = self.draft.get(&key)?.clone();
        let of_task = |name: &str| task.body.get(name).cloned();
        let is_of = |reference: &Value, kinds: [&str; 2]| {
            let kind = reference["reference"].as_str().and_then(|text| text.split('/').next());
            kind.is_some_and(|kind| kinds.contains(&kind))
        };
        let what = text_at(&task.body, &["description"]).unwrap_or("a step");
        let mut body = Body::new();
        let mut put = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
        put("basedOn", of_task("basedOn"));
        put("partOf", of_task("partOf"));
        put("status", Some("completed".into()));
        put("category", Some(json!([{ "coding": [{ "system": CATEGORIES, "code": "notification" }] }])));
        put("priority", of_task("priority"));
        put("subject", of_task("for").filter(|subject| is_of(subject, ["Patient", "Group"])));
        put("topic", Some(business(code, text)));
        put("about", Some(json!([task.reference()])));
        put("encounter", of_task("encounter"));
        put("sent", Some(now.into()));
        put("recipient", of_task("requester").map(|requester| json!([requester])));
        put("payload", Some(json!([{ "contentString": format!("{what}: {text}") }])));
        // Of one Task several may come: each is told with a version of its own.
        let key = Key::new(Kind::COMMUNICATION, format!("{}.{}", task.key.id, task.version));
        let notice = self.draft.create(self.root, key, body);
        self.call(&notice.key, "Tell the placer how it goes")
    }
}
