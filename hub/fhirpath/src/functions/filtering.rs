//! Some of a collection, or more than it, or one of two.

use std::cmp::Ordering;

use super::flat;
use crate::evaluate::{Call, Evaluation, Frame, Outcome};
use crate::operators;
use crate::syntax::{Expr, Fault, Node};
use crate::value::{Collection, Item};

/// `where`, which is a word of this language too.
pub(super) fn keep<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let mut kept = Vec::new();
    for (index, item) in call.input.iter().enumerate() {
        if call.holds(evaluation, 0, index, item)? {
            kept.push(item.clone());
        }
    }
    Ok(kept)
}

pub(super) fn select<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let each = |(index, item)| call.of_item(evaluation, 0, index, item);
    Ok(flat(call.input.iter().enumerate().map(each).collect::<Result<_, _>>()?))
}

/// What is found, and what is found in that; what was found before is not looked into again.
pub(super) fn repeat<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let mut found: Collection = Vec::new();
    let mut open = call.input.clone();
    while !open.is_empty() {
        let mut next = Vec::new();
        for (index, item) in open.iter().enumerate() {
            for inner in call.of_item(evaluation, 0, index, item)? {
                if !is_known(evaluation, call.at, &inner, &found)? {
                    found.push(inner.clone());
                    next.push(inner);
                }
            }
        }
        open = next;
    }
    Ok(found)
}

/// Elements are told apart by where they are stored, values by what they are.
fn is_known<'a>(
    evaluation: &mut Evaluation<'a, '_>,
    at: usize,
    item: &Item<'a>,
    among: &[Item<'a>],
) -> Result<bool, Fault> {
    if let Item::Node(node) = item
        && let Some(value) = node.value.filter(|value| value.is_object())
    {
        evaluation.costs(at, among.len() / 16)?;
        let is_it =
            |other: &Item| matches!(other, Item::Node(other) if other.value.is_some_and(|it| std::ptr::eq(it, value)));
        return Ok(among.iter().any(is_it));
    }
    operators::is_among(evaluation, at, item, among)
}

pub(super) fn distinct<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    operators::distinct(evaluation, call.at, call.input)
}

pub(super) fn single<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    evaluation.single(call.at, &call.input, "single()")?;
    Ok(call.input)
}

pub(super) fn first<'a>(_: &mut Evaluation<'a, '_>, mut call: Call<'_, 'a>) -> Outcome<'a> {
    call.input.truncate(1);
    Ok(call.input)
}

pub(super) fn last<'a>(_: &mut Evaluation<'a, '_>, mut call: Call<'_, 'a>) -> Outcome<'a> {
    Ok(call.input.pop().into_iter().collect())
}

pub(super) fn tail<'a>(_: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    Ok(call.input.into_iter().skip(1).collect())
}

pub(super) fn skip<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let many = call.integer(evaluation, 0)?;
    Ok(many.map_or_else(Vec::new, |many| call.input.into_iter().skip(clamped(many)).collect()))
}

pub(super) fn take<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let many = call.integer(evaluation, 0)?;
    Ok(many.map_or_else(Vec::new, |many| call.input.into_iter().take(clamped(many)).collect()))
}

fn clamped(many: i64) -> usize {
    usize::try_from(many.max(0)).unwrap_or(usize::MAX)
}

pub(super) fn intersect<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let other = call.argument(evaluation, 0)?;
    let mut both = Vec::new();
    for item in call.input {
        if operators::is_among(evaluation, call.at, &item, &other)?
            && !operators::is_among(evaluation, call.at, &item, &both)?
        {
            both.push(item);
        }
    }
    Ok(both)
}

pub(super) fn exclude<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let other = call.argument(evaluation, 0)?;
    let mut kept = Vec::new();
    for item in call.input {
        if !operators::is_among(evaluation, call.at, &item, &other)? {
            kept.push(item);
        }
    }
    Ok(kept)
}

pub(super) fn union<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let both = combine(evaluation, Call { input: call.input, ..call })?;
    operators::distinct(evaluation, call.at, both)
}

pub(super) fn combine<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let other = call.argument(evaluation, 0)?;
    Ok(call.input.into_iter().chain(other).collect())
}

/// By each key in turn, a key with a minus from the greatest down. What has no key comes first.
pub(super) fn sort<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let mut keyed = Vec::with_capacity(call.input.len());
    for item in &call.input {
        let mut keys = Vec::with_capacity(call.arguments.len());
        for argument in call.arguments {
            let (key, _) = direction(argument);
            let frame = Frame { this: std::slice::from_ref(item), index: None, total: None };
            let found = evaluation.eval(key, frame)?;
            keys.push(evaluation.single(argument.at, &found, "a key to sort by")?.cloned());
        }
        if call.arguments.is_empty() {
            keys.push(Some(item.clone()));
        }
        keyed.push((keys, item.clone()));
    }
    evaluation.costs(call.at, keyed.len().saturating_mul(16))?;
    let mut fault = None;
    keyed.sort_by(|(left, _), (right, _)| {
        for (n, (left, right)) in left.iter().zip(right).enumerate() {
            let order = match (left, right) {
                (Some(left), Some(right)) => operators::compare(call.at, left, right).unwrap_or_else(|unlike| {
                    fault = Some(unlike);
                    None
                }),
                (left, right) => Some(left.is_some().cmp(&right.is_some())),
            };
            let is_down = call.arguments.get(n).is_some_and(|argument| direction(argument).1);
            match order.unwrap_or(Ordering::Equal) {
                Ordering::Equal => {}
                order if is_down => return order.reverse(),
                order => return order,
            }
        }
        Ordering::Equal
    });
    fault.map_or_else(|| Ok(keyed.into_iter().map(|(_, item)| item).collect()), Err)
}

/// The key without its minus, and whether it had one.
fn direction(argument: &Expr) -> (&Expr, bool) {
    match &*argument.node {
        Node::Negated(key) => (key, true),
        _ => (argument, false),
    }
}

pub(super) fn aggregate<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let mut total = if call.arguments.len() > 1 { call.argument(evaluation, 1)? } else { Vec::new() };
    for (index, item) in call.input.iter().enumerate() {
        let frame = Frame { this: std::slice::from_ref(item), index: Some(index), total: Some(&total) };
        total = evaluation.eval(&call.arguments[0], frame)?;
    }
    Ok(total)
}

/// Only the branch that is taken is worked out.
pub(super) fn iif<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    evaluation.single(call.at, &call.input, "what iif() is called on")?;
    let frame = Frame { this: &call.input, ..call.frame };
    let condition = evaluation.eval(&call.arguments[0], frame)?;
    let branch = match evaluation.boolean(call.arguments[0].at, &condition)? {
        Some(true) => 1,
        _ => 2,
    };
    call.arguments.get(branch).map_or_else(|| Ok(Vec::new()), |branch| evaluation.eval(branch, frame))
}

pub(super) fn coalesce<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    for n in 0..call.arguments.len() {
        let found = call.argument(evaluation, n)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}
