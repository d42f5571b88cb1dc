//! Values by which resources are found, as the database keeps them.

use std::borrow::Cow;

use hub_domain::query::{self, Param};
use schemas::resource::Kind;
use uuid::Uuid;

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

/// What stands for the system of a value; 0 for none.
pub(crate) fn system(system: Option<&str>) -> i64 {
    let named = system.filter(|system| !system.is_empty());
    // No system that is named is taken for none.
    named.map_or(0, |system| query::digest(Kind::TASK, ["", ":system"], system).as_u64_pair().0.max(1) as i64)
}

/// The number of a date's element, so that a new row in the table of parameters moves none.
pub(crate) fn param(kind: Kind, param: &Param) -> i32 {
    let hash = fnv64(format!("{kind}.{}", param.element).as_bytes());
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
        // It is stored: this line is never changed.
        assert_eq!(of(subject).to_string(), "d0bd0186-b533-9129-ada9-e7a031cf201f");
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
