//! Numbers and amounts. What has no result, as the root of a negative number, gives nothing.

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, MathematicalOps, RoundingStrategy};

use super::conversion::whole;
use super::{input, some, truth, unfit};
use crate::evaluate::{Call, Evaluation, Outcome};
use crate::operators;
use crate::syntax::Fault;
use crate::value::{Item, Quantity};

/// More places after the point than this a decimal does not have.
const MOST_PLACES: i64 = 28;

/// A number, and how to give the result the unit of an amount.
fn each<'a>(evaluation: &Evaluation<'a, '_>, call: &Call<'_, 'a>, of: impl FnOnce(Decimal) -> Decimal) -> Outcome<'a> {
    let Some(value) = input(evaluation, call)? else { return Ok(Vec::new()) };
    some(match value {
        Item::Integer(value) => whole(of(Decimal::from(value))),
        Item::Decimal(value) => Some(Item::Decimal(of(value))),
        Item::Quantity(quantity) => Some(Item::Quantity(Quantity { value: of(quantity.value), unit: quantity.unit })),
        other => return Err(unfit(call, &other)),
    })
}

/// The same, and a decimal becomes whole.
fn to_whole<'a>(
    evaluation: &Evaluation<'a, '_>,
    call: &Call<'_, 'a>,
    of: impl FnOnce(Decimal) -> Decimal,
) -> Outcome<'a> {
    let found = each(evaluation, call, of)?;
    some(found.into_iter().next().and_then(|item| match item {
        Item::Decimal(value) => whole(value),
        other => Some(other),
    }))
}

fn number<'a>(evaluation: &Evaluation<'a, '_>, call: &Call<'_, 'a>) -> Result<Option<Decimal>, Fault> {
    match input(evaluation, call)? {
        None => Ok(None),
        Some(Item::Integer(value)) => Ok(Some(Decimal::from(value))),
        Some(Item::Decimal(value)) => Ok(Some(value)),
        Some(other) => Err(unfit(call, &other)),
    }
}

fn argument<'a>(evaluation: &mut Evaluation<'a, '_>, call: &Call<'_, 'a>) -> Result<Option<Decimal>, Fault> {
    let input = call.argument(evaluation, 0)?;
    number(evaluation, &Call { at: call.arguments[0].at, input, arguments: &[], frame: call.frame })
}

pub(super) fn abs<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    each(evaluation, &call, |value| value.abs())
}

pub(super) fn ceiling<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    to_whole(evaluation, &call, |value| value.ceil())
}

pub(super) fn floor<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    to_whole(evaluation, &call, |value| value.floor())
}

pub(super) fn truncate<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    to_whole(evaluation, &call, |value| value.trunc())
}

/// Half away from zero.
pub(super) fn round<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let places = if call.arguments.is_empty() { Some(0) } else { call.integer(evaluation, 0)? };
    let Some(places) = places else { return Ok(Vec::new()) };
    let Ok(places) = u32::try_from(places) else {
        return Err(Fault::of_type(call.at, "a number is rounded to no less than 0 places"));
    };
    let rounded = |value: Decimal| value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    let found = each(evaluation, &call, rounded)?;
    // Rounding gives a Decimal, also of an Integer.
    Ok(found
        .into_iter()
        .map(|item| if let Item::Integer(value) = item { Item::Decimal(value.into()) } else { item })
        .collect())
}

pub(super) fn exp<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let value = number(evaluation, &call)?;
    some(value.and_then(|value| value.checked_exp()).map(Item::Decimal))
}

pub(super) fn ln<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let value = number(evaluation, &call)?;
    some(value.and_then(|value| value.checked_ln()).map(Item::Decimal))
}

pub(super) fn log<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let (value, base) = (number(evaluation, &call)?, argument(evaluation, &call)?);
    let Some((value, base)) = value.zip(base) else { return Ok(Vec::new()) };
    let found = value.checked_ln().zip(base.checked_ln()).and_then(|(value, base)| value.checked_div(base));
    // Two rows that are broken off somewhere: what is beyond their last places is noise.
    some(found.map(|found| Item::Decimal(found.round_dp(16).normalize())))
}

pub(super) fn power<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let is_whole = matches!(input(evaluation, &call)?, Some(Item::Integer(_)));
    let (value, exponent) = (number(evaluation, &call)?, argument(evaluation, &call)?);
    let Some((value, exponent)) = value.zip(exponent) else { return Ok(Vec::new()) };
    let result = match exponent.to_i64().filter(|_| exponent.fract().is_zero()) {
        Some(exponent) => value.checked_powi(exponent),
        None if value.is_sign_negative() => None,
        None => value.checked_powd(exponent),
    };
    let stays_whole = is_whole && exponent.fract().is_zero() && !exponent.is_sign_negative();
    some(result.and_then(|result| if stays_whole { whole(result) } else { Some(Item::Decimal(result)) }))
}

pub(super) fn sqrt<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let value = number(evaluation, &call)?;
    some(value.and_then(|value| value.sqrt()).map(Item::Decimal))
}

/// Whether two amounts measure the same thing.
pub(super) fn comparable<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let left = input(evaluation, &call)?;
    let other = call.argument(evaluation, 0)?;
    let right = evaluation.single(call.at, &other, "what is compared")?.and_then(Item::value);
    match (left, right) {
        (Some(Item::Quantity(left)), Some(Item::Quantity(right))) => {
            truth(operators::in_one_unit(&left, &right).is_some())
        }
        (Some(other), Some(_)) => Err(unfit(&call, &other)),
        _ => Ok(Vec::new()),
    }
}

/// The least or the greatest number that is this one when it is rounded, to so many places.
pub(super) fn boundary(value: Decimal, greatest: bool, places: Option<i64>) -> Option<Decimal> {
    let places = places.unwrap_or(8);
    let places = u32::try_from(places).ok().filter(|_| places <= MOST_PLACES)?;
    let half = Decimal::new(5, value.scale() + 1);
    let (bound, strategy) = if greatest {
        (value.checked_add(half)?, RoundingStrategy::ToPositiveInfinity)
    } else {
        (value.checked_sub(half)?, RoundingStrategy::ToNegativeInfinity)
    };
    let mut bound = bound.round_dp_with_strategy(places, strategy);
    bound.rescale(places);
    Some(bound)
}
