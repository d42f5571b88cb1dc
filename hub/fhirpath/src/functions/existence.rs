//! Is there something, and what of all of it?

use super::truth;
use crate::evaluate::{Call, Evaluation, Outcome};
use crate::operators;
use crate::syntax::Fault;
use crate::value::Item;

pub(super) fn empty<'a>(_: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    truth(call.input.is_empty())
}

pub(super) fn exists<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    if call.arguments.is_empty() {
        return truth(!call.input.is_empty());
    }
    for (index, item) in call.input.iter().enumerate() {
        if call.holds(evaluation, 0, index, item)? {
            return truth(true);
        }
    }
    truth(false)
}

pub(super) fn all<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    for (index, item) in call.input.iter().enumerate() {
        if !call.holds(evaluation, 0, index, item)? {
            return truth(false);
        }
    }
    truth(true)
}

/// The input as truths.
fn truths<'a>(evaluation: &Evaluation<'a, '_>, call: &Call<'_, 'a>) -> Result<Vec<bool>, Fault> {
    let of = |item: &Item<'a>| Ok(evaluation.boolean(call.at, std::slice::from_ref(item))?.unwrap_or(false));
    call.input.iter().map(of).collect()
}

pub(super) fn all_true<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    truth(truths(evaluation, &call)?.into_iter().all(|is| is))
}

pub(super) fn any_true<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    truth(truths(evaluation, &call)?.into_iter().any(|is| is))
}

pub(super) fn all_false<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    truth(!truths(evaluation, &call)?.into_iter().any(|is| is))
}

pub(super) fn any_false<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    truth(!truths(evaluation, &call)?.into_iter().all(|is| is))
}

pub(super) fn subset_of<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let other = call.argument(evaluation, 0)?;
    truth(is_within(evaluation, call.at, &call.input, &other)?)
}

pub(super) fn superset_of<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let other = call.argument(evaluation, 0)?;
    truth(is_within(evaluation, call.at, &other, &call.input)?)
}

fn is_within<'a>(
    evaluation: &mut Evaluation<'a, '_>,
    at: usize,
    part: &[Item<'a>],
    whole: &[Item<'a>],
) -> Result<bool, Fault> {
    for item in part {
        if !operators::is_among(evaluation, at, item, whole)? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn count<'a>(_: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    Ok(vec![Item::Integer(i64::try_from(call.input.len()).unwrap_or(i64::MAX))])
}

pub(super) fn is_distinct<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let many = call.input.len();
    truth(operators::distinct(evaluation, call.at, call.input)?.len() == many)
}

pub(super) fn not<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let truth = evaluation.truth(call.at, &call.input)?;
    Ok(truth.map(|truth| Item::Boolean(!truth)).into_iter().collect())
}
