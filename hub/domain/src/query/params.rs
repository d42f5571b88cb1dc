//! Search parameters: FHIR's own, from the table of its definitions (`tables/search.tsv`). A type of resource that is kept
//! has them all, and `/metadata` follows by itself.

use std::collections::HashMap;
use std::sync::LazyLock;

use hub_fhirpath::{Collection, Expression, Item, Node, Scope};
use schemas::resource::{Body, Kind};
use time::OffsetDateTime;

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
    let published = include_str!("../../tables/search.tsv").lines().filter(|line| !line.starts_with('#'));
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
        // What takes too many steps, as thousands of values of a union do, is not found by them.
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
