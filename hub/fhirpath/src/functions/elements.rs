//! Elements of a resource: what is in them, beside them, and where they point.

use serde_json::Value;

use super::{some, truth};
use crate::evaluate::{Call, Evaluation, Outcome};
use crate::model;
use crate::navigate;
use crate::syntax::Fault;
use crate::value::{Collection, Item, Node};

const STRUCTURES: &str = "http://hl7.org/fhir/StructureDefinition/";

fn inner<'a>(evaluation: &Evaluation<'a, '_>, of: &[Item<'a>]) -> Collection<'a> {
    let mut found = Vec::new();
    for item in of {
        if let Item::Node(node) = item {
            navigate::children(evaluation.scope.model, *node, &mut found);
        }
    }
    found
}

pub(super) fn children<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    Ok(inner(evaluation, &call.input))
}

pub(super) fn descendants<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let mut found = Vec::new();
    let mut open = inner(evaluation, &call.input);
    while !open.is_empty() {
        evaluation.costs(call.at, open.len())?;
        let next = inner(evaluation, &open);
        found.append(&mut open);
        open = next;
    }
    Ok(found)
}

pub(super) fn extension<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let Some(url) = call.text(evaluation, 0)? else { return Ok(Vec::new()) };
    Ok(extensions(evaluation, &call.input, &url))
}

pub(super) fn has_extension<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let Some(url) = call.text(evaluation, 0)? else { return Ok(Vec::new()) };
    truth(!extensions(evaluation, &call.input, &url).is_empty())
}

/// Those of this url. A primitive has them beside it.
fn extensions<'a>(evaluation: &Evaluation<'a, '_>, of: &[Item<'a>], url: &str) -> Collection<'a> {
    let mut found = Vec::new();
    for item in of {
        if let Item::Node(node) = item {
            navigate::members(evaluation.scope.model, *node, "extension", &mut found);
        }
    }
    found.retain(|item| matches!(item, Item::Node(node) if node.get("url").and_then(Value::as_str) == Some(url)));
    found
}

/// Only of a single primitive.
fn primitive<'a>(call: &Call<'_, 'a>) -> Option<Item<'a>> {
    match &call.input[..] {
        [Item::Node(node)] if node.has_value() => call.input[0].value(),
        [Item::Node(_)] => None,
        [value] => value.value(),
        _ => None,
    }
}

pub(super) fn has_value<'a>(_: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    truth(primitive(&call).is_some())
}

pub(super) fn get_value<'a>(_: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    some(primitive(&call))
}

/// The resources that references point to: contained ones here, others as far as whoever asks can tell.
pub(super) fn resolve<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let mut found = Vec::new();
    for item in &call.input {
        let Item::Node(node) = item else { continue };
        let text = node.value.and_then(Value::as_str).or_else(|| node.get("reference")?.as_str());
        let Some(text) = text else { continue };
        let target = match text.strip_prefix('#') {
            Some(id) => contained(evaluation, id),
            None => evaluation.scope.resolver.resolve(text),
        };
        found.extend(target.map(Item::Node));
    }
    Ok(found)
}

fn contained<'a>(evaluation: &Evaluation<'a, '_>, id: &str) -> Option<Node<'a>> {
    let root = evaluation.resource()?;
    if id.is_empty() {
        return Some(root);
    }
    let all = root.get("contained")?.as_array()?;
    all.iter().find(|resource| resource["id"] == id).map(Node::resource)
}

pub(super) fn type_of<'a>(_: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let of = |item: &Item<'a>| {
        let (namespace, name) = item.kind();
        Item::Type(namespace, name)
    };
    Ok(call.input.iter().map(of).collect())
}

/// Whether it is of a type of FHIR itself; profiles of it are not known here.
pub(super) fn conforms_to<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let Some(url) = call.text(evaluation, 0)? else { return Ok(Vec::new()) };
    let name = url.strip_prefix(STRUCTURES).filter(|name| model::is_type(evaluation.scope.model, name));
    let Some(name) = name else {
        return Err(Fault::of_type(call.at, "only the types of FHIR itself are known here, no profiles"));
    };
    let Some(item) = evaluation.single(call.at, &call.input, "what conforms")? else { return Ok(Vec::new()) };
    truth(matches!(item, Item::Node(node) if model::is_kind_of(evaluation.scope.model, node.kind, name)))
}

/// Passes on what it is called on. It writes nothing down: what it would write is about patients.
pub(super) fn trace<'a>(_: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    Ok(call.input)
}
