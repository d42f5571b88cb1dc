//! The operators: equality, order, logic, arithmetic, and what collections make together.

use std::borrow::Cow;
use std::cmp::Ordering;

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Map, Value};

use crate::evaluate::{Evaluation, Outcome};
use crate::moment::{Form, Moment, Span};
use crate::syntax::{Fault, Operator};
use crate::units::{self, Measure};
use crate::value::{Collection, Item, Quantity, decimal};

pub(crate) fn binary<'a>(
    evaluation: &mut Evaluation<'a, '_>,
    at: usize,
    operator: Operator,
    left: Collection<'a>,
    right: Collection<'a>,
) -> Outcome<'a> {
    let answer = |truth: Option<bool>| Ok(truth.map(Item::Boolean).into_iter().collect());
    match operator {
        Operator::Equal => answer(equal(evaluation, at, &left, &right)?),
        Operator::NotEqual => answer(equal(evaluation, at, &left, &right)?.map(|same| !same)),
        Operator::Equivalent => answer(Some(equivalent(evaluation, at, &left, &right)?)),
        Operator::NotEquivalent => answer(Some(!equivalent(evaluation, at, &left, &right)?)),
        Operator::Less => answer(order(evaluation, at, &left, &right)?.map(Ordering::is_lt)),
        Operator::AtMost => answer(order(evaluation, at, &left, &right)?.map(Ordering::is_le)),
        Operator::Greater => answer(order(evaluation, at, &left, &right)?.map(Ordering::is_gt)),
        Operator::AtLeast => answer(order(evaluation, at, &left, &right)?.map(Ordering::is_ge)),
        Operator::In => member(evaluation, at, &left, &right).and_then(answer),
        Operator::Contains => member(evaluation, at, &right, &left).and_then(answer),
        Operator::Union => {
            let both = left.into_iter().chain(right).collect();
            distinct(evaluation, at, both)
        }
        Operator::And | Operator::Or | Operator::Xor | Operator::Implies => {
            let (left, right) = (evaluation.truth(at, &left)?, evaluation.truth(at, &right)?);
            answer(logic(operator, left, right))
        }
        Operator::Concatenate => {
            let left = evaluation.text(at, &left, "a side of &")?.unwrap_or_default();
            let right = evaluation.text(at, &right, "a side of &")?.unwrap_or_default();
            Ok(vec![Item::string(format!("{left}{right}"))])
        }
        Operator::Plus | Operator::Minus | Operator::Times | Operator::Divide | Operator::Div | Operator::Mod => {
            let left = evaluation.single(at, &left, "a side of an operator")?;
            let right = evaluation.single(at, &right, "a side of an operator")?;
            let (Some(left), Some(right)) = (left, right) else { return Ok(Vec::new()) };
            Ok(arithmetic(at, operator, left, right)?.into_iter().collect())
        }
    }
}

/// With three values: true, false and nothing.
fn logic(operator: Operator, left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (operator, left, right) {
        (Operator::And, Some(false), _) | (Operator::And, _, Some(false)) => Some(false),
        (Operator::And, Some(true), Some(true)) => Some(true),
        (Operator::Or, Some(true), _) | (Operator::Or, _, Some(true)) => Some(true),
        (Operator::Or, Some(false), Some(false)) => Some(false),
        (Operator::Implies, Some(false), _) | (Operator::Implies, _, Some(true)) => Some(true),
        (Operator::Implies, Some(true), right) => right,
        (Operator::Xor, Some(left), Some(right)) => Some(left != right),
        _ => None,
    }
}

// ---- equality

/// Item by item in their order; nothing when a side is empty, or when a moment is not told far enough.
pub(crate) fn equal<'a>(
    evaluation: &mut Evaluation<'a, '_>,
    at: usize,
    left: &[Item<'a>],
    right: &[Item<'a>],
) -> Result<Option<bool>, Fault> {
    if left.is_empty() || right.is_empty() {
        return Ok(None);
    }
    if left.len() != right.len() {
        return Ok(Some(false));
    }
    let mut all = Some(true);
    for (left, right) in left.iter().zip(right) {
        match same(evaluation, at, left, right)? {
            Some(true) => {}
            Some(false) => return Ok(Some(false)),
            None => all = None,
        }
    }
    Ok(all)
}

/// Whether two items are equal; nothing when that cannot be said.
pub(crate) fn same<'a>(
    evaluation: &mut Evaluation<'a, '_>,
    at: usize,
    left: &Item<'a>,
    right: &Item<'a>,
) -> Result<Option<bool>, Fault> {
    evaluation.costs(at, 1)?;
    let (Some(a), Some(b)) = (left.value(), right.value()) else {
        return Ok(Some(match (left, right) {
            (Item::Node(left), Item::Node(right)) => {
                left.value.is_some() && json_equal(evaluation, at, left.value, right.value)?
            }
            (left, right) => left == right,
        }));
    };
    Ok(match (&a, &b) {
        (Item::Quantity(left), Item::Quantity(right)) => in_one_unit(left, right).map(|(left, right)| left == right),
        _ => match (moments(&a, &b), numbers(&a, &b)) {
            (Some((left, right)), _) => left.compare(&right).map(Ordering::is_eq),
            (_, Some((left, right))) => Some(left == right),
            _ => Some(a == b),
        },
    })
}

/// Structures by their members, whatever their order; numbers by what they are worth.
fn json_equal(
    evaluation: &mut Evaluation<'_, '_>,
    at: usize,
    left: Option<&Value>,
    right: Option<&Value>,
) -> Result<bool, Fault> {
    evaluation.costs(at, 1)?;
    Ok(match (left, right) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            left.len() == right.len() && all_members(left, right, |a, b| json_equal(evaluation, at, Some(a), Some(b)))?
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (left, right) in left.iter().zip(right) {
                if !json_equal(evaluation, at, Some(left), Some(right))? {
                    return Ok(false);
                }
            }
            true
        }
        (Some(Value::Number(left)), Some(Value::Number(right))) => {
            left == right || decimal(left.as_str()).is_some_and(|left| decimal(right.as_str()) == Some(left))
        }
        (left, right) => left == right,
    })
}

fn all_members<'v>(
    left: &'v Map<String, Value>,
    right: &'v Map<String, Value>,
    mut same: impl FnMut(&'v Value, &'v Value) -> Result<bool, Fault>,
) -> Result<bool, Fault> {
    for (name, value) in left {
        let Some(other) = right.get(name) else { return Ok(false) };
        if !same(value, other)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The same items in any order, and each nearly the same.
fn equivalent<'a>(
    evaluation: &mut Evaluation<'a, '_>,
    at: usize,
    left: &[Item<'a>],
    right: &[Item<'a>],
) -> Result<bool, Fault> {
    if left.len() != right.len() {
        return Ok(false);
    }
    let mut open: Vec<&Item> = right.iter().collect();
    for item in left {
        let mut found = None;
        for (n, other) in open.iter().enumerate() {
            if alike(evaluation, at, item, other)? {
                found = Some(n);
                break;
            }
        }
        match found {
            Some(n) => open.swap_remove(n),
            None => return Ok(false),
        };
    }
    Ok(true)
}

/// Whatever the case and the blanks of a text, and to the precision of the less precise number.
fn alike<'a>(evaluation: &mut Evaluation<'a, '_>, at: usize, left: &Item<'a>, right: &Item<'a>) -> Result<bool, Fault> {
    let (Some(a), Some(b)) = (left.value(), right.value()) else {
        return Ok(same(evaluation, at, left, right)? == Some(true));
    };
    evaluation.costs(at, 1)?;
    Ok(match (&a, &b) {
        (Item::String(left), Item::String(right)) => plain(left) == plain(right),
        (Item::Quantity(left), Item::Quantity(right)) => amounts_alike(&nearest(left), &nearest(right)),
        _ => match (moments(&a, &b), numbers(&a, &b)) {
            (Some((left, right)), _) => left.compare(&right) == Some(Ordering::Equal),
            (_, Some((left, right))) => {
                let scale = left.scale().min(right.scale());
                rounded(left, scale) == rounded(right, scale)
            }
            _ => a == b,
        },
    })
}

fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn rounded(number: Decimal, scale: u32) -> Decimal {
    number.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero)
}

/// Two amounts in the unit of the less precise, to the precision that it was told with.
fn amounts_alike(left: &Quantity<'_>, right: &Quantity<'_>) -> bool {
    let (a, b) = (units::measure(&left.unit), units::measure(&right.unit));
    let (Some(a), Some(b)) = (a, b) else {
        let scale = left.value.scale().min(right.value.scale());
        return left.unit == right.unit && rounded(left.value, scale) == rounded(right.value, scale);
    };
    if a.dimensions != b.dimensions {
        return false;
    }
    // One of the last digit that was told, in base units.
    let last = |of: &Quantity<'_>, measure: Measure| measure.base(Decimal::new(1, of.value.scale()));
    let (coarse, scale) =
        if last(left, a) > last(right, b) { (a, left.value.scale()) } else { (b, right.value.scale()) };
    let told = |of: &Quantity<'_>, measure: Measure| Some(rounded(coarse.in_these(measure.base(of.value)?)?, scale));
    told(left, a).is_some_and(|left| told(right, b) == Some(left))
}

/// In equivalence a year of the calendar is as long as UCUM's.
fn nearest<'a>(quantity: &Quantity<'a>) -> Quantity<'a> {
    match units::unit_of_word(&quantity.unit) {
        Some((unit, _)) => Quantity { value: quantity.value, unit: unit.into() },
        None => quantity.clone(),
    }
}

/// What is looked for, and where.
fn member<'a>(
    evaluation: &mut Evaluation<'a, '_>,
    at: usize,
    item: &[Item<'a>],
    of: &[Item<'a>],
) -> Result<Option<bool>, Fault> {
    let Some(item) = evaluation.single(at, item, "what is looked for")? else { return Ok(None) };
    Ok(Some(is_among(evaluation, at, item, of)?))
}

pub(crate) fn is_among<'a>(
    evaluation: &mut Evaluation<'a, '_>,
    at: usize,
    item: &Item<'a>,
    of: &[Item<'a>],
) -> Result<bool, Fault> {
    for other in of {
        if same(evaluation, at, item, other)? == Some(true) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Each item once, in the order of their first coming.
pub(crate) fn distinct<'a>(evaluation: &mut Evaluation<'a, '_>, at: usize, items: Collection<'a>) -> Outcome<'a> {
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        if !is_among(evaluation, at, &item, &kept)? {
            kept.push(item);
        }
    }
    Ok(kept)
}

// ---- order

pub(crate) fn order<'a>(
    evaluation: &mut Evaluation<'a, '_>,
    at: usize,
    left: &[Item<'a>],
    right: &[Item<'a>],
) -> Result<Option<Ordering>, Fault> {
    let left = evaluation.single(at, left, "a side of a comparison")?;
    let right = evaluation.single(at, right, "a side of a comparison")?;
    let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
    compare(at, left, right)
}

/// Which of two comes first; nothing when that cannot be said.
pub(crate) fn compare(at: usize, left: &Item<'_>, right: &Item<'_>) -> Result<Option<Ordering>, Fault> {
    let unlike = || Fault::of_type(at, format!("{} and {} have no order", left.noun(), right.noun()));
    let (Some(a), Some(b)) = (left.value(), right.value()) else { return Err(unlike()) };
    match (&a, &b) {
        (Item::String(left), Item::String(right)) => Ok(Some(left.cmp(right))),
        (Item::Quantity(left), Item::Quantity(right)) => {
            Ok(in_one_unit(left, right).map(|(left, right)| left.cmp(&right)))
        }
        _ => match (moments(&a, &b), numbers(&a, &b)) {
            (Some((left, right)), _) => Ok(left.compare(&right)),
            (_, Some((left, right))) => Ok(Some(left.cmp(&right))),
            _ => Err(unlike()),
        },
    }
}

/// Two moments of one form: a date beside a dateTime is one that tells no time.
fn moments(left: &Item<'_>, right: &Item<'_>) -> Option<(Moment, Moment)> {
    match (left, right) {
        (Item::Moment(left), Item::Moment(right)) => {
            let mixed = (left.form() == Form::Time) != (right.form() == Form::Time);
            (!mixed).then_some((*left, *right))
        }
        _ => None,
    }
}

fn numbers(left: &Item<'_>, right: &Item<'_>) -> Option<(Decimal, Decimal)> {
    let number = |item: &Item<'_>| match item {
        Item::Integer(value) => Some(Decimal::from(*value)),
        Item::Decimal(value) => Some(*value),
        _ => None,
    };
    Some((number(left)?, number(right)?))
}

/// Two amounts in the same unit, if they measure the same thing.
pub(crate) fn in_one_unit(left: &Quantity<'_>, right: &Quantity<'_>) -> Option<(Decimal, Decimal)> {
    if left.unit == right.unit {
        return Some((left.value, right.value));
    }
    let (a, b) = (units::measure(&left.unit)?, units::measure(&right.unit)?);
    if a.dimensions != b.dimensions {
        return None;
    }
    // Over one denominator: nothing is divided, and so nothing rounded.
    let whole = |value: Decimal, of: Measure, other: Measure| value.checked_mul(of.above)?.checked_mul(other.below);
    Some((whole(left.value, a, b)?, whole(right.value, b, a)?))
}

// ---- arithmetic

pub(crate) fn negated<'a>(at: usize, items: &[Item<'a>]) -> Outcome<'a> {
    let item = match items {
        [] => return Ok(Vec::new()),
        [one] => one,
        many => return Err(Fault::of_type(at, format!("a sign is of one item, and here are {}", many.len()))),
    };
    let value = match item.value() {
        Some(Item::Integer(value)) => value.checked_neg().map(Item::Integer),
        Some(Item::Decimal(value)) => Some(Item::Decimal(-value)),
        Some(Item::Quantity(of)) => Some(Item::Quantity(Quantity { value: -of.value, unit: of.unit })),
        _ => return Err(Fault::of_type(at, format!("{} has no sign", item.noun()))),
    };
    Ok(value.into_iter().collect())
}

/// Nothing where the result cannot be told: a division by zero, a number too great.
fn arithmetic<'a>(at: usize, operator: Operator, left: &Item<'a>, right: &Item<'a>) -> Result<Option<Item<'a>>, Fault> {
    let unfit = || {
        let sign = match operator {
            Operator::Plus => "added",
            Operator::Minus => "subtracted",
            Operator::Times => "multiplied",
            _ => "divided",
        };
        Fault::of_type(at, format!("{} and {} cannot be {sign}", left.noun(), right.noun()))
    };
    let (Some(a), Some(b)) = (left.value(), right.value()) else { return Err(unfit()) };
    match (&a, &b) {
        (Item::Integer(left), Item::Integer(right)) if operator != Operator::Divide => {
            Ok(integers(operator, *left, *right))
        }
        (Item::String(left), Item::String(right)) if operator == Operator::Plus => {
            Ok(Some(Item::string(format!("{left}{right}"))))
        }
        (Item::Moment(moment), Item::Quantity(quantity)) => moved(at, operator, moment, quantity).ok_or_else(unfit)?,
        (Item::Quantity(left), Item::Quantity(right)) => quantities(operator, left, right).ok_or_else(unfit),
        (Item::Quantity(of), other) | (other, Item::Quantity(of)) => {
            let number = numbers(other, &Item::Integer(1)).map(|(number, _)| number).ok_or_else(unfit)?;
            let value = match (operator, &a) {
                (Operator::Times, _) => of.value.checked_mul(number),
                (Operator::Divide, Item::Quantity(_)) => of.value.checked_div(number),
                _ => return Err(unfit()),
            };
            Ok(value.map(|value| Item::Quantity(Quantity { value, unit: of.unit.clone() })))
        }
        _ => {
            let (left, right) = numbers(&a, &b).ok_or_else(unfit)?;
            Ok(decimals(operator, left, right))
        }
    }
}

fn integers<'a>(operator: Operator, left: i64, right: i64) -> Option<Item<'a>> {
    let result = match operator {
        Operator::Plus => left.checked_add(right),
        Operator::Minus => left.checked_sub(right),
        Operator::Times => left.checked_mul(right),
        Operator::Div => left.checked_div(right),
        _ => left.checked_rem(right),
    };
    result.map(Item::Integer)
}

fn decimals<'a>(operator: Operator, left: Decimal, right: Decimal) -> Option<Item<'a>> {
    let result = match operator {
        Operator::Plus => left.checked_add(right),
        Operator::Minus => left.checked_sub(right),
        Operator::Times => left.checked_mul(right),
        Operator::Divide => left.checked_div(right),
        Operator::Div => return left.checked_div(right)?.trunc().to_i64().map(Item::Integer),
        _ => left.checked_rem(right),
    };
    result.map(Item::Decimal)
}

/// A moment so much later or earlier. Units of UCUM whose length varies on a calendar are none to count days by.
fn moved<'a>(
    at: usize,
    operator: Operator,
    moment: &Moment,
    by: &Quantity<'_>,
) -> Option<Result<Option<Item<'a>>, Fault>> {
    let sign = match operator {
        Operator::Plus => 1,
        Operator::Minus => -1,
        _ => return None,
    };
    if by.unit == "a" || by.unit == "mo" {
        let word = if by.unit == "a" { "years" } else { "months" };
        return Some(Err(Fault::of_type(at, format!("'{}' is no span of the calendar: write {word}", by.unit))));
    }
    let whole = |value: Decimal| value.trunc().to_i64().and_then(|value| value.checked_mul(sign));
    let span = match &*by.unit {
        "year" => whole(by.value).and_then(|years| years.checked_mul(12)).map(Span::Months),
        "month" => whole(by.value).map(Span::Months),
        unit => {
            let measure = units::measure(unit).filter(is_time)?;
            // Seconds may have a fraction; what is longer counts whole.
            let fraction_counts = measure.above <= measure.below;
            let value = if fraction_counts { by.value } else { by.value.trunc() };
            let millis = measure.base(value).and_then(|seconds| seconds.checked_mul(Decimal::ONE_THOUSAND));
            millis.and_then(whole).map(Span::Millis)
        }
    };
    Some(Ok(span.filter(|span| bounded(*span)).and_then(|span| moment.plus(span)).map(Item::Moment)))
}

/// Within the calendar's ten thousand years.
fn bounded(span: Span) -> bool {
    match span {
        Span::Months(months) => months.abs() < 120_000,
        Span::Millis(millis) => millis.abs() < 10_000 * 366 * 86_400_000,
    }
}

fn is_time(measure: &Measure) -> bool {
    units::measure("s").is_some_and(|second| second.dimensions == measure.dimensions)
}

/// None for what quantities cannot do; nothing in it for what cannot be told.
fn quantities<'a>(operator: Operator, left: &Quantity<'a>, right: &Quantity<'a>) -> Option<Option<Item<'a>>> {
    let quantity = |value: Option<Decimal>, unit: &str| {
        value.map(|value| Item::Quantity(Quantity { value, unit: unit.to_owned().into() }))
    };
    match operator {
        Operator::Plus | Operator::Minus => {
            let values = if left.unit == right.unit {
                Some((left.value, right.value, &left.unit))
            } else {
                in_finer_unit(left, right)
            };
            let Some((a, b, unit)) = values else { return Some(None) };
            Some(quantity(if operator == Operator::Plus { a.checked_add(b) } else { a.checked_sub(b) }, unit))
        }
        Operator::Times | Operator::Divide => {
            let sign = if operator == Operator::Times { 1 } else { -1 };
            let (Some(a), Some(b)) = (units::measure(&left.unit), units::measure(&right.unit)) else {
                return Some(None);
            };
            let product = b.to(sign).and_then(|b| a.times(b));
            let values =
                if sign == 1 { left.value.checked_mul(right.value) } else { left.value.checked_div(right.value) };
            let (Some(product), Some(values)) = (product, values) else { return Some(None) };
            let unit = units::base_name(&product.dimensions);
            Some(quantity(product.base(values), &unit))
        }
        _ => None,
    }
}

/// Two amounts and the finer unit of the two, in which both now are.
fn in_finer_unit<'q, 'a>(
    left: &'q Quantity<'a>,
    right: &'q Quantity<'a>,
) -> Option<(Decimal, Decimal, &'q Cow<'a, str>)> {
    let (a, b) = (units::measure(&left.unit)?, units::measure(&right.unit)?);
    if a.dimensions != b.dimensions {
        return None;
    }
    let left_is_finer = a.base(Decimal::ONE)? <= b.base(Decimal::ONE)?;
    let (finer, unit) = if left_is_finer { (a, &left.unit) } else { (b, &right.unit) };
    Some((finer.in_these(a.base(left.value)?)?, finer.in_these(b.base(right.value)?)?, unit))
}
