//! Search parameters: FHIR's own, from the table of its definitions (`tables/search.tsv`). A type of resource that is kept
//! has them all, and `/metadata` follows by itself.
//!
//! From a row come both sides: the values by which a resource is found ([`index`]), extracted by the published expression,
//! and the reading of a query.

use std::collections::HashMap;
use std::sync::LazyLock;

use hub_fhirpath::{Collection, Expression, Item, Node, Scope};
use schemas::ids::Target;
use schemas::resource::{Body, Kind, Resource};
use schemas::time::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    Token,
    Reference,
    Date,
    Uri,
}

/// One search parameter of a type.
#[derive(Debug)]
pub struct Param {
    pub of: Kind,
    pub name: &'static str,
    pub kind: ParamType,
    /// What a database keeps values by: parameters of one element share them. It is stored, so it stays.
    pub element: &'static str,
    pub expression: Expression,
    /// For references: the types that a bare id may be of.
    pub targets: Vec<&'static str>,
    /// For references: the only type that counts, though the element may point elsewhere.
    pub only: Option<&'static str>,
    /// Of a date: whether it may be a Period or a Timing, as long as it likes.
    pub is_range: bool,
    /// The names with which the paths of the expression begin: without one of them there is nothing to extract. None of a
    /// condition, which is false then.
    begins: Vec<&'static str>,
}

/// There is one of each name of a type.
impl PartialEq for Param {
    fn eq(&self, other: &Self) -> bool {
        self.of == other.of && self.name == other.name
    }
}

/// What a bare id is most likely of, where FHIR lets a reference point to anything.
const LIKELY: [(&str, &[&str]); 3] = [
    ("focus", &["ServiceRequest", "MedicationRequest", "Task"]),
    ("based-on", &["ServiceRequest", "MedicationRequest", "Task"]),
    ("subject", &["Patient", "Group"]),
];

/// Parameters that R4 has not, in the columns of the table: the items of a prescription are asked for as the requests of
/// a requisition are.
const OWN: [&str; 1] =
    ["MedicationRequest\tgroup-identifier\ttoken\tgroupIdentifier\tMedicationRequest.groupIdentifier"];

static PARAMS: LazyLock<HashMap<&'static str, Vec<Param>>> = LazyLock::new(|| {
    let mut params: HashMap<&str, Vec<Param>> = HashMap::new();
    let published = include_str!("../tables/search.tsv").lines().filter(|line| !line.starts_with('#'));
    for line in published.chain(OWN) {
        let (kind, rest) = line.split_once('\t').unwrap_or((line, ""));
        if let Some(of) = Kind::parse(kind) {
            // Not a failure that can happen to a user: the table is in the binary, and every test reads it.
            let param = Param::read(of, rest).unwrap_or_else(|| panic!("the table of search parameters: {line}"));
            params.entry(of.name()).or_default().push(param);
        }
    }
    params
});

impl Param {
    /// `name  kind  element  expression  targets`
    fn read(of: Kind, line: &'static str) -> Option<Self> {
        let mut columns = line.split('\t');
        let (name, kind, element, text) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
        let targets: Vec<&str> = columns.next().map(|targets| targets.split(' ').collect()).unwrap_or_default();
        let likely = || LIKELY.iter().find(|(known, _)| *known == name).map(|(_, targets)| targets.to_vec());
        let any = || Kind::ALL.iter().map(|kind| kind.name()).collect();
        let targets = if targets.is_empty() { likely().unwrap_or_else(any) } else { targets };
        let kind = match kind {
            "token" => (ParamType::Token, false),
            "reference" => (ParamType::Reference, false),
            "uri" => (ParamType::Uri, false),
            "date" => (ParamType::Date, false),
            "range" => (ParamType::Date, true),
            _ => return None,
        };
        // `resolve()` knows nothing of a logical reference, by which patients are found too: the type is looked at here.
        let only = text.strip_suffix(')').and_then(|text| text.split_once(".where(resolve() is "));
        let (text, only) = only.map_or((text, None), |(path, only)| (path, Some(only)));
        let begin = |part: &'static str| {
            let path = part.trim_start_matches('(').strip_prefix(of.name())?.strip_prefix('.')?;
            path.split(|c: char| !c.is_ascii_alphanumeric()).next()
        };
        let is_condition = text.contains(".exists()");
        Some(Self {
            of,
            name,
            kind: kind.0,
            element,
            // It is asked of this type only, which need not be said again each time.
            expression: Expression::parse(&text.replace(&format!("{of}."), "")).ok()?,
            targets,
            only,
            is_range: kind.1,
            begins: if is_condition { Vec::new() } else { text.split(" | ").map(begin).collect::<Option<_>>()? },
        })
    }

    /// The code system of an element of type code, which the element itself does not name.
    pub fn implied_system(&self) -> Option<&'static str> {
        let task = self.of == Kind::TASK;
        match self.element {
            "status" if task => Some("http://hl7.org/fhir/task-status"),
            "status" if self.of == Kind::SERVICE_REQUEST => Some("http://hl7.org/fhir/request-status"),
            "intent" if task => Some("http://hl7.org/fhir/task-intent"),
            "intent" => Some("http://hl7.org/fhir/request-intent"),
            "priority" => Some("http://hl7.org/fhir/request-priority"),
            _ => None,
        }
    }

    /// What the parameter is about in a resource.
    pub fn found<'a>(&'a self, body: &'a Body) -> Collection<'a> {
        let is_there = |name: &str| body.keys().any(|key| key.starts_with(name));
        if !self.begins.is_empty() && !self.begins.iter().any(|name| is_there(name)) {
            return Vec::new();
        }
        let scope = Scope::new(OffsetDateTime::UNIX_EPOCH);
        // None of the table asks what it cannot: a test asks each of every example.
        self.expression.evaluate(&[Item::Node(Node::body(body))], &scope).unwrap_or_default()
    }
}

/// The parameters of a type, in the order of the table.
pub fn params(kind: Kind) -> impl Iterator<Item = &'static Param> {
    PARAMS.get(kind.name()).into_iter().flatten()
}

pub fn find(kind: Kind, name: &str) -> Option<&'static Param> {
    params(kind).find(|p| p.name == name)
}

/// One value by which a resource is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IndexValue {
    Token {
        system: Option<String>,
        code: String,
    },
    /// `Type/id`, or the URL as it stands.
    Reference(String),
    /// The identifier of a logical reference: found by `:identifier`.
    ReferenceIdentifier {
        system: Option<String>,
        value: String,
    },
    Date {
        low: Timestamp,
        high: Timestamp,
    },
}

/// What a registry keeps of a value to find it by: as short as any other, and not that of the same value of another
/// element. `element` is its path, with `:identifier` behind it for a logical reference. It is stored, so it stays.
pub fn digest(kind: Kind, element: [&str; 2], value: &str) -> Uuid {
    let mut sum = Sha256::new();
    for part in [kind.name(), ".", element[0], element[1], "=", value] {
        sum.update(part.as_bytes());
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&sum.finalize()[..16]);
    Uuid::from_bytes(digest)
}

/// Every value by which `resource` is found, with its parameter. A resource is found once by a value, however often it
/// carries it.
pub fn index(resource: &Resource) -> Vec<(&'static Param, IndexValue)> {
    let mut rows = Vec::new();
    for param in params(resource.key.kind) {
        let from = rows.len();
        for item in param.found(&resource.body) {
            let mut push = |value| {
                let row = (param, value);
                if !rows[from..].contains(&row) {
                    rows.push(row);
                }
            };
            match param.kind {
                ParamType::Token => tokens(&item, &mut push),
                ParamType::Reference => references(param, &item, &mut push),
                ParamType::Uri => {
                    uri(&item).into_iter().for_each(|code| push(IndexValue::Token { system: None, code }))
                }
                ParamType::Date => {
                    if let Some((low, high)) = range(&item) {
                        push(IndexValue::Date { low, high });
                    }
                }
            }
        }
    }
    rows
}

/// What is stored of an item, whatever its type.
fn stored<'a>(item: &Item<'a>) -> Option<(&'a Value, &'a str)> {
    match item {
        Item::Node(node) => Some((node.value?, node.kind)),
        _ => None,
    }
}

/// A code, a Boolean, an Identifier, a Coding, a CodeableConcept or a ContactPoint as tokens.
fn tokens(item: &Item, push: &mut impl FnMut(IndexValue)) {
    let plain = |code: String| IndexValue::Token { system: None, code };
    let Some((value, kind)) = stored(item) else {
        if let Item::Boolean(value) = item {
            push(plain(value.to_string()));
        }
        return;
    };
    match value {
        Value::String(code) => push(plain(code.clone())),
        Value::Bool(value) => push(plain(value.to_string())),
        Value::Object(object) => match object.get("coding").and_then(Value::as_array) {
            Some(codings) => codings.iter().filter_map(Value::as_object).filter_map(token).for_each(push),
            // Its system is the kind of device, and nobody's code system: FHIR searches by how it is used.
            None if kind == "ContactPoint" => {
                if let Some(code) = text(object, "value") {
                    push(IndexValue::Token { system: text(object, "use"), code });
                }
            }
            None => token(object).into_iter().for_each(push),
        },
        _ => {}
    }
}

/// A Coding or an Identifier.
fn token(object: &Map<String, Value>) -> Option<IndexValue> {
    let code = text(object, "code").or_else(|| text(object, "value"))?;
    Some(IndexValue::Token { system: text(object, "system"), code })
}

fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn uri(item: &Item) -> Option<String> {
    stored(item)?.0.as_str().map(str::to_owned)
}

/// A Reference, or the canonical URL of a definition, with its version and without.
fn references(param: &Param, item: &Item, push: &mut impl FnMut(IndexValue)) {
    let Some((value, _)) = stored(item) else { return };
    if let Some(url) = value.as_str() {
        push(IndexValue::Reference(url.to_owned()));
        if let Some((bare, _)) = url.split_once('|') {
            push(IndexValue::Reference(bare.to_owned()));
        }
    }
    if let Some(text) = value.get("reference").and_then(Value::as_str) {
        match Target::parse(text) {
            Target::Relative { kind, id, .. } if param.only.is_none_or(|only| only == kind) => {
                push(IndexValue::Reference(format!("{kind}/{id}")));
            }
            Target::Absolute(url) => push(IndexValue::Reference(url.to_owned())),
            _ => {}
        }
    }
    let named_type = value.get("type").and_then(Value::as_str);
    if let Some(identifier) = value.get("identifier").and_then(Value::as_object)
        && let Some(value) = text(identifier, "value")
        && param.only.is_none_or(|only| named_type.is_none_or(|kind| kind == only))
    {
        push(IndexValue::ReferenceIdentifier { system: text(identifier, "system"), value });
    }
}

/// Where a Period has no start or no end.
const FIRST: Timestamp = Timestamp(-62_135_596_800_000_000);
const LAST: Timestamp = Timestamp(253_402_300_799_999_999);

/// The first and the last instant that a date, a Period or a Timing may mean.
fn range(item: &Item) -> Option<(Timestamp, Timestamp)> {
    let (value, kind) = stored(item)?;
    let of = |value: &Value| value.as_str().and_then(Timestamp::range);
    match (value, kind) {
        (Value::String(_), _) => of(value),
        (Value::Object(period), "Period") => period_range(period),
        (Value::Object(timing), "Timing") => {
            let events = timing.get("event").and_then(Value::as_array).into_iter().flatten().filter_map(of);
            let events = events.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
            let bounds = || timing.get("repeat")?.get("boundsPeriod")?.as_object();
            events.or_else(|| period_range(bounds()?))
        }
        _ => None,
    }
}

fn period_range(period: &Map<String, Value>) -> Option<(Timestamp, Timestamp)> {
    let end = |name: &str| period.get(name).and_then(Value::as_str).and_then(Timestamp::range);
    match (end("start"), end("end")) {
        (None, None) => None,
        (start, last) => {
            let (low, high) = (start.map_or(FIRST, |start| start.0), last.map_or(LAST, |last| last.1));
            // One that ends before it begins means all between.
            Some((low.min(high), low.max(high)))
        }
    }
}

/// A search over one type: every filter must hold; a filter holds when one of its values does.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub kind: Kind,
    pub filters: Vec<Filter>,
    pub sort: Vec<Sort>,
    /// Entries a page.
    pub count: u32,
    /// Where the page before ended, as the registry wrote it.
    pub page: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// `_id`
    Id(Vec<String>),
    /// `_lastUpdated`
    LastUpdated(DateMatch),
    Token {
        param: &'static Param,
        any: Vec<TokenMatch>,
    },
    /// `Type/id` or a URL each.
    Reference {
        param: &'static Param,
        any: Vec<String>,
    },
    /// `param:identifier=system|value`
    ReferenceIdentifier {
        param: &'static Param,
        any: Vec<TokenMatch>,
    },
    Date {
        param: &'static Param,
        when: DateMatch,
    },
    /// `param:missing=true|false`
    Missing {
        param: &'static Param,
        missing: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMatch {
    pub system: SystemMatch,
    /// None: any code of the system.
    pub code: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemMatch {
    /// `code`
    Any,
    /// `|code`
    None,
    /// `system|code`
    Is(String),
}

/// A date value: the range it means, and how the resource's range must lie to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateMatch {
    pub prefix: Prefix,
    pub low: Timestamp,
    pub high: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    /// starts after
    Sa,
    /// ends before
    Eb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    pub by: SortBy,
    pub descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    LastUpdated,
    Id,
    /// Task.priority by urgency, not by spelling.
    Priority,
    Status,
    /// authoredOn of a Task or request
    Authored,
    /// Task.lastModified
    Modified,
}
