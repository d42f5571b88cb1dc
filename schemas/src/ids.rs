//! Ids and references, and the one id shape that carries its order: `<root uuid>.<step>[.<occurrence>]`.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// True for FHIR's `id`: 1 to 64 letters, digits, `-` and `.`.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// The system of the identifier that every spawned Task carries: its own id, for those who quote it elsewhere.
pub const TASK_IDENTIFIER: &str = "urn:fhir-workflow-hub:task";

/// The id of a Task that the hub spawned: which order, which step of its plan, which offer of that step.
/// Step 0 is the fulfilment Task; the first offer is not written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    pub root: Uuid,
    pub step: u32,
    pub occurrence: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.root, self.step)?;
        if self.occurrence > 1 { write!(f, ".{}", self.occurrence) } else { Ok(()) }
    }
}

impl FromStr for TaskId {
    type Err = ();

    /// Only the exact form is taken, so that one Task has one id.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (root, rest) = text.split_once('.').ok_or(())?;
        let is_exact = root.len() == HYPHENATED && !root.bytes().any(|byte| byte.is_ascii_uppercase());
        let root = Uuid::try_parse(root).ok().filter(|_| is_exact).ok_or(())?;
        let (step, occurrence) = match rest.split_once('.') {
            Some((step, occurrence)) => (step, number(occurrence).filter(|number| *number > 1).ok_or(())?),
            None => (rest, 1),
        };
        Ok(Self { root, step: number(step).ok_or(())?, occurrence })
    }
}

const HYPHENATED: usize = uuid::fmt::Hyphenated::LENGTH;

/// A number as it is written, and no other way.
fn number(text: &str) -> Option<u32> {
    let is_exact = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_exact)
}

/// What a `Reference.reference` points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// `Type/id`, optionally `/_history/version`.
    Relative { kind: &'a str, id: &'a str, version: Option<&'a str> },
    /// `#id`: a contained resource; `#` alone is the container.
    Contained(&'a str),
    /// `urn:uuid:` or `urn:oid:`: an entry of the same Bundle.
    Urn(&'a str),
    /// A URL somewhere else.
    Absolute(&'a str),
    /// Nothing of these.
    Other(&'a str),
}

impl<'a> Target<'a> {
    pub fn parse(text: &'a str) -> Self {
        // Most are, and what is has no sign of the others in it.
        if let Some(relative) = Self::relative(text) {
            return relative;
        }
        if let Some(id) = text.strip_prefix('#') {
            return Self::Contained(id);
        }
        if text.starts_with("urn:uuid:") || text.starts_with("urn:oid:") {
            return Self::Urn(text);
        }
        if text.contains("://") {
            return Self::Absolute(text);
        }
        Self::Other(text)
    }

    fn relative(text: &'a str) -> Option<Self> {
        let (kind, rest) = text.split_once('/')?;
        let (id, version) = match rest.split_once('/') {
            Some((id, history)) => (id, Some(history.strip_prefix("_history/")?)),
            None => (rest, None),
        };
        (is_kind(kind) && is_id(id) && version.is_none_or(is_id)).then_some(Self::Relative { kind, id, version })
    }
}

fn is_kind(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_uppercase) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spawned_task_names_its_order_its_step_and_its_offer() {
        let root = Uuid::from_u128(7);
        for (occurrence, text) in [(1, format!("{root}.3")), (2, format!("{root}.3.2"))] {
            let id = TaskId { root, step: 3, occurrence };
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse(), Ok(id));
            assert!(is_id(&text));
        }
    }

    #[test]
    fn another_spelling_of_the_same_task_is_not_its_id() {
        let root = Uuid::from_u128(7);
        let others =
            ["03", "+3", "3.1", "3.0", "3.02", "3.", "", "3.2.1", "4294967296"].map(|of| format!("{root}.{of}"));
        let capital = format!("{}.3", Uuid::from_u128(10)).to_uppercase();
        let other_forms = [format!("{{{root}}}.3"), format!("{}.3", root.simple()), capital, root.to_string()];
        for text in others.into_iter().chain(other_forms).chain(["12.3".into()]) {
            assert_eq!(text.parse::<TaskId>(), Err(()));
        }
    }

    #[test]
    fn references_are_told_apart() {
        assert_eq!(Target::parse("Patient/1"), Target::Relative { kind: "Patient", id: "1", version: None });
        assert_eq!(Target::parse("Task/1/_history/2"), Target::Relative { kind: "Task", id: "1", version: Some("2") });
        assert_eq!(Target::parse("#med"), Target::Contained("med"));
        assert!(matches!(Target::parse("urn:uuid:1"), Target::Urn(_)));
        assert!(matches!(Target::parse("https://a.example/Patient/1"), Target::Absolute(_)));
        assert!(matches!(Target::parse("Patient"), Target::Other(_)));
    }
}
