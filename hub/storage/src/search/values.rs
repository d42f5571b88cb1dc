//! Searches that a text or a number drives. Of a text the index has the beginning, as two numbers; of a number from where
//! to where it may lie.

use hub_domain::query::{AmountMatch, Param, Prefix, TextMatch, fold, place_of};
use schemas::resource::Kind;

use super::sql::{Arm, Is};
use crate::values::{amount_param, beginning, param as number_of, word};

/// Bytes that each of the two numbers of a text has.
const WORD_BYTES: usize = 8;
/// The place of a number that was converted may lie this much beside that of the same number as it stands.
const BESIDE: i64 = 4;

/// None where nothing can be found.
pub(super) fn by_text(kind: Kind, param: &Param, how: TextMatch, wanted: &str) -> Option<Arm> {
    let (first, second) = beginning(wanted)?;
    let folded = fold(wanted);
    let (head, tail) = folded.as_bytes().split_at(folded.len().min(WORD_BYTES));
    let mut conditions = vec![Is::Number("param", "=", i64::from(number_of(kind, param)))];
    match how {
        // Wherever the rest of a text has it: all are looked at.
        TextMatch::Contains => {}
        TextMatch::Exact => conditions.extend([Is::Number("low", "=", first), Is::Number("high", "=", second)]),
        TextMatch::Begins if tail.is_empty() => {
            conditions.extend([Is::Number("low", ">=", first), Is::Number("low", "<=", word(head, u8::MAX))]);
        }
        TextMatch::Begins => conditions.extend([
            Is::Number("low", "=", first),
            Is::Number("high", ">=", second),
            Is::Number("high", "<=", word(tail, u8::MAX)),
        ]),
    }
    Some(Arm::new("search_value", conditions))
}

/// None where nearly all would have to be looked at.
pub(super) fn by_amount(kind: Kind, param: &Param, wanted: &AmountMatch) -> Option<Vec<Arm>> {
    let converted = wanted.in_base_units();
    let (wanted, unit) = converted.as_ref().map_or((wanted, None), |(wanted, unit)| (wanted, Some(unit.as_str())));
    let from = |value| place_of(value).saturating_sub(BESIDE);
    let to = |value| place_of(value).saturating_add(BESIDE);
    // Of what is one number, and of where that which may be several begins.
    let (one, wide) = match wanted.prefix {
        Prefix::Ne => return None,
        Prefix::Eq => ((from(wanted.low), to(wanted.high)), (from(wanted.low), to(wanted.high))),
        Prefix::Ap => ((from(wanted.low), to(wanted.high)), (i64::MIN, to(wanted.high))),
        Prefix::Gt | Prefix::Ge => ((from(wanted.value), i64::MAX), (i64::MIN, i64::MAX)),
        Prefix::Sa => ((from(wanted.value), i64::MAX), (from(wanted.value), i64::MAX)),
        Prefix::Lt | Prefix::Le | Prefix::Eb => ((i64::MIN, to(wanted.value)), (i64::MIN, to(wanted.value))),
    };
    let arm = |wide: bool, (low, high): (i64, i64)| {
        let number = i64::from(amount_param(kind, param, unit, wide));
        let bounds = [Is::Number("low", ">=", low), Is::Number("low", "<=", high)];
        Arm::new("search_value", [Is::Number("param", "=", number)].into_iter().chain(bounds).collect())
    };
    Some(vec![arm(false, one), arm(true, wide)])
}
