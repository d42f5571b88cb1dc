//! Texts: names, addresses and the like. People are found by how their names begin, however those are written.

use std::borrow::Cow;

use hub_fhirpath::Item;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The members of a name and of an address, of which each is found by itself.
const NAME: [&str; 5] = ["text", "family", "given", "prefix", "suffix"];
const ADDRESS: [&str; 7] = ["text", "line", "city", "district", "state", "postalCode", "country"];

/// How a text must lie to the one that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextMatch {
    /// It begins so, however accents and capitals are written.
    Begins,
    /// It is the same, sign by sign.
    Exact,
    /// It has this somewhere, however accents and capitals are written.
    Contains,
}

impl TextMatch {
    pub fn holds(self, wanted: &str, text: &str) -> bool {
        if self == Self::Exact {
            return text == wanted;
        }
        let (wanted, text) = (fold(wanted), fold(text));
        // Of accents alone nothing is left, and nothing is found by it.
        !wanted.is_empty() && if self == Self::Begins { text.starts_with(&wanted) } else { text.contains(&wanted) }
    }
}

/// A text as it is compared: without accents, in small letters. `Straße` is `strasse`, since so its capitals are.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let bare = text.nfkd().filter(|c| !is_combining_mark(*c));
    bare.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// The texts of a string, a name or an address.
pub(super) fn texts<'a>(item: &Item<'a>, push: &mut impl FnMut(Cow<'a, str>)) {
    let (value, kind) = match item {
        Item::Node(node) => (node.value, node.kind),
        Item::String(text) => return push(text.clone()),
        _ => return,
    };
    let members: &[&str] = match (value, kind) {
        (Some(Value::String(text)), _) => return push(text.into()),
        (_, "HumanName") => &NAME,
        (_, "Address") => &ADDRESS,
        _ => return,
    };
    for member in members.iter().filter_map(|name| value?.get(name)) {
        let several = member.as_array().map_or(std::slice::from_ref(member), Vec::as_slice);
        several.iter().filter_map(Value::as_str).for_each(|text| push(text.into()));
    }
}

/// What is written beside a code: of a CodeableConcept its text and what its codes are called, of a Coding the latter, of
/// an Identifier the text of its type.
pub(super) fn beside_code<'a>(item: &Item<'a>, push: &mut impl FnMut(&'a str)) {
    let Item::Node(node) = item else { return };
    let Some(value) = node.value else { return };
    let codings = value.get("coding").and_then(Value::as_array).into_iter().flatten();
    let displays = codings.chain([value]).filter_map(|coding| coding.get("display"));
    let kind = value.get("type").filter(|_| node.kind == "Identifier").and_then(|kind| kind.get("text"));
    // What a reference is called stands in its `display`, and is no code's.
    displays.chain(value.get("text")).chain(kind).filter_map(Value::as_str).for_each(push);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_and_capitals_do_not_matter() {
        for (text, folded) in [
            ("Müller", "muller"),
            ("MU\u{308}LLER", "muller"),
            ("Straße", "strasse"),
            ("Ångström", "angstrom"),
            ("ﬁn", "fin"),
            ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
            ("", ""),
        ] {
            assert_eq!(fold(text), folded, "{text}");
            assert_eq!(fold(folded), folded, "{text}");
        }
    }

    #[test]
    fn a_text_begins_is_or_contains() {
        assert!(TextMatch::Begins.holds("mül", "Muller") && !TextMatch::Begins.holds("ler", "Müller"));
        assert!(TextMatch::Contains.holds("LL", "Müller") && !TextMatch::Contains.holds("lm", "Müller"));
        assert!(!TextMatch::Begins.holds("\u{301}", "Müller") && !TextMatch::Contains.holds("\u{301}", "Müller"));
        assert!(TextMatch::Exact.holds("Müller", "Müller") && !TextMatch::Exact.holds("müller", "Müller"));
    }
}
