//! Values by which resources are found, as the database keeps them.

use std::borrow::Cow;

use hub_domain::query::Param;
use schemas::resource::Kind;

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

/// The number of a parameter of a type: made of the element's name, so that a new row in the table of parameters moves
/// none, and two parameters of one element (`subject`, `patient`) share their rows.
pub(crate) fn param(kind: Kind, param: &Param) -> i32 {
    number(&format!("{kind}.{}", param.path))
}

/// The number under which `:identifier` finds.
pub(crate) fn param_identifier(kind: Kind, param: &Param) -> i32 {
    number(&format!("{kind}.{}:identifier", param.path))
}

fn number(name: &str) -> i32 {
    let hash = fnv64(name.as_bytes());
    ((hash >> 32) ^ hash) as u32 as i32
}

/// FNV-1a, stable for ever: it is stored.
pub(crate) fn fnv64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
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
                for (number, name) in [(param(*kind, p), ""), (param_identifier(*kind, p), ":identifier")] {
                    let element = format!("{kind}.{}{name}", p.path);
                    assert_eq!(*seen.entry(number).or_insert_with(|| element.clone()), element);
                }
            }
        }
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
