//! What is done to a file of the corpus: some of it to bytes, most of it to JSON, so that the mutant gets past the first
//! bracket.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// A mutant stays below this, however often something is repeated.
const SIZE_LIMIT_BYTES: usize = 256 << 10;

/// One change. An [`Index`] is a place, wherever the file is long enough to have it.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    /// A byte is another.
    Flip(Index, u8),
    /// The rest is missing.
    Truncate(Index),
    /// Goes on as another file does.
    Splice(Index, Index, Index),
    /// A part comes many times.
    Repeat(Index, Index, u8),
    /// A value of the JSON is another: odd, or out of another file.
    Replace(Index, Value),
    Transplant(Index, Index, Index),
    /// Two values change places.
    Swap(Index, Index),
    /// A member, or an item, is gone.
    Drop(Index),
    /// A value is wrapped in lists or objects.
    Bury(Index, bool, u8),
    /// A list, or an object, has many more.
    Widen(Index, u16),
}

pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Flip(at, byte)),
        1 => at().prop_map(Mutation::Truncate),
        1 => (at(), at(), at()).prop_map(|(at, file, from)| Mutation::Splice(at, file, from)),
        1 => (at(), at(), any::<u8>()).prop_map(|(from, to, times)| Mutation::Repeat(from, to, times)),
        6 => (at(), odd()).prop_map(|(at, value)| Mutation::Replace(at, value)),
        4 => (at(), at(), at()).prop_map(|(at, file, from)| Mutation::Transplant(at, file, from)),
        4 => (at(), at()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        3 => at().prop_map(Mutation::Drop),
        1 => (at(), any::<bool>(), any::<u8>()).prop_map(|(at, list, deep)| Mutation::Bury(at, list, deep)),
        1 => (at(), 0..2000_u16).prop_map(|(at, wide)| Mutation::Widen(at, wide)),
    ]
}

/// Values that somebody forgot.
fn odd() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(4_294_967_295_u32),
        json!(1e300),
        json!(""),
        json!(" "),
        json!("a\u{0}b"),
        json!("\u{202e}\u{feff}"),
        json!("#"),
        json!("#1"),
        json!("urn:uuid:"),
        json!("Patient/1"),
        json!("Task/1/_history/1"),
        json!("9999-12-31"),
        json!("9999"),
        json!("0001-01-01T00:00:00+14:00"),
        json!("2016-12-31T23:59:60Z"),
        json!("active"),
        json!("completed"),
        json!([]),
        json!({}),
        json!([null]),
        json!({ "$serde_json::private::Number": "1" }),
        json!({ "$serde_json::private::RawValue": "[]" }),
        json!({ "reference": "#1" }),
    ])
}

pub(crate) fn mutated(file: &[u8], corpus: &[Vec<u8>], mutations: &[Mutation]) -> Vec<u8> {
    mutations.iter().fold(file.to_vec(), |bytes, mutation| {
        let next = apply(&bytes, corpus, mutation).unwrap_or_default();
        if next.is_empty() || next.len() > SIZE_LIMIT_BYTES { bytes } else { next }
    })
}

/// None where there is no such place.
fn apply(bytes: &[u8], corpus: &[Vec<u8>], mutation: &Mutation) -> Option<Vec<u8>> {
    let end = bytes.len() + 1;
    match mutation {
        Mutation::Flip(at, byte) => {
            let mut bytes = bytes.to_vec();
            let at = at.index(end).min(bytes.len().checked_sub(1)?);
            bytes[at] ^= byte;
            Some(bytes)
        }
        Mutation::Truncate(at) => Some(bytes[..at.index(end)].to_vec()),
        Mutation::Splice(at, file, from) => {
            let other = file.get(corpus);
            Some([&bytes[..at.index(end)], &other[from.index(other.len() + 1)..]].concat())
        }
        Mutation::Repeat(from, to, times) => {
            let (from, to) = (from.index(end), to.index(end));
            let (from, to) = (from.min(to), from.max(to));
            Some([&bytes[..from], &bytes[from..to].repeat(usize::from(*times)), &bytes[to..]].concat())
        }
        _ => {
            let mut root = serde_json::from_slice(bytes).ok()?;
            to_json(&mut root, corpus, mutation)?;
            serde_json::to_vec(&root).ok()
        }
    }
}

fn to_json(root: &mut Value, corpus: &[Vec<u8>], mutation: &Mutation) -> Option<()> {
    let places = places(root);
    let place = |at: &Index| places[at.index(places.len())].as_str();
    match mutation {
        Mutation::Replace(at, value) => *root.pointer_mut(place(at))? = value.clone(),
        Mutation::Transplant(at, file, from) => {
            let file: &Vec<u8> = file.get(corpus);
            let other: Value = serde_json::from_slice(file).ok()?;
            let theirs = self::places(&other);
            *root.pointer_mut(place(at))? = other.pointer(&theirs[from.index(theirs.len())])?.clone();
        }
        Mutation::Swap(one, other) => {
            let (one, other) = (place(one), place(other));
            let (left, right) = (root.pointer(one)?.clone(), root.pointer(other)?.clone());
            *root.pointer_mut(one)? = right;
            // Gone when it was within the first: then the one stands twice.
            if let Some(value) = root.pointer_mut(other) {
                *value = left;
            }
        }
        Mutation::Drop(at) => {
            let (parent, name) = place(at).rsplit_once('/')?;
            match root.pointer_mut(parent)? {
                Value::Object(map) => _ = map.shift_remove(&name.replace("~1", "/").replace("~0", "~")),
                Value::Array(items) => _ = items.remove(name.parse().ok()?),
                _ => {}
            }
        }
        Mutation::Bury(at, in_lists, deep) => {
            let value = root.pointer_mut(place(at))?;
            for _ in 0..*deep {
                let inner = value.take();
                *value = if *in_lists { json!([inner]) } else { json!({ "extension": [inner] }) };
            }
        }
        Mutation::Widen(at, wide) => match root.pointer_mut(place(at))? {
            Value::Array(items) => {
                let first = items.first()?.clone();
                items.resize(items.len() + usize::from(*wide), first);
            }
            Value::Object(map) => map.extend((0..*wide).map(|n| (format!("x{n}"), Value::from(n)))),
            _ => {}
        },
        Mutation::Flip(..) | Mutation::Truncate(..) | Mutation::Splice(..) | Mutation::Repeat(..) => {}
    }
    Some(())
}

/// The pointer of every value, the whole first.
fn places(root: &Value) -> Vec<String> {
    fn walk(value: &Value, here: &str, found: &mut Vec<String>) {
        found.push(here.to_owned());
        match value {
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(n, item)| walk(item, &format!("{here}/{n}"), found));
            }
            Value::Object(map) => map.iter().for_each(|(name, inner)| {
                walk(inner, &format!("{here}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(root, "", &mut found);
    found
}
