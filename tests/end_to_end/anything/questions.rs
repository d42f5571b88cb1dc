//! Questions by chance, and how they stand in a URL.

use fastrand::Rng;

use super::There;
use super::naive::Wanted;
use super::random::{CODES, DATES, NUMBERS, SYSTEMS, TEXTS, URIS, known, one};
use super::tables::{COMPOSITES, LINKS, Link, PARAMETERS, Parameter, Way};

const COMPARED: [&str; 8] = ["", "ne", "gt", "lt", "ge", "le", "sa", "eb"];
/// Links, one behind the other.
const DEPTH: usize = 2;

/// One condition of a search.
#[derive(Debug)]
pub(super) enum Condition {
    Any(&'static Parameter, &'static str, Vec<Wanted>),
    Missing(&'static Parameter, bool),
    /// Of a token: none of them, or no value at all.
    Not(&'static Parameter, Vec<Wanted>),
    Together(&'static str, &'static [&'static str], Wanted, Wanted),
    Ids(Vec<String>),
    /// A time at which something was written, to the millisecond.
    LastUpdated(&'static str, String),
    /// Of what is pointed to.
    Chain(&'static Link, Box<Condition>),
    /// Of what points here.
    Has(&'static Link, Box<Condition>),
}

pub(super) fn condition(rng: &mut Rng, there: &There, kind: &str) -> Condition {
    linked(rng, there, kind, DEPTH)
}

/// With so many links at most.
fn linked(rng: &mut Rng, there: &There, kind: &str, depth: usize) -> Condition {
    let forth: Vec<&'static Link> = LINKS.iter().filter(|link| link.of == kind).collect();
    let back: Vec<&'static Link> = LINKS.iter().filter(|link| link.to == kind).collect();
    match rng.u8(..16) {
        0 | 1 if depth > 0 && !forth.is_empty() => {
            let link = one(rng, &forth);
            Condition::Chain(link, Box::new(linked(rng, there, link.to, depth - 1)))
        }
        2 | 3 if depth > 0 && !back.is_empty() => {
            let link = one(rng, &back);
            Condition::Has(link, Box::new(linked(rng, there, link.of, depth - 1)))
        }
        4 => {
            let ids: Vec<&str> = there.of(kind).map(|body| body["id"].as_str().unwrap()).collect();
            let some = (0..rng.usize(1..6)).filter(|_| !ids.is_empty()).map(|_| one(rng, &ids));
            Condition::Ids(some.collect::<Vec<_>>().into_iter().chain(["nobody"]).map(str::to_owned).collect())
        }
        5 if !there.0.is_empty() => {
            let body = &there.0[rng.usize(..there.0.len())];
            Condition::LastUpdated(one(rng, &COMPARED), body["meta"]["lastUpdated"].as_str().unwrap().to_owned())
        }
        _ => of_one(rng, there, kind),
    }
}

/// What is told by the resource itself.
fn of_one(rng: &mut Rng, there: &There, kind: &str) -> Condition {
    if kind == "Observation" && rng.u8(..5) == 0 {
        let (name, paths) = one(rng, &COMPOSITES);
        return Condition::Together(name, paths, token(rng), amount(rng));
    }
    let of_kind: Vec<&'static Parameter> = PARAMETERS.iter().filter(|parameter| parameter.of == kind).collect();
    let parameter = one(rng, &of_kind);
    if rng.u8(..8) == 0 {
        return Condition::Missing(parameter, rng.bool());
    }
    if parameter.way == Way::Token && parameter.name != "_source" && rng.u8(..6) == 0 {
        return Condition::Not(parameter, (0..rng.usize(1..3)).map(|_| token(rng)).collect());
    }
    let (modifier, first) = wanted(rng, there, parameter);
    let more: Vec<_> =
        (0..rng.usize(..3)).map(|_| wanted(rng, there, parameter)).filter(|(other, _)| *other == modifier).collect();
    Condition::Any(parameter, modifier, [first].into_iter().chain(more.into_iter().map(|(_, wanted)| wanted)).collect())
}

fn part_of(rng: &mut Rng, text: &str) -> String {
    let signs: Vec<char> = text.chars().collect();
    let from = if rng.bool() { 0 } else { rng.usize(..signs.len()) };
    let part: String = signs[from..=rng.usize(from..signs.len())].iter().collect();
    if rng.bool() { part.to_uppercase() } else { part }
}

fn token(rng: &mut Rng) -> Wanted {
    let known = ["male", "true", "final", "finished", "draft", "requested", "routine", "stat"];
    let code = if rng.u8(..4) == 0 { one(rng, &known) } else { one(rng, &CODES) };
    let system = match rng.u8(..4) {
        0 => Some(String::new()),
        1 => Some(one(rng, &SYSTEMS).to_owned()),
        _ => None,
    };
    let any_code = system.as_ref().is_some_and(|system| !system.is_empty()) && rng.bool();
    Wanted::Token { system, code: (!any_code).then(|| code.to_owned()) }
}

fn amount(rng: &mut Rng) -> Wanted {
    let prefix = if rng.u8(..8) == 0 { "ap" } else { one(rng, &COMPARED) };
    Wanted::Amount { prefix, text: one(rng, &NUMBERS), unit: one(rng, &[None, Some("mg"), Some("g")]) }
}

/// What may be asked of a parameter, and its modifier.
fn wanted(rng: &mut Rng, there: &There, parameter: &Parameter) -> (&'static str, Wanted) {
    let text = one(rng, &TEXTS);
    match parameter.way {
        Way::Text => match rng.u8(..4) {
            0 => (":exact", Wanted::Exact(text.to_owned())),
            1 => (":contains", Wanted::Contains(part_of(rng, text))),
            _ => ("", Wanted::Begins(part_of(rng, text))),
        },
        // A URI has no parts, and is only what it is.
        Way::Token if parameter.name == "_source" => match rng.u8(..3) {
            0 => (":below", Wanted::Below(one(rng, &URIS))),
            1 => (":above", Wanted::Above(one(rng, &URIS))),
            _ => ("", Wanted::Token { system: None, code: Some(one(rng, &URIS).to_owned()) }),
        },
        Way::Token if parameter.name == "identifier" && rng.bool() => {
            let system = if rng.bool() { "" } else { one(rng, &SYSTEMS) };
            let [code, value] = [(); 2].map(|()| one(rng, &CODES).to_owned());
            (":of-type", Wanted::OfType { system: system.into(), code, value })
        }
        Way::Token if matches!(parameter.name, "code" | "category" | "_tag") && rng.u8(..4) == 0 => {
            (":text", Wanted::CodeText(part_of(rng, text)))
        }
        Way::Token => ("", token(rng)),
        Way::Reference if rng.u8(..3) == 0 => match token(rng) {
            Wanted::Token { system, code } => (":identifier", Wanted::Named { system, code }),
            other => ("", other),
        },
        Way::Reference => {
            let kind = one(rng, &["Patient", "Encounter"]);
            ("", Wanted::Reference(known(rng, there, kind)))
        }
        Way::Date => ("", Wanted::Date { prefix: one(rng, &COMPARED), text: one(rng, &DATES) }),
        Way::Amount => ("", amount(rng)),
    }
}

/// As it stands in a URL.
pub(super) fn asked(condition: &Condition) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    match condition {
        Condition::Any(parameter, modifier, any) => {
            let values: Vec<String> = any.iter().map(written).collect();
            format!("{}{modifier}={}", parameter.name, encode(&values.join(",")))
        }
        Condition::Not(parameter, any) => {
            format!("{}:not={}", parameter.name, encode(&any.iter().map(written).collect::<Vec<_>>().join(",")))
        }
        Condition::Missing(parameter, missing) => format!("{}:missing={missing}", parameter.name),
        Condition::Together(name, _, code, amount) => {
            format!("{name}={}", encode(&format!("{}${}", written(code), written(amount))))
        }
        Condition::Ids(ids) => format!("_id={}", ids.join(",")),
        Condition::LastUpdated(prefix, at) => format!("_lastUpdated={}", encode(&format!("{prefix}{at}"))),
        Condition::Chain(link, of) => format!("{}:{}.{}", link.name, link.to, asked(of)),
        Condition::Has(link, of) => format!("_has:{}:{}:{}", link.of, link.name, asked(of)),
    }
}

fn written(wanted: &Wanted) -> String {
    let escaped = |text: &str| {
        ['\\', ',', '|', '$'].iter().fold(text.to_owned(), |text, sign| text.replace(*sign, &format!("\\{sign}")))
    };
    match wanted {
        Wanted::Begins(text) | Wanted::Contains(text) | Wanted::Exact(text) | Wanted::CodeText(text) => escaped(text),
        Wanted::Token { system, code } | Wanted::Named { system, code } => {
            let code = code.as_deref().map(escaped).unwrap_or_default();
            system.as_deref().map_or(code.clone(), |system| format!("{}|{code}", escaped(system)))
        }
        Wanted::OfType { system, code, value } => [system, code, value].map(|part| escaped(part)).join("|"),
        Wanted::Below(uri) | Wanted::Above(uri) => (*uri).to_owned(),
        Wanted::Reference(to) => to.clone(),
        Wanted::Date { prefix, text } => format!("{prefix}{text}"),
        Wanted::Amount { prefix, text, unit: None } => format!("{prefix}{text}"),
        Wanted::Amount { prefix, text, unit: Some(unit) } => format!("{prefix}{text}|http://unitsofmeasure.org|{unit}"),
    }
}
