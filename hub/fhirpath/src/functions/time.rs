//! Dates and times, and how precise a value is.

use super::{input, math, some, unfit};
use crate::evaluate::{Call, Evaluation, Outcome};
use crate::moment::Moment;
use crate::value::{Item, Quantity};
use rust_decimal::Decimal;

/// The moment of the whole evaluation: two calls see the same.
fn moment<'a>(evaluation: &Evaluation<'a, '_>) -> Moment {
    Moment::at(evaluation.scope.now)
}

pub(super) fn now<'a>(evaluation: &mut Evaluation<'a, '_>, _: Call<'_, 'a>) -> Outcome<'a> {
    Ok(vec![Item::Moment(moment(evaluation))])
}

pub(super) fn today<'a>(evaluation: &mut Evaluation<'a, '_>, _: Call<'_, 'a>) -> Outcome<'a> {
    some(moment(evaluation).as_date().map(Item::Moment))
}

pub(super) fn time_of_day<'a>(evaluation: &mut Evaluation<'a, '_>, _: Call<'_, 'a>) -> Outcome<'a> {
    Ok(vec![Item::Moment(moment(evaluation).as_time())])
}

pub(super) fn low_boundary<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    boundary(evaluation, call, false)
}

pub(super) fn high_boundary<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    boundary(evaluation, call, true)
}

fn boundary<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>, greatest: bool) -> Outcome<'a> {
    let Some(value) = input(evaluation, &call)? else { return Ok(Vec::new()) };
    let digits = if call.arguments.is_empty() { None } else { call.integer(evaluation, 0)? };
    some(match value {
        Item::Moment(moment) => moment.boundary(greatest, digits).map(Item::Moment),
        Item::Integer(value) => math::boundary(Decimal::from(value), greatest, digits).map(Item::Decimal),
        Item::Decimal(value) => math::boundary(value, greatest, digits).map(Item::Decimal),
        Item::Quantity(Quantity { value, unit }) => {
            math::boundary(value, greatest, digits).map(|value| Item::Quantity(Quantity { value, unit }))
        }
        other => return Err(unfit(&call, &other)),
    })
}

/// How many digits were told.
pub(super) fn precision<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let Some(value) = input(evaluation, &call)? else { return Ok(Vec::new()) };
    some(match value {
        Item::Moment(moment) => Some(Item::Integer(moment.precision())),
        Item::Decimal(value) => Some(Item::Integer(i64::from(value.scale()))),
        Item::Integer(_) => Some(Item::Integer(0)),
        other => return Err(unfit(&call, &other)),
    })
}
