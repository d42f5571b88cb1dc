//! From a resource to its row: the columns that searches ask, and the index rows beside them.

use std::sync::OnceLock;

use hub_domain::decision::Write;
use hub_domain::query::{self, IndexValue, Param, params};
use hub_domain::registry::{Method, Stored, Trouble};
use schemas::ids::{TASK_IDENTIFIER, TaskId};
use schemas::order::ACTIONABLE;
use schemas::resource::{Key, Kind, Resource};
use schemas::task::{Priority, TaskStatus};
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::errors::corrupt;
use crate::{body, values};

/// One version with all that is written of it.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(crate) write: &'a Write,
    pub(crate) body: Vec<u8>,
    /// The version before the batch; none when the resource is new.
    pub(crate) before: Option<&'a Resource>,
    /// Only of the last version in a batch it is asked.
    found: OnceLock<Found>,
}

/// What searches go by, of one version upon another.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// None when it is deleted.
    pub(crate) current: Option<Current>,
    /// Index rows of the version before, without those that `current` has for certain.
    pub(crate) before: Index,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(write: &'a Write, before: Option<&'a Resource>) -> Self {
        let is_deletion = write.method == Method::Delete;
        let text = || body::pack(write.resource.body.text().get().as_bytes());
        let body = if is_deletion { Vec::new() } else { text() };
        Self { write, body, before, found: OnceLock::new() }
    }

    pub(crate) fn found(&self) -> &Found {
        let Write { root, method, resource, .. } = self.write;
        self.found.get_or_init(|| match (method, self.before) {
            (Method::Delete, before) => Found { current: None, before: before.map(Index::of).unwrap_or_default() },
            (_, None) => Found { current: Some(Current::of(resource, *root)), before: Index::default() },
            (_, Some(before)) => Found::moved(before, resource, *root),
        })
    }

    pub(crate) fn key(&self) -> &'a Key {
        &self.write.resource.key
    }

    pub(crate) fn version(&self) -> u32 {
        self.write.resource.version
    }
}

pub(crate) fn method_number(method: Method) -> i16 {
    match method {
        Method::Create => 1,
        Method::Update => 2,
        Method::Delete => 3,
    }
}

/// The columns of `task` and `resource`. What a type does not have is none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Current {
    /// Only where the id does not carry it.
    pub(crate) root: Option<Uuid>,
    pub(crate) open: bool,
    pub(crate) status: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) requester: Option<Uuid>,
    pub(crate) subject: Option<Uuid>,
    pub(crate) code: Option<Uuid>,
    pub(crate) grouped: Option<Uuid>,
    pub(crate) priority: i16,
    /// The largest number when it has none, so that it sorts last.
    pub(crate) authored: i64,
    pub(crate) authored_high: Option<i64>,
    /// None when it is the moment of the version; the largest number when there is none.
    pub(crate) modified: Option<i64>,
    pub(crate) modified_high: Option<i64>,
    /// Where another version was before: without what is the same for certain.
    pub(crate) index: Index,
}

/// The index rows of a resource, in order and each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) tokens: Vec<TokenRow>,
    pub(crate) dates: Vec<RangeRow>,
    /// Beginnings of texts, and numbers.
    pub(crate) values: Vec<RangeRow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TokenRow {
    pub(crate) value: Uuid,
    pub(crate) system: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RangeRow {
    pub(crate) param: i32,
    pub(crate) low: i64,
    pub(crate) high: i64,
}

impl Index {
    pub(crate) fn of(resource: &Resource) -> Self {
        Current::of(resource, Uuid::nil()).index
    }
}

/// The column of `task` or `resource` that holds the first value of a parameter; the others get index rows.
pub(crate) fn column(kind: Kind, param: &Param) -> Option<&'static str> {
    if kind != Kind::TASK {
        let names = if kind.is_request() { &["status", "priority"][..] } else { &["status"] };
        return names.iter().copied().find(|name| *name == param.element);
    }
    match param.name {
        "status" => Some("status"),
        "owner" => Some("owner"),
        "requester" => Some("requester"),
        // Both are of Task.for.
        "subject" | "patient" => Some("subject"),
        "code" => Some("code"),
        "group-identifier" => Some("grouped"),
        "priority" => Some("priority"),
        "modified" => Some("modified"),
        _ => None,
    }
}

/// Whether a parameter's column is read from the resource by itself, and it has no index rows.
fn is_plain(kind: Kind, param: &Param) -> bool {
    matches!(column(kind, param), Some("status" | "priority"))
}

/// The order that a reference to one of its Tasks, or to the request that it began with, tells.
pub(crate) fn order_of(reference: &str) -> Option<Uuid> {
    match reference.split_once('/')? {
        ("Task", id) => root_of_task(id),
        (kind, id) => Uuid::try_parse(id).ok().filter(|_| Kind::parse(kind).is_some_and(Kind::is_request)),
    }
}

fn root_of_task(id: &str) -> Option<Uuid> {
    Some(id.parse::<TaskId>().ok()?.root)
}

/// A value that nearly all resources of a type have: an index row of it would lead to all of them.
pub(crate) fn is_usual(kind: Kind, param: &Param, code: &str) -> bool {
    match param.element {
        // A Task of the whole is an order, and its work items are filler orders.
        "intent" => code == "order" || kind == Kind::TASK && code == "filler-order",
        // What a placer sends to be acted upon says so.
        "meta.tag" => code == ACTIONABLE.1 && kind.is_request(),
        _ => false,
    }
}

/// Whether an identifier may be the one that the hub gives to a Task, whose value is the Task's id.
pub(crate) fn is_own_identifier(kind: Kind, param: &Param, system: Option<&str>, value: &str) -> bool {
    let is_ours = kind == Kind::TASK && param.element == "identifier" && system.is_none_or(|s| s == TASK_IDENTIFIER);
    is_ours && root_of_task(value).is_some()
}

impl Found {
    /// Only a parameter that touches what has changed is asked of both versions.
    fn moved(before: &Resource, after: &Resource, root: Uuid) -> Self {
        let kind = after.key.kind;
        let touched = query::touched(kind, &before.body, &after.body);
        let (mut earlier, mut current) = (Current::default(), Current::plain(after, root));
        // The columns are written anew whatever has changed.
        let rest = params(kind).filter(|param| column(kind, param).is_some() && !touched.contains(param));
        current.take(after, rest);
        current.index = Index::default();
        earlier.take(before, touched.iter().copied());
        current.take(after, touched.iter().copied());
        Self { current: Some(current), before: earlier.index }
    }
}

impl Current {
    pub(crate) fn of(resource: &Resource, root: Uuid) -> Self {
        let mut row = Self::plain(resource, root);
        row.take(resource, params(resource.key.kind));
        row
    }

    /// What no parameter is needed for.
    fn plain(resource: &Resource, root: Uuid) -> Self {
        let kind = resource.key.kind;
        let status = resource.text("status").map(str::to_owned);
        let mut row = Self {
            root: (kind == Kind::TASK && root_of_task(&resource.key.id) != Some(root)).then_some(root),
            open: TaskStatus::of(&resource.body).is_some_and(|status| !status.is_terminal()),
            status: status.filter(|status| !status.contains('\0')),
            priority: Priority::of(&resource.body).rank(),
            authored: i64::MAX,
            modified: Some(i64::MAX).filter(|_| kind == Kind::TASK),
            ..Self::default()
        };
        if let Some((low, high)) = resource.text("authoredOn").and_then(Timestamp::range) {
            (row.authored, row.authored_high) = (low.0, Some(high.0));
        }
        row
    }

    /// The values of some parameters.
    fn take(&mut self, resource: &Resource, params: impl Iterator<Item = &'static Param>) {
        let kind = resource.key.kind;
        let own_order = root_of_task(&resource.key.id).filter(|_| kind == Kind::TASK);
        for (param, value) in query::index_by(resource, params.filter(|param| !is_plain(kind, param))) {
            // Where a Task's own id leads, no row need lead.
            let is_told = match &value {
                IndexValue::Reference(to) => own_order.is_some() && order_of(to) == own_order,
                IndexValue::Token { system, code } => {
                    let is_own = is_own_identifier(kind, param, *system, code);
                    is_own && system.is_some() && *code == resource.key.id
                }
                _ => false,
            };
            if !is_told {
                self.put(kind, param, value);
            }
        }
        self.index.settle();
        let version = resource.last_updated.0;
        if (self.modified, self.modified_high) == (Some(version), Some(version)) {
            (self.modified, self.modified_high) = (None, None);
        }
    }

    fn put(&mut self, kind: Kind, param: &Param, value: IndexValue) {
        match value {
            IndexValue::Token { system, code } => {
                if !self.fill(kind, param, code) && !is_usual(kind, param, code) {
                    self.index.token(values::digest(kind, param, code), system);
                }
            }
            IndexValue::Reference(to) => {
                if !self.fill(kind, param, to) {
                    self.index.token(values::digest(kind, param, to), None);
                }
                if Key::of_reference(to).is_some_and(|key| values::is_link(kind, &key)) {
                    let element = values::param(kind, param).into();
                    self.index.tokens.push(TokenRow { value: values::link(to), system: element });
                }
            }
            IndexValue::ReferenceIdentifier { system, value } => {
                self.index.token(values::digest_identifier(kind, param, value), system);
            }
            IndexValue::Date { low, high } if column(kind, param) == Some("modified") => {
                (self.modified, self.modified_high) = (Some(low.0), Some(high.0));
            }
            IndexValue::Date { low, high } => {
                self.index.dates.push(RangeRow { param: values::param(kind, param), low: low.0, high: high.0 });
            }
            IndexValue::Text(text) => {
                self.index.values.extend(values::beginning(&text).map(|(low, high)| RangeRow {
                    param: values::param(kind, param),
                    low,
                    high,
                }));
            }
            IndexValue::Amount(amount) => self.index.values.extend(values::amounts(kind, param, &amount)),
        }
    }

    /// Puts a value into its column; false when it has none or that is taken by another value.
    fn fill(&mut self, kind: Kind, param: &Param, value: &str) -> bool {
        let place = match column(kind, param) {
            Some("owner") => {
                let Some(key) = values::key(value) else { return true };
                return *self.owner.get_or_insert_with(|| key.clone().into_owned()) == key;
            }
            Some("requester") => &mut self.requester,
            Some("subject") => &mut self.subject,
            Some("code") => &mut self.code,
            Some("grouped") => &mut self.grouped,
            _ => return false,
        };
        let digest = values::digest(kind, param, value);
        *place.get_or_insert(digest) == digest
    }
}

impl Index {
    fn token(&mut self, value: Uuid, system: Option<&str>) {
        self.tokens.push(TokenRow { value, system: values::system(system) });
    }

    /// Into their order, and each once.
    fn settle(&mut self) {
        fn settle<T: Ord>(rows: &mut Vec<T>) {
            rows.sort_unstable();
            rows.dedup();
        }
        settle(&mut self.tokens);
        settle(&mut self.dates);
        settle(&mut self.values);
    }
}

/// Index rows to add and to remove, each with the number of its resource's row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexChanges {
    pub(crate) tokens: Vec<(i64, TokenRow)>,
    pub(crate) dates: Vec<(i64, RangeRow)>,
    pub(crate) values: Vec<(i64, RangeRow)>,
    pub(crate) tokens_gone: Vec<(i64, TokenRow)>,
    pub(crate) dates_gone: Vec<(i64, RangeRow)>,
    pub(crate) values_gone: Vec<(i64, RangeRow)>,
}

impl IndexChanges {
    pub(crate) fn add(&mut self, seq: i64, index: &Index) {
        self.replace(seq, &Index::default(), index);
    }

    /// Only what differs.
    pub(crate) fn replace(&mut self, seq: i64, before: &Index, after: &Index) {
        fn less<'r, T: Copy + Ord>(seq: i64, of: &'r [T], than: &'r [T]) -> impl Iterator<Item = (i64, T)> {
            of.iter().filter(|row| than.binary_search(row).is_err()).map(move |row| (seq, *row))
        }
        self.tokens.extend(less(seq, &after.tokens, &before.tokens));
        self.dates.extend(less(seq, &after.dates, &before.dates));
        self.values.extend(less(seq, &after.values, &before.values));
        self.tokens_gone.extend(less(seq, &before.tokens, &after.tokens));
        self.dates_gone.extend(less(seq, &before.dates, &after.dates));
        self.values_gone.extend(less(seq, &before.values, &after.values));
    }
}

/// A row of `version`.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct VersionRow {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) version: i32,
    pub(crate) root: Uuid,
    pub(crate) method: i16,
    pub(crate) updated: i64,
    pub(crate) body: Vec<u8>,
}

impl VersionRow {
    fn corrupt(&self, why: impl ToString) -> Trouble {
        corrupt("version", format!("{}/{}/{}", self.kind, self.id, self.version), why)
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.method == method_number(Method::Delete)
    }

    pub(crate) fn key(&self) -> Result<Key, Trouble> {
        let kind = Kind::parse(&self.kind).ok_or_else(|| self.corrupt("unknown type"))?;
        Ok(Key::new(kind, self.id.clone()))
    }

    pub(crate) fn stored(&self) -> Result<Stored, Trouble> {
        let method = match self.method {
            1 => Method::Create,
            2 => Method::Update,
            3 => Method::Delete,
            _ => return Err(self.corrupt("unknown method")),
        };
        Ok(Stored {
            key: self.key()?,
            version: self.number()?,
            last_updated: Timestamp(self.updated),
            method,
            body: body::unpack(&self.body).map_err(|why| self.corrupt(why))?,
        })
    }

    pub(crate) fn resource(&self) -> Result<Resource, Trouble> {
        let text = body::unpack(&self.body).map_err(|why| self.corrupt(why))?;
        let body = body::read(&text).map_err(|why| self.corrupt(why))?;
        Ok(Resource { key: self.key()?, version: self.number()?, last_updated: Timestamp(self.updated), body })
    }

    fn number(&self) -> Result<u32, Trouble> {
        u32::try_from(self.version).map_err(|_| self.corrupt("negative version"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use schemas::resource::Body;
    use serde_json::{Value, json};

    use super::*;

    const ROOT: Uuid = Uuid::from_u128(7);

    /// Every resource of these that a body holds.
    fn resources(body: Value, into: &mut Vec<Value>) {
        for entry in body["entry"].as_array().into_iter().flatten() {
            resources(entry["resource"].clone(), into);
        }
        into.push(body);
    }

    /// The published examples, beside the project unless `HUB_SHARED` names their parent, and our own; and Tasks as a hub
    /// has them, with two values for one column.
    fn examples() -> Vec<Value> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let shared = std::env::var_os("HUB_SHARED").map_or_else(|| root.join("../shared"), Into::into);
        let mut examples = Vec::new();
        for folder in [root.join("schemas/examples"), shared.join("examples/r4")] {
            let files = std::fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().path());
            let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "json")).collect();
            files.sort();
            for file in files {
                resources(serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap(), &mut examples);
            }
        }
        let task = |status: &str, more: Value| {
            let mut task = json!({
                "resourceType": "Task", "status": status, "intent": "filler-order", "priority": "urgent",
                "for": { "reference": "Patient/1", "identifier": { "system": "urn:nhs", "value": "1" } },
                "basedOn": [{ "reference": "ServiceRequest/1" }], "lastModified": "2026-01-01T00:00:00Z",
                "code": { "coding": [{ "system": "urn:a", "code": "a" }, { "system": "urn:b", "code": "b" }] },
                "groupIdentifier": { "system": "urn:g", "value": "g" }, "requester": { "reference": "Organization/1" },
                "executionPeriod": { "start": "2026-01-01T00:00:00Z" }, "meta": { "tag": [{ "code": "t" }] },
                "identifier": [{ "system": TASK_IDENTIFIER, "value": "example" }, { "value": "b" }],
            });
            task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            task
        };
        examples.push(task("requested", json!({})));
        examples.push(task("accepted", json!({ "owner": { "reference": "Organization/1" } })));
        examples.push(task(
            "completed",
            json!({
                "owner": { "reference": "Practitioner/1" }, "for": { "reference": "Group/1" },
                "output": [{ "valueString": "x" }],
                "executionPeriod": { "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z" },
                "businessStatus": { "coding": [{ "code": "a" }] }, "lastModified": "1970-01-01T00:00:01Z",
            }),
        ));
        examples
    }

    /// A body with each of its members, and of these each that is an object or a list, made smaller; and with each member
    /// taken from another one.
    fn changed(body: &Body, other: &Body) -> Vec<Body> {
        let mut changed = vec![other.clone()];
        for (name, value) in body {
            let mut without = body.clone();
            without.shift_remove(name);
            changed.push(without);
            let smaller = match value {
                Value::Array(values) => Value::Array(values[1..].to_vec()),
                Value::Object(members) => {
                    Value::Object(members.iter().skip(1).map(|(name, value)| (name.clone(), value.clone())).collect())
                }
                _ => json!("2031-05-05"),
            };
            let beside = [(format!("_{name}"), json!({ "extension": [{ "url": "urn:a", "valueCode": "a" }] }))];
            let taken = other.get(name).map(|value| (name.clone(), value.clone()));
            for (name, value) in beside.into_iter().chain(taken).chain([(name.clone(), smaller)]) {
                let mut with = body.clone();
                with.insert(name, value);
                changed.push(with);
            }
        }
        for (name, value) in other.iter().filter(|(name, _)| !body.contains_key(*name)) {
            let mut with = body.clone();
            with.insert(name.clone(), value.clone());
            changed.push(with);
        }
        changed
    }

    #[test]
    fn what_is_found_otherwise_is_known_from_what_has_changed() {
        let examples = examples();
        let (mut pairs, mut otherwise) = (0, 0);
        for kind in Kind::ALL {
            let of_kind = examples.iter().filter(|body| body["resourceType"] == kind.name());
            let bodies: Vec<&Body> = of_kind.filter_map(Value::as_object).collect();
            let resource = |version: u32, body: &Body| {
                let at = Timestamp(i64::from(version) * 1_000_000);
                Resource::new(Key::new(*kind, "example"), version, at, body.clone())
            };
            for (at, body) in bodies.iter().enumerate() {
                let other = bodies[(at + 1) % bodies.len()];
                let here = resource(1, body);
                for there in changed(body, other).iter().map(|body| resource(2, body)) {
                    for (before, after) in [(&here, &there), (&there, &here)] {
                        let (mut full, mut found) = (Current::of(after, ROOT), Found::moved(before, after, ROOT));
                        let mut current = found.current.take().unwrap();
                        let (mut all, mut some) = (IndexChanges::default(), IndexChanges::default());
                        all.replace(1, &Index::of(before), &full.index);
                        some.replace(1, &found.before, &current.index);
                        assert_eq!(some, all, "{:?}\n{:?}", before.body.text(), after.body.text());
                        (full.index, current.index) = (Index::default(), Index::default());
                        assert_eq!(current, full, "{:?}\n{:?}", before.body.text(), after.body.text());
                        pairs += 1;
                        otherwise += usize::from(all != IndexChanges::default());
                    }
                }
            }
        }
        assert!(pairs > 100 && otherwise > pairs / 10, "{otherwise} of {pairs}");
    }
}
