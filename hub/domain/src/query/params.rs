//! Search parameters: FHIR's own, from the table of its definitions (`tables/search.tsv`). A type of resource that is kept
//! has them all, and `/metadata` follows by itself.

use std::collections::HashMap;
use std::sync::LazyLock;

use hub_fhirpath::{Collection, Expression, Item, Node, Plain, Scope};
use schemas::resource::{Body, Kind, Resource, member};
use serde_json::Value;
use time::OffsetDateTime;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    Token,
    Reference,
    Date,
    Uri,
    String,
    Number,
    Quantity,
    /// Values of several parameters that belong together.
    Composite,
}

/// One search parameter of a type.
#[derive(Debug)]
pub struct Param {
    pub of: Kind,
    pub name: &'static str,
    /// Among those of its type.
    number: u32,
    pub kind: ParamType,
    /// What a database keeps values by: parameters of one element share them. It is stored, so it stays.
    pub element: &'static str,
    /// The paths of the published expression, each by itself: their union would drop what is equal to another, and so 1000 mg
    /// beside 1 g.
    paths: Vec<Path>,
    /// For references: the types that a bare id may be of.
    pub targets: Vec<&'static str>,
    /// For references: the only type that counts, though the element may point elsewhere.
    pub only: Option<&'static str>,
    /// For references: FHIR lets it point to anything, and the targets are what is likely.
    pub is_open: bool,
    /// Of a date: whether it may be a Period or a Timing, as long as it likes.
    pub is_range: bool,
    /// Of a composite: each a parameter of the type, and where its value is from what the expression gives.
    parts: Vec<(&'static str, Expression)>,
}

/// A path, and how it begins: an element of the type, and one within that, without which there is nothing to extract. None
/// of a condition, which is false then.
#[derive(Debug)]
struct Path {
    begin: Option<Begin>,
    expression: Expression,
    /// The same in less time, as most can be.
    plain: Option<Plain>,
}

/// The parameters of a type, and which of them what a resource says may concern.
#[derive(Debug)]
struct Params {
    all: Vec<Param>,
    /// By their first letter: the elements that paths begin with, and the parameters that have such a path, a bit for each
    /// by its number.
    begins: Vec<Vec<(&'static str, u64)>>,
    /// Those that any resource may concern.
    always: u64,
}

type Begin = (&'static str, Option<&'static str>);

/// There is one of each name of a type.
impl PartialEq for Param {
    fn eq(&self, other: &Self) -> bool {
        self.of == other.of && self.name == other.name
    }
}

impl Eq for Param {}

/// What a bare id is most likely of, where FHIR lets a reference point to anything.
const LIKELY: [(&str, &[&str]); 3] = [
    ("focus", &["ServiceRequest", "MedicationRequest", "Task"]),
    ("based-on", &["ServiceRequest", "MedicationRequest", "Task"]),
    ("subject", &["Patient", "Group"]),
];

/// Parameters that R4 has not, in the columns of the table: the items of a prescription are asked for as the requests of
/// a requisition are, and a group of requests as R6 asks for its orchestrations, however deep its actions are.
const OWN: [&str; 4] = [
    "MedicationRequest\tgroup-identifier\ttoken\tgroupIdentifier\tMedicationRequest.groupIdentifier",
    "RequestGroup\taction-resource\treference\tactions.resource\t\
     RequestGroup.action.resource | RequestGroup.action.repeat(action).resource",
    "RequestGroup\tbased-on\treference\tbasedOn\tRequestGroup.basedOn",
    "RequestGroup\tparticipant\treference\tactions.participants\t\
     RequestGroup.action.participant | RequestGroup.action.repeat(action).participant | \
     RequestGroup.action.participant.extension(\
     'http://hl7.org/fhir/5.0/StructureDefinition/extension-RequestOrchestration.action.participant.actorCanonical'\
     ).value | RequestGroup.action.repeat(action).participant.extension(\
     'http://hl7.org/fhir/5.0/StructureDefinition/extension-RequestOrchestration.action.participant.actorCanonical'\
     ).value\t\
     Practitioner Device Patient PractitionerRole RelatedPerson",
];

/// What the table calls a parameter's type when every type has it.
const EVERY: &str = "Resource";

static PARAMS: LazyLock<HashMap<&'static str, Params>> = LazyLock::new(|| {
    let mut params: HashMap<&str, Params> = HashMap::new();
    let published = include_str!("../../tables/search.tsv").lines().filter(|line| !line.starts_with('#'));
    for line in published.chain(OWN) {
        let (kind, rest) = line.split_once('\t').unwrap_or((line, ""));
        let is_of = |of: &&Kind| of.name() == kind || kind == EVERY;
        for of in Kind::ALL.iter().filter(is_of).copied() {
            // Not a failure that can happen to a user: the table is in the binary, and every test reads it.
            let param = Param::read(of, rest).unwrap_or_else(|| panic!("the table of search parameters: {line}"));
            params.entry(of.name()).or_default().add(param);
        }
    }
    params
});

impl Default for Params {
    fn default() -> Self {
        Self { all: Vec::new(), begins: vec![Vec::new(); 1 << u8::BITS], always: 0 }
    }
}

impl Params {
    fn add(&mut self, mut param: Param) {
        param.number = self.all.len() as u32;
        assert!(param.number < u64::BITS, "{} has too many search parameters", param.of);
        for path in &param.paths {
            let Some((first, _)) = path.begin else {
                self.always |= param.bit();
                continue;
            };
            let alike = &mut self.begins[first_letter(first)];
            match alike.iter_mut().find(|(known, _)| *known == first) {
                Some((_, bits)) => *bits |= param.bit(),
                None => alike.push((first, param.bit())),
            }
        }
        self.all.push(param);
    }

    /// Those that may have values in a resource with these members.
    fn concerned(&self, body: &Body) -> u64 {
        let mut bits = self.always;
        for name in body.keys() {
            let alike = &self.begins[first_letter(name)];
            bits |= alike.iter().filter(|(first, _)| name.starts_with(first)).fold(0, |bits, (_, more)| bits | more);
        }
        bits
    }
}

impl Param {
    /// `name  kind  element  expression  targets or parts`
    fn read(of: Kind, line: &'static str) -> Option<Self> {
        let mut columns = line.split('\t');
        let (name, kind, element, text) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
        let last = columns.next();
        let kind = match kind {
            "token" => ParamType::Token,
            "reference" => ParamType::Reference,
            "uri" => ParamType::Uri,
            "date" | "range" => ParamType::Date,
            "string" => ParamType::String,
            "number" => ParamType::Number,
            "quantity" => ParamType::Quantity,
            "composite" => ParamType::Composite,
            _ => return None,
        };
        let (listed, parts) = if kind == ParamType::Composite { (None, last) } else { (last, None) };
        let part =
            |part: &'static str| part.split_once(' ').and_then(|(name, path)| Some((name, expression(of, path)?)));
        let likely = || LIKELY.iter().find(|(known, _)| *known == name).map(|(_, targets)| targets.to_vec());
        let any = || Kind::ALL.iter().map(|kind| kind.name()).collect();
        // `resolve()` knows nothing of a logical reference, by which patients are found too: the type is looked at here.
        let only = text.strip_suffix(')').and_then(|text| text.split_once(".where(resolve() is "));
        let (path, only) = only.map_or((text, None), |(path, only)| (path, Some(only)));
        let is_condition = path.contains(".exists()") || kind == ParamType::Composite;
        let read = |path: &'static str| {
            let begin = if is_condition { None } else { Some(begin(path)?) };
            let expression = expression(of, path)?;
            Some(Path { begin, plain: expression.plain(of.name()), expression })
        };
        Some(Self {
            of,
            name,
            number: 0,
            kind,
            element,
            paths: path.split(" | ").map(read).collect::<Option<_>>()?,
            targets: listed.map_or_else(|| likely().unwrap_or_else(any), |listed| listed.split(' ').collect()),
            only,
            is_open: listed.is_none(),
            is_range: line.split('\t').nth(1) == Some("range"),
            parts: parts.into_iter().flat_map(|parts| parts.split(" $ ")).map(part).collect::<Option<_>>()?,
        })
    }

    fn bit(&self) -> u64 {
        1 << self.number
    }

    /// Of a composite: the parameters that its parts are of.
    pub fn parts(&self) -> impl Iterator<Item = &'static Self> {
        self.parts.iter().filter_map(|(name, _)| find(self.of, name))
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

    /// Whether, being a reference, it may point to a type.
    pub fn leads_to(&self, kind: Kind) -> bool {
        let name = kind.name();
        let is_reference = self.kind == ParamType::Reference;
        is_reference && self.only.map_or_else(|| self.is_open || self.targets.contains(&name), |only| only == name)
    }

    /// What the parameter is about in a resource.
    pub fn found<'a>(&'a self, body: &'a Body) -> Collection<'a> {
        let mut found = Vec::new();
        for path in &self.paths {
            let more = path.found(body);
            if found.is_empty() { found = more } else { found.extend(more) }
        }
        found
    }

    /// Of each element that a composite is about, what each of its parts is about in it.
    pub fn composed<'a>(&'a self, body: &'a Body) -> impl Iterator<Item = Vec<Collection<'a>>> {
        let scope = Scope::new(OffsetDateTime::UNIX_EPOCH);
        self.found(body).into_iter().map(move |whole| {
            let part = |(_, path): &'a (_, Expression)| path.evaluate(std::slice::from_ref(&whole), &scope);
            self.parts.iter().map(|each| part(each).unwrap_or_default()).collect()
        })
    }
}

impl Path {
    fn found<'a>(&'a self, body: &'a Body) -> Collection<'a> {
        if let Some(plain) = &self.plain {
            return plain.of(body);
        }
        if self.begin.is_some_and(|begin| !is_there(body, begin)) {
            return Vec::new();
        }
        let scope = Scope::new(OffsetDateTime::UNIX_EPOCH);
        // What takes too many steps, as thousands of values of a condition do, is not found by them.
        self.expression.evaluate(&[Item::Node(Node::body(body))], &scope).unwrap_or_default()
    }
}

/// It is asked of this type only, which need not be said again each time.
fn expression(of: Kind, text: &str) -> Option<Expression> {
    let bare = [of.name(), EVERY].iter().fold(text.to_owned(), |text, kind| text.replace(&format!("{kind}."), ""));
    Expression::parse(&bare).ok()
}

/// `Task.restriction.period` begins with `restriction`, and there with `period`.
fn begin(path: &'static str) -> Option<Begin> {
    let (_, path) = path.trim_start_matches('(').split_once('.')?;
    let name = |text: &'static str| text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let first = name(path);
    let second = path[first.len()..].strip_prefix('.').map(|rest| (name(rest), rest));
    // What is followed by a bracket is a function.
    Some((first, second.and_then(|(second, rest)| (!rest[second.len()..].starts_with('(')).then_some(second))))
}

/// Whether an element is there, of a choice in any of its types; and in it the second one, where it is one structure.
fn is_there(body: &Body, (first, second): Begin) -> bool {
    body.iter().filter(|(name, _)| begins(name, first)).any(|(name, value)| match (second, value.as_object()) {
        (Some(second), Some(within)) if name == first => within.keys().any(|name| begins(name, second)),
        _ => true,
    })
}

fn first_letter(name: &str) -> usize {
    name.as_bytes().first().copied().unwrap_or_default().into()
}

/// Nearly all differ in their first letter, which is asked at once.
fn begins(name: &str, with: &str) -> bool {
    name.as_bytes().first() == with.as_bytes().first() && name.starts_with(with)
}

/// The parameters by which two versions of a resource may be found otherwise; of one element all or none.
pub fn touched(kind: Kind, before: &Body, after: &Body) -> Vec<&'static Param> {
    let changed: Vec<&str> = changed(before, after).collect();
    let is_touched = |(first, second): Begin| {
        let is_it = |name: &&str| is_of(name, first) && (*name != first || differ(before, after, (first, second)));
        changed.iter().any(is_it)
    };
    params(kind).filter(|param| param.paths.iter().any(|path| path.begin.is_none_or(is_touched))).collect()
}

/// The members that are not the same in both.
fn changed<'a>(before: &'a Body, after: &'a Body) -> impl Iterator<Item = &'a str> {
    let altered = before.iter().filter(|(name, value)| member(after, name) != Some(value)).map(|(name, _)| name);
    let added = after.keys().filter(|name| member(before, name).is_none());
    altered.chain(added).map(String::as_str)
}

/// Whether an element that has changed has done so where a path goes on, if that can be told: `meta` changes each time.
fn differ(before: &Body, after: &Body, (first, second): Begin) -> bool {
    let [before, after] = [before, after].map(|body| member(body, first).and_then(Value::as_object));
    let Some(((before, after), second)) = before.zip(after).zip(second) else { return true };
    changed(before, after).any(|name| is_of(name, second))
}

/// Whether a member is of an element, or stands beside it.
fn is_of(name: &str, element: &str) -> bool {
    begins(name.strip_prefix('_').unwrap_or(name), element)
}

/// The parameters of a type, in the order of the table.
pub fn params(kind: Kind) -> impl Iterator<Item = &'static Param> {
    PARAMS.get(kind.name()).into_iter().flat_map(|params| &params.all)
}

/// Which of the parameters of its type a resource may be found by: of the others it says nothing.
pub(super) fn concerned(resource: &Resource) -> impl Fn(&Param) -> bool + use<> {
    let bits = PARAMS.get(resource.key.kind.name()).map_or(0, |params| params.concerned(&resource.body));
    move |param| bits & param.bit() != 0
}

pub fn find(kind: Kind, name: &str) -> Option<&'static Param> {
    params(kind).find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    use schemas::resource::Key;
    use schemas::time::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plain_path_gives_what_its_expression_gives() {
        let body = json!({
            "resourceType": "Task", "_status": { "extension": [{ "url": "urn:a" }] }, "meta": { "tag": [{ "code": "a" }] },
            "identifier": [{ "value": "1" }, null, { "value": "2" }], "for": { "reference": "Patient/1" },
            "restriction": { "period": { "start": "2026" } }, "code": "no structure", "partOf": [],
            "instantiatesUri": "urn:b", "_instantiatesUri": { "id": "c" },
        });
        let body = body.as_object().unwrap();
        let (mut plain, mut gives) = (0, 0);
        for path in params(Kind::TASK).flat_map(|param| &param.paths) {
            let Some(quick) = &path.plain else { continue };
            let scope = Scope::new(OffsetDateTime::UNIX_EPOCH);
            let found = path.expression.evaluate(&[Item::Node(Node::body(body))], &scope).unwrap();
            assert_eq!(quick.of(body), found, "{}", path.expression);
            (plain, gives) = (plain + 1, gives + usize::from(!found.is_empty()));
        }
        assert!(plain > 20 && gives > 4, "{plain} are plain, and {gives} give something");
    }

    #[test]
    fn a_resource_concerns_the_parameters_of_what_it_says() {
        let body = json!({ "resourceType": "ServiceRequest", "status": "active", "occurrencePeriod": {} });
        let resource = |body: Body| Resource::of(Key::new(Kind::SERVICE_REQUEST, "1"), 1, Timestamp(0), body.into());
        let resource = resource(body.as_object().unwrap().clone());
        let is_concerned = concerned(&resource);
        let found = params(Kind::SERVICE_REQUEST).filter(|param| is_concerned(param)).map(|param| param.name);
        // Every resource has a `meta`.
        assert_eq!(found.collect::<Vec<_>>(), ["_profile", "_security", "_source", "_tag", "occurrence", "status"]);
    }

    /// They share their values, so that none of them is [`touched`] alone.
    #[test]
    fn parameters_of_one_element_begin_alike() {
        let begins = |param: &Param| -> Vec<_> { param.paths.iter().map(|path| path.begin).collect() };
        for kind in Kind::ALL {
            for one in params(*kind).filter(|param| param.kind != ParamType::Composite) {
                for other in params(*kind).filter(|other| other.element == one.element) {
                    assert_eq!(begins(one), begins(other), "{kind}: {} and {}", one.name, other.name);
                }
            }
        }
    }
}
