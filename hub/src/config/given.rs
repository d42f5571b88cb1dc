//! Reads fields one by one and collects what is wrong with them, so that all of it can be told at once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::fault::{ConfigError, Fault, Source};
use super::setting::redacted;
use super::sources::{Said, Sources};

/// Reads one value; `Err` says what is allowed.
pub(super) type Parse<T> = fn(&str) -> Result<T, &'static str>;

/// A field as the documentation must have it; without a default its text is empty.
pub(super) struct Known {
    pub(super) field: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "the test of the documentation reads it"))]
    pub(super) default: String,
}

pub(super) struct Given {
    sources: Sources,
    /// Who said each field that has been read.
    said_by: BTreeMap<String, Source>,
    faults: Vec<Fault>,
    pub(super) known: Vec<Known>,
}

impl Given {
    pub(super) fn new(sources: Sources) -> Self {
        Self { sources, said_by: BTreeMap::new(), faults: Vec::new(), known: Vec::new() }
    }

    /// A field with a default.
    pub(super) fn field<T>(&mut self, field: &'static str, default: &str, parse: Parse<T>) -> T {
        self.know(field, default);
        self.taken(field, parse).unwrap_or_else(|| legal(default, parse))
    }

    /// A field that may be absent.
    pub(super) fn optional<T>(&mut self, field: &'static str, parse: Parse<T>) -> Option<T> {
        self.know(field, "");
        self.taken(field, parse)
    }

    pub(super) fn number<T>(&mut self, field: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        self.know(field, &default.to_string());
        let Some(said) = self.take(field) else { return default };
        match said.text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let allowed = format!("a whole number from {} to {}", range.start(), range.end());
                self.fault(field, refused(&said.text), &allowed);
                default
            }
        }
    }

    /// A list: an array in the file, with commas elsewhere.
    pub(super) fn list<T>(&mut self, field: &'static str, parse: Parse<T>) -> Vec<T> {
        self.know(field, "");
        let Some(said) = self.take(field) else { return Vec::new() };
        let items = said.text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.filter_map(|item| self.parsed(field, item, parse)).collect()
    }

    /// A table. `key` looks at the names in it, `parse` at the values.
    pub(super) fn table<T>(&mut self, field: &'static str, key: Parse<()>, parse: Parse<T>) -> BTreeMap<String, T> {
        self.know(field, "");
        let entries = self.sources.take_table(field).unwrap_or_else(|said| {
            self.said_by.insert(field.to_owned(), said.source);
            self.fault(field, refused(&said.text), "NAME=VALUE, or several with commas between them");
            BTreeMap::new()
        });
        let mut table = BTreeMap::new();
        for (name, said) in entries {
            let entry = format!("{field}.{name}");
            self.said_by.insert(entry.clone(), said.source);
            let known = self.parsed(&entry, &name, key);
            if let (Some(()), Some(value)) = (known, self.parsed(&entry, &said.text, parse)) {
                table.insert(name, value);
            }
        }
        table
    }

    pub(super) fn has_any(&self, prefix: &str) -> bool {
        self.said_by.keys().any(|field| field.starts_with(prefix))
    }

    /// For a field that may be absent only together with its neighbours.
    pub(super) fn require(&mut self, field: &str) {
        if !self.said_by.contains_key(field) {
            self.fault(field, "it is missing".to_owned(), "a value, since a field beside it has one");
        }
    }

    pub(super) fn fault(&mut self, field: &str, text: String, allowed: &str) {
        let source = self.said_by.get(field).cloned().unwrap_or(Source::Default);
        self.faults.push(Fault { field: field.to_owned(), source, text, allowed: allowed.to_owned() });
    }

    /// The value, if nothing is wrong with it and nothing was said that nobody asked for.
    pub(super) fn finish<T>(mut self, value: T) -> Result<T, ConfigError> {
        for (field, source) in self.sources.left() {
            let fields: Vec<_> = self.known.iter().map(|known| known.field).collect();
            let text = "there is no such field".to_owned();
            self.faults.push(Fault { field, source, text, allowed: fields.join(", ") });
        }
        if self.faults.is_empty() { Ok(value) } else { Err(ConfigError::Faults(self.faults)) }
    }

    fn know(&mut self, field: &'static str, default: &str) {
        self.known.push(Known { field, default: default.to_owned() });
    }

    fn take(&mut self, field: &str) -> Option<Said> {
        let said = self.sources.take(field)?;
        self.said_by.insert(field.to_owned(), said.source.clone());
        Some(said)
    }

    fn taken<T>(&mut self, field: &str, parse: Parse<T>) -> Option<T> {
        let said = self.take(field)?;
        self.parsed(field, &said.text, parse)
    }

    fn parsed<T>(&mut self, field: &str, text: &str, parse: Parse<T>) -> Option<T> {
        parse(text).map_err(|allowed| self.fault(field, refused(text), allowed)).ok()
    }
}

/// A value may hold a password even where none belongs.
fn refused(text: &str) -> String {
    format!("{:?} is not allowed", redacted(text))
}

fn legal<T>(default: &str, parse: Parse<T>) -> T {
    parse(default).unwrap_or_else(|allowed| unreachable!("the default {default:?} is not allowed: {allowed}"))
}
