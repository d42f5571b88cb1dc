//! What a definition says in FHIRPath: whether something applies, and what a request is to hold.

use hub_fhirpath::{Collection, Expression, Item, Node, Scope};
use schemas::gate;
use schemas::outcome::IssueType;
use schemas::resource::{Body, text_at};
use serde_json::{Map, Value, json};

use super::Given;
use crate::plan::variables::{ACTION, SUBJECT};

type No = (IssueType, String);

const FHIRPATH: &str = "text/fhirpath";
const ACTION_TYPE: &str = "RequestGroup.action";

fn read(said: &Value) -> Result<Expression, No> {
    if said["language"].as_str().is_some_and(|language| language != FHIRPATH) {
        return Err((IssueType::NotSupported, format!("only {FHIRPATH} is understood")));
    }
    let text = said["expression"].as_str().ok_or((IssueType::Required, "there is no expression".to_owned()))?;
    Expression::parse(text).map_err(|fault| (IssueType::Invalid, format!("no FHIRPath: {fault}")))
}

/// An action, as expressions see it: an orchestration's has all that a definition's has which they may ask for.
pub(crate) fn of_action(action: &Value) -> Item<'_> {
    Item::Node(Node { kind: ACTION_TYPE, ..Node::resource(action) })
}

/// `action`: that of the expression; none of one that a definition says of itself.
fn scope<'a>(given: &'a Given, action: Option<&'a Value>) -> Scope<'a> {
    let scope = Scope::new(given.now.date_time()).with(ACTION, action.map(of_action).into_iter().collect());
    given
        .seen
        .iter()
        .fold(scope, |scope, (name, resource)| scope.with(name, vec![Item::Node(Node::resource(resource))]))
}

fn subject(given: &Given) -> Collection<'_> {
    let subject = given.seen.iter().find(|(name, _)| *name == SUBJECT);
    subject.map(|(_, resource)| Item::Node(Node::resource(resource))).into_iter().collect()
}

/// Asked of the subject. What gives nothing does not hold.
pub(super) fn holds(said: &Value, given: &Given, action: &Value) -> Result<bool, No> {
    let expression = read(said)?;
    let found = expression.evaluate(&subject(given), &scope(given, Some(action)));
    let found = found.map_err(|fault| (IssueType::Processing, format!("it fails: {fault}")))?;
    Ok(matches!(found.as_slice(), [one] if one.value() == Some(Item::Boolean(true))))
}

/// Asked of the request as it is so far.
pub(super) fn values(said: &Value, request: &Body, given: &Given, action: Option<&Value>) -> Result<Vec<Value>, No> {
    evaluated(&read(said)?, &Value::Object(request.clone()), &scope(given, action))
        .map_err(|text| (IssueType::Processing, text))
}

/// What an expression gives of a request, as JSON.
pub(crate) fn evaluated<'a>(
    expression: &'a Expression,
    request: &'a Value,
    scope: &Scope<'a>,
) -> Result<Vec<Value>, String> {
    let found = expression.evaluate(&[Item::Node(Node::resource(request))], scope);
    let found = found.map_err(|fault| format!("it fails: {fault}"))?;
    Ok(found.iter().filter_map(json_of).collect())
}

fn json_of(item: &Item) -> Option<Value> {
    Some(match item {
        Item::Boolean(value) => (*value).into(),
        Item::Integer(value) => (*value).into(),
        Item::Decimal(value) => serde_json::from_str(&value.to_string()).ok()?,
        Item::String(text) => text.as_ref().into(),
        Item::Moment(moment) => moment.to_string().into(),
        Item::Quantity(quantity) => json!({
            "value": serde_json::from_str::<Value>(&quantity.value.to_string()).ok()?,
            "unit": quantity.unit,
            "system": "http://unitsofmeasure.org",
            "code": quantity.unit,
        }),
        Item::Node(node) => node.value?.clone(),
        Item::Type(..) => return None,
    })
}

/// Sets what a path of names leads to, `dispenseRequest.quantity`, making what is not there yet.
pub(crate) fn set(request: &mut Body, path: &str, found: Vec<Value>) -> Result<(), String> {
    let kind = text_at(request, &["resourceType"]).unwrap_or_default().to_owned();
    let path = path.strip_prefix("%resource.").unwrap_or(path);
    let path = path.strip_prefix(&format!("{kind}.")).unwrap_or(path);
    let names: Vec<&str> = path.split('.').collect();
    descend(&kind, request, &names, found)
}

/// The same of an action itself.
pub(crate) fn set_of_action(action: &mut Body, element: &str, found: Vec<Value>) -> Result<(), String> {
    descend(ACTION_TYPE, action, &[element], found)
}

fn descend(kind: &str, object: &mut Body, names: &[&str], found: Vec<Value>) -> Result<(), String> {
    let Some((name, rest)) = names.split_first() else { return Ok(()) };
    let (name, place) = match name.split_once('[') {
        Some((name, place)) => {
            let place = place.strip_suffix(']').and_then(|place| place.parse::<usize>().ok());
            (name, place.ok_or("a path is names, each with a place in its list at most: name[0].other")?)
        }
        None => (*name, 0),
    };
    let key = key_of(kind, name, &found).ok_or_else(|| format!("a {kind} has no such element, or not of this type"))?;
    let member = gate::member(kind, &key).ok_or_else(|| format!("a {kind} has no such element"))?;
    if rest.is_empty() {
        let value = match found.as_slice() {
            _ if member.many => Value::Array(found),
            [one] => one.clone(),
            _ => return Err("the expression gives several values, and the element takes one".to_owned()),
        };
        object.insert(key, value);
        return Ok(());
    }
    let empty = || Value::Object(Map::new());
    let inner = object.entry(key).or_insert_with(|| if member.many { json!([]) } else { empty() });
    let inner = match inner {
        Value::Array(items) => {
            if place > items.len() {
                return Err("a list is filled from its beginning".to_owned());
            }
            if place == items.len() {
                items.push(empty());
            }
            &mut items[place]
        }
        one => one,
    };
    let inner = inner.as_object_mut().ok_or("the path leads through what has no elements")?;
    descend(member.kind, inner, rest, found)
}

/// The key of an element: of a choice, that of the type that the value has.
fn key_of(kind: &str, name: &str, found: &[Value]) -> Option<String> {
    if gate::member(kind, name).is_some() {
        return Some(name.to_owned());
    }
    let types: &[&str] = match found.first()? {
        Value::Bool(_) => &["Boolean"],
        Value::Number(_) => &["Integer", "Decimal"],
        Value::String(_) => &["DateTime", "Date", "String", "Code"],
        Value::Object(value) if value.contains_key("reference") => &["Reference"],
        Value::Object(value) if value.contains_key("coding") || value.contains_key("text") => &["CodeableConcept"],
        Value::Object(value) if value.contains_key("repeat") || value.contains_key("event") => &["Timing"],
        Value::Object(value) if value.contains_key("start") || value.contains_key("end") => &["Period"],
        _ => &["Quantity", "Duration", "Range"],
    };
    types.iter().map(|of| format!("{name}{of}")).find(|key| gate::member(kind, key).is_some())
}
