//! Values by which resources are found, as the database keeps them.

use std::borrow::Cow;

use hub_domain::query::{self, Amount, Param, fold, place_of};
use schemas::resource::{Key, Kind};
use uuid::Uuid;

use crate::rows::RangeRow;

/// Longer values are kept by their beginning and a hash: a B-tree's entry has a limit.
const VALUE_BYTES_MAX: usize = 400;
const BEGINNING_BYTES: usize = 120;

/// A value as it stands in an index. None: a NUL, which PostgreSQL's text cannot hold, so nothing is found by it.
pub(crate) fn key(value: &str) -> Option<Cow<'_, str>> {
    if value.contains('\0') {
        return None;
    }
    if value.len() <= VALUE_BYTES_MAX {
        return Some(value.into());
    }
    let cut = (0..=BEGINNING_BYTES).rev().find(|&i| value.is_char_boundary(i)).unwrap_or(0);
    let second = fnv64(&value.as_bytes()[cut..]);
    Some(format!("{}\u{2026}{:016x}{second:016x}", &value[..cut], fnv64(value.as_bytes())).into())
}

/// A value of a parameter, as it is searched for. Two parameters of one element (`subject`, `patient`) share theirs.
pub(crate) fn digest(kind: Kind, param: &Param, value: &str) -> Uuid {
    query::digest(kind, [param.element, ""], value)
}

/// One of a logical reference's identifier, as `:identifier` searches for it.
pub(crate) fn digest_identifier(kind: Kind, param: &Param, value: &str) -> Uuid {
    query::digest(kind, [param.element, ":identifier"], value)
}

/// Whether a reference also has a row by which all that points to its target is found at once, whatever its type and
/// element: to requests, and not from Tasks, which stand with their order.
pub(crate) fn is_link(kind: Kind, to: &Key) -> bool {
    kind != Kind::TASK && to.kind.is_request()
}

/// The value of such a row. In the place of a system it has the number of the element.
pub(crate) fn link(to: &str) -> Uuid {
    query::digest(Kind::TASK, ["", ":link"], to)
}

/// What stands for the system of a value; 0 for none.
pub(crate) fn system(system: Option<&str>) -> i64 {
    let named = system.filter(|system| !system.is_empty());
    // No system that is named is taken for none.
    named.map_or(0, |system| query::digest(Kind::TASK, ["", ":system"], system).as_u64_pair().1.max(1) as i64)
}

/// The number of an element, so that a new row in the table of parameters moves none.
pub(crate) fn param(kind: Kind, param: &Param) -> i32 {
    param_apart(kind, param, "")
}

/// The same of what is kept apart from the rest of an element's values.
fn param_apart(kind: Kind, param: &Param, apart: &str) -> i32 {
    let hash =
        [kind.name(), ".", param.element, apart].iter().fold(FNV64, |hash, part| fnv64_on(hash, part.as_bytes()));
    ((hash >> 32) ^ hash) as u32 as i32
}

/// How a text begins, as two numbers in the order of texts; none of an empty one.
pub(crate) fn beginning(text: &str) -> Option<(i64, i64)> {
    let folded = fold(text);
    let [low, high] = text_key(&folded);
    (!folded.is_empty()).then_some((low, high))
}

/// The beginning of a text as numbers in the same order, eight bytes each.
pub(crate) fn text_key<const N: usize>(text: &str) -> [i64; N] {
    let mut key = [i64::MIN; N];
    for (number, bytes) in key.iter_mut().zip(text.as_bytes().chunks(8)) {
        *number = word(bytes, 0);
    }
    key
}

/// Up to eight bytes as a number, with `filler` for those that are not there.
pub(crate) fn word(bytes: &[u8], filler: u8) -> i64 {
    let mut word = [filler; 8];
    word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    (u64::from_be_bytes(word) ^ (1 << 63)) as i64
}

/// The rows of an amount: as it stands, and in base units where its unit is known.
pub(crate) fn amounts(kind: Kind, param: &Param, amount: &Amount) -> impl Iterator<Item = RangeRow> {
    let as_it_stands = RangeRow::of(amount, |wide| amount_param(kind, param, None, wide));
    let in_base = amount.in_base_units();
    let in_base =
        in_base.map(|(amount, unit)| RangeRow::of(&amount, |wide| amount_param(kind, param, Some(&unit), wide)));
    [as_it_stands].into_iter().chain(in_base)
}

impl RangeRow {
    fn of(amount: &Amount, param: impl Fn(bool) -> i32) -> Self {
        let low = amount.low.map_or(i64::MIN, place_of);
        let high = amount.high.map_or(i64::MAX, place_of);
        Self { param: param(low != high), low, high }
    }
}

/// Numbers of a unit are apart from those of any; and what may be several is apart from what is one, since to find it one
/// has to look as far back as it reaches.
pub(crate) fn amount_param(kind: Kind, param: &Param, unit: Option<&str>, wide: bool) -> i32 {
    let wide = if wide { ":wide" } else { "" };
    param_apart(kind, param, &format!(":{}{wide}", unit.unwrap_or_default()))
}

/// FNV-1a, stable for ever: it is stored.
pub(crate) fn fnv64(bytes: &[u8]) -> u64 {
    fnv64_on(FNV64, bytes)
}

/// Where it begins.
const FNV64: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv64_on(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use hub_domain::query::params;

    use super::*;

    #[test]
    fn no_two_elements_have_the_same_number() {
        let mut seen = HashMap::new();
        for kind in Kind::ALL {
            for p in params(*kind) {
                let element = format!("{kind}.{}", p.element);
                assert_eq!(*seen.entry(param(*kind, p)).or_insert_with(|| element.clone()), element);
            }
        }
    }

    #[test]
    fn a_value_is_told_from_that_of_another_element_and_stays_what_it_is() {
        let subject = query::find(Kind::TASK, "subject").unwrap();
        let patient = query::find(Kind::TASK, "patient").unwrap();
        let of = |param| digest(Kind::TASK, param, "Patient/1");
        assert_eq!(of(subject), of(patient));
        assert_ne!(of(subject), digest_identifier(Kind::TASK, subject, "Patient/1"));
        assert_ne!(of(subject), digest(Kind::TASK, query::find(Kind::TASK, "focus").unwrap(), "Patient/1"));
        // It is stored: when this line changes, every registry that is filled is filled anew.
        assert_eq!(of(subject).to_string(), "811c9d1c-b533-9129-ada9-e7a031cf201f");
        assert_eq!(system(None), 0);
        assert_ne!(system(Some("urn:a")), 0);
    }

    #[test]
    fn a_long_value_has_a_short_key_of_its_own() {
        let long = "ä".repeat(1000);
        let (one, other) = (key(&long).unwrap(), key(&long[2..]).unwrap());
        assert!(one.len() < VALUE_BYTES_MAX);
        assert_ne!(one, other);
        assert_eq!(key("a\0"), None);
    }
}
