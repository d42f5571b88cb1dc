//! From one type to another; nothing where a value has no counterpart.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::{some, truth};
use crate::evaluate::{Call, Evaluation, Outcome};
use crate::moment::Moment;
use crate::operators;
use crate::units;
use crate::value::{Item, Quantity};

/// How a value of another type becomes one of this.
type To = for<'a> fn(&Item<'a>) -> Option<Item<'a>>;

fn converted<'a>(evaluation: &Evaluation<'a, '_>, call: &Call<'_, 'a>, to: To) -> Outcome<'a> {
    let item = evaluation.single(call.at, &call.input, "what is converted")?;
    some(item.and_then(Item::value).and_then(|value| to(&value)))
}

fn converts<'a>(evaluation: &Evaluation<'a, '_>, call: &Call<'_, 'a>, to: To) -> Outcome<'a> {
    if call.input.is_empty() {
        return Ok(Vec::new());
    }
    truth(!converted(evaluation, call, to)?.is_empty())
}

macro_rules! conversions {
    ($($to:ident, $converts:ident, $by:ident;)*) => {$(
        pub(super) fn $to<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
            converted(evaluation, &call, $by)
        }

        pub(super) fn $converts<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
            converts(evaluation, &call, $by)
        }
    )*};
}

conversions! {
    to_boolean, converts_to_boolean, boolean;
    to_integer, converts_to_integer, integer;
    to_decimal, converts_to_decimal, decimal;
    to_string, converts_to_string, string;
    to_date, converts_to_date, date;
    to_date_time, converts_to_date_time, date_time;
    to_time, converts_to_time, time;
}

fn boolean<'a>(value: &Item<'a>) -> Option<Item<'a>> {
    let truth = match value {
        Item::Boolean(value) => *value,
        Item::Integer(1) => true,
        Item::Integer(0) => false,
        Item::Decimal(value) if *value == Decimal::ONE => true,
        Item::Decimal(value) if value.is_zero() => false,
        Item::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => true,
            "false" | "f" | "no" | "n" | "0" | "0.0" => false,
            _ => return None,
        },
        _ => return None,
    };
    Some(Item::Boolean(truth))
}

fn integer<'a>(value: &Item<'a>) -> Option<Item<'a>> {
    match value {
        Item::Integer(value) => Some(*value),
        Item::Boolean(value) => Some(i64::from(*value)),
        Item::String(text) => text.parse().ok(),
        _ => None,
    }
    .map(Item::Integer)
}

fn decimal<'a>(value: &Item<'a>) -> Option<Item<'a>> {
    match value {
        Item::Decimal(value) => Some(*value),
        Item::Integer(value) => Some(Decimal::from(*value)),
        Item::Boolean(value) => Some(Decimal::from(u8::from(*value))),
        Item::String(text) => plain_decimal(text),
        _ => None,
    }
    .map(Item::Decimal)
}

/// With a sign and a point, and nothing else.
fn plain_decimal(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    if is_plain { Decimal::from_str_exact(text.strip_prefix('+').unwrap_or(text)).ok() } else { None }
}

fn string<'a>(value: &Item<'a>) -> Option<Item<'a>> {
    Some(match value {
        Item::String(_) => value.clone(),
        Item::Boolean(value) => Item::string(value.to_string()),
        Item::Integer(value) => Item::string(value.to_string()),
        Item::Decimal(value) => Item::string(value.to_string()),
        Item::Moment(value) => Item::string(value.to_string()),
        Item::Quantity(quantity) => Item::string(quantity.to_string()),
        Item::Type(..) | Item::Node(_) => return None,
    })
}

fn date<'a>(value: &Item<'a>) -> Option<Item<'a>> {
    match value {
        Item::Moment(moment) => moment.as_date(),
        Item::String(text) => Moment::date(text).or_else(|| Moment::date_time(text)?.as_date()),
        _ => None,
    }
    .map(Item::Moment)
}

fn date_time<'a>(value: &Item<'a>) -> Option<Item<'a>> {
    match value {
        Item::Moment(moment) => moment.as_date_time(),
        Item::String(text) => Moment::date_time(text).filter(|_| !text.ends_with('T')),
        _ => None,
    }
    .map(Item::Moment)
}

fn time<'a>(value: &Item<'a>) -> Option<Item<'a>> {
    match value {
        Item::Moment(moment) => Some(*moment).filter(|moment| moment.form() == crate::moment::Form::Time),
        Item::String(text) => Moment::time(text.strip_prefix('T').unwrap_or(text)),
        _ => None,
    }
    .map(Item::Moment)
}

fn quantity<'a>(value: &Item<'a>) -> Option<Item<'a>> {
    let of_one = |value: Decimal| Quantity { value, unit: "1".into() };
    match value {
        Item::Quantity(_) => return Some(value.clone()),
        Item::Integer(value) => Some(of_one(Decimal::from(*value))),
        Item::Decimal(value) => Some(of_one(*value)),
        Item::Boolean(value) => Some(of_one(Decimal::from(u8::from(*value)))),
        Item::String(text) => read_quantity(text),
        _ => None,
    }
    .map(Item::Quantity)
}

/// `1.5`, `4 days`, `1 'wk'`.
fn read_quantity<'a>(text: &str) -> Option<Quantity<'a>> {
    let (number, unit) = match text.trim().split_once(char::is_whitespace) {
        Some((number, unit)) => (number, unit.trim_start()),
        None => (text.trim(), ""),
    };
    let quoted = unit.strip_prefix('\'').and_then(|unit| unit.strip_suffix('\''));
    let unit = match quoted {
        Some(unit) => unit.to_owned(),
        None if unit.is_empty() => "1".to_owned(),
        None => units::word(unit)?.to_owned(),
    };
    Some(Quantity { value: plain_decimal(number)?, unit: unit.into() })
}

/// In another unit, if one is named and measures the same thing.
pub(super) fn to_quantity<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let found = converted(evaluation, &call, quantity)?;
    if call.arguments.is_empty() {
        return Ok(found);
    }
    let Some(unit) = call.text(evaluation, 0)? else { return Ok(Vec::new()) };
    let unit = units::word(&unit).map_or(unit, Into::into);
    let Some(Item::Quantity(from)) = found.into_iter().next() else { return Ok(Vec::new()) };
    let one = Quantity { value: Decimal::ONE, unit: unit.clone() };
    let value = operators::in_one_unit(&from, &one).and_then(|(value, one)| value.checked_div(one));
    some(value.map(|value| Item::Quantity(Quantity { value, unit })))
}

pub(super) fn converts_to_quantity<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    if call.input.is_empty() {
        return Ok(Vec::new());
    }
    truth(!to_quantity(evaluation, call)?.is_empty())
}

/// A whole number as an Integer.
pub(super) fn whole<'a>(value: Decimal) -> Option<Item<'a>> {
    value.to_i64().map(Item::Integer)
}
