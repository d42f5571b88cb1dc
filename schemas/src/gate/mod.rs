//! The gate: what comes in is FHIR, or is refused with every fault and its place.
//!
//! [`parse`] turns bytes into JSON and refuses what JSON leaves to chance (a key twice, a million brackets).
//! [`check`] holds the result against the official definitions: names, counts, types, formats and closed code sets.
//! What has passed both is carried as it came: nothing is dropped, reordered or rounded.
//!
//! The definitions are tables (`schemas/definitions/`), written by a script from HL7's own package. The gate holds no
//! knowledge of single resource types, apart from the few rules in `invariants` that no table can say.
//!
//! To add a release of FHIR: let the script write its two tables, and give them a static beside `tables::R4`. The hub
//! thinks in R4; what another release calls otherwise is in [`across`].
//! To add a rule of a type: an arm in `tables::Rule`, and its function in `invariants`.

mod across;
mod beyond;
mod calendar;
mod faults;
mod invariants;
mod kept;
mod links;
mod narrow;
mod parse;
mod path;
mod primitive;
mod references;
mod release;
mod structure;
mod tables;
#[cfg(test)]
mod tests;

pub use across::{path_in_r5, to_r4, to_r5, value_to_r4};
pub use links::relink;
pub use narrow::{Part, has_element, marked_as_part, narrow};
pub use parse::{Limits, parse, parse_json};
pub use path::Path;
pub use references::{references, references_mut};
pub use release::former;

use crate::outcome::Issue;
use serde_json::{Map, Value};
use structure::Walk;
use tables::{R4, R5};

/// No walk goes deeper than this, whatever the limits say: each level is a call, and a stack has an end.
const DEEPEST: usize = 200;

/// Holds a resource against the definitions of FHIR R4. `expected` is the type that the caller's address promises.
///
/// A type that FHIR has but our tables lack (see [`known`]) is held against what all resources share.
pub fn check(resource: &Map<String, Value>, expected: Option<&str>) -> Result<(), Vec<Issue>> {
    let mut walk = Walk::over(&R4);
    walk.root(resource, expected);
    walk.verdict()
}

/// The same against the definitions of FHIR R5.
pub fn check_r5(resource: &Map<String, Value>, expected: Option<&str>) -> Result<(), Vec<Issue>> {
    let mut walk = Walk::over(&R5);
    walk.root(resource, expected);
    walk.verdict()
}

/// Whether FHIR R4 has a type of resource of this name.
pub fn is_resource_type(name: &str) -> bool {
    R4.is_resource_type(name)
}

/// Whether our tables define this type of resource, so that [`check`] sees all of it.
pub fn known(name: &str) -> bool {
    R4.resource(name).is_some()
}

/// The element that a key of an object of this type stands for.
pub fn member(of: &str, key: &str) -> Option<Member> {
    R4.member(of, key)
}

/// An element by one of its keys: `value[x]` by `valueQuantity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// As the definition names it: `status`, `value[x]`.
    pub element: &'static str,
    /// Its type by this key. What is nested in a type is named by its path, `Task.input`.
    pub kind: &'static str,
    /// Whether it is a list.
    pub many: bool,
}

impl Member {
    /// `value` of a choice `value[x]`.
    pub fn choice(self) -> Option<&'static str> {
        self.element.strip_suffix("[x]")
    }
}

/// Whether our tables define the elements of this type, of data or of resources.
pub fn defines(name: &str) -> bool {
    R4.has(name)
}
