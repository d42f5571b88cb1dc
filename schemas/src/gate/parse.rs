//! Bytes to JSON.
//!
//! A reader of our own, because serde_json keeps the last of two equal keys without a word, says nothing of where in
//! a resource it stopped, and reads an object with its private number key as a number.

use super::DEEPEST;
use super::faults::Faults;
use super::is_resource_type;
use super::path::Path;
use crate::outcome::{Issue, IssueType};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};
use std::borrow::Cow;

/// What is too much to read. (The size of a body is the business of whoever received it.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Levels of objects and lists within each other. Never more than 200.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64 }
    }
}

/// Reads one resource: a JSON object that says its type.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Map<String, Value>, Vec<Issue>> {
    let Value::Object(resource) = parse_json(bytes, limits)? else {
        return Err(vec![Issue::error(IssueType::Structure, "", "a resource is a JSON object")]);
    };
    match resource.get("resourceType") {
        Some(Value::String(_)) => Ok(resource),
        Some(_) => Err(vec![Issue::error(IssueType::Structure, "resourceType", "resourceType must be a string")]),
        None => Err(vec![Issue::error(IssueType::Required, "resourceType", "resourceType is missing")]),
    }
}

/// Reads any JSON with the same care, for bodies that are not resources (a JSON Patch).
pub fn parse_json(bytes: &[u8], limits: &Limits) -> Result<Value, Vec<Issue>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let read = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            return Err(vec![Stop::here(read.len(), "this is not UTF-8").into_issue(&read)]);
        }
    };
    let mut reader = Reader { text, at: 0, depth: limits.depth.min(DEEPEST), faults: Faults::default() };
    let value = reader.document().map_err(|stop| vec![stop.into_issue(text)])?;
    let mut issues = reader.faults.into_issues();
    if issues.is_empty() {
        return Ok(value);
    }
    // The type may have been read after the fault, so its name is put before the paths only now.
    let root = value["resourceType"].as_str().filter(|name| is_resource_type(name)).unwrap_or_default();
    for issue in issues.iter_mut().filter(|_| !root.is_empty()) {
        issue.path = format!("{root}.{}", issue.path);
    }
    Err(issues)
}

/// Why and where reading ended early.
struct Stop {
    at: usize,
    code: IssueType,
    why: Cow<'static, str>,
}

impl Stop {
    fn here(at: usize, why: impl Into<Cow<'static, str>>) -> Self {
        Self { at, code: IssueType::Structure, why: why.into() }
    }

    fn into_issue(self, text: &str) -> Issue {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Issue::error(
            self.code,
            "",
            format!("the body is not JSON we can read: {} (line {line}, column {column})", self.why),
        )
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    faults: Faults,
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Result<Value, Stop> {
        self.skip_space();
        let value = self.value(&Path::root(""))?;
        self.skip_space();
        if self.at < self.text.len() { Err(self.stop("nothing may follow the value")) } else { Ok(value) }
    }

    fn value(&mut self, path: &Path) -> Result<Value, Stop> {
        match self.peek() {
            Some(b'"') => self.string().map(|text| Value::String(text.into_owned())),
            Some(b'{') => self.object(path).map(Value::Object),
            Some(b'[') => self.list(path).map(Value::Array),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(self.stop("a value must stand here")),
            None => Err(self.stop("the body ends where a value must stand")),
        }
    }

    fn object(&mut self, path: &Path) -> Result<Map<String, Value>, Stop> {
        /// As many as a request has, nearly always, with the id that it is given.
        const MEMBERS: usize = 28;
        self.open(path)?;
        let mut map = if path.depth() == 0 { Map::with_capacity(MEMBERS) } else { Map::new() };
        if self.took(b'}') {
            return Ok(map);
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.stop("a key in quotes must stand here"));
            }
            let key = self.string()?;
            self.skip_space();
            if !self.took(b':') {
                return Err(self.stop("a colon must stand here"));
            }
            self.skip_space();
            let here = path.name(&key);
            let value = self.value(&here)?;
            match map.entry(&*key) {
                Entry::Vacant(free) => _ = free.insert(value),
                Entry::Occupied(_) => self.faults.add(IssueType::Structure, &here, "given twice in one object"),
            }
            if !self.goes_on(b'}', "a comma or } must stand here")? {
                return Ok(map);
            }
        }
    }

    fn list(&mut self, path: &Path) -> Result<Vec<Value>, Stop> {
        self.open(path)?;
        let mut items = Vec::new();
        if self.took(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(&path.index(items.len()))?);
            if !self.goes_on(b']', "a comma or ] must stand here")? {
                return Ok(items);
            }
        }
    }

    /// Steps over an opening bracket, if it may be opened here.
    fn open(&mut self, path: &Path) -> Result<(), Stop> {
        if path.depth() >= self.depth {
            return Err(self.stop(format!("it is nested deeper than {} levels", self.depth)));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// After a member: steps over the comma (there is another) or the closing bracket (there is none).
    fn goes_on(&mut self, close: u8, otherwise: &'static str) -> Result<bool, Stop> {
        self.skip_space();
        if self.took(b',') {
            self.skip_space();
            Ok(true)
        } else if self.took(close) {
            Ok(false)
        } else {
            Err(self.stop(otherwise))
        }
    }

    fn string(&mut self) -> Result<Cow<'t, str>, Stop> {
        self.at += 1;
        let plain = self.plain_text();
        if self.took(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => text.push(self.escaped()?),
                Some(_) => return Err(self.stop("a control character in a string must be escaped")),
                None => return Err(self.stop("the body ends within a string")),
            }
            text.push_str(self.plain_text());
        }
    }

    /// The text up to what ends a string or interrupts it.
    fn plain_text(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        let (eights, last) = rest.as_bytes().as_chunks();
        let among_eights = eights.iter().enumerate().find_map(|(n, eight)| Some(8 * n + first_end(eight)?));
        let in_last = || last.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        let end = among_eights.or_else(|| Some(8 * eights.len() + in_last()?)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn escaped(&mut self) -> Result<char, Stop> {
        let start = self.at;
        let letter = self.text.as_bytes().get(start + 1);
        self.at = (start + 2).min(self.text.len());
        Ok(match letter {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(&plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'u') => return self.escaped_code().ok_or(Stop::here(start, "this is no Unicode character")),
            _ => return Err(Stop::here(start, "this is no escape of JSON")),
        })
    }

    /// The character of `\uXXXX`, or of two of them: beyond the first 65,536 JSON needs a pair.
    fn escaped_code(&mut self) -> Option<char> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        if !self.text[self.at..].starts_with("\\u") {
            return None;
        }
        self.at += 2;
        let second = self.four_digits()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + second)
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        // `from_str_radix` would take a sign.
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }

    fn number(&mut self) -> Result<Number, Stop> {
        let start = self.at;
        self.took(b'-');
        let grammatical = (self.took(b'0') || self.digits())
            && (!self.took(b'.') || self.digits())
            && (!(self.took(b'e') || self.took(b'E')) || {
                let _sign = self.took(b'+') || self.took(b'-');
                self.digits()
            });
        // Kept as written: serde_json's own reader, which this ends in, holds numbers as text.
        let number = grammatical.then(|| self.text[start..self.at].parse().ok()).flatten();
        number.ok_or(Stop::here(start, "this is no number of JSON"))
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at > start
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Stop> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.stop("a value must stand here"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn took(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn stop(&self, why: impl Into<Cow<'static, str>>) -> Stop {
        Stop::here(self.at, why)
    }
}

/// Where among eight bytes the first stands that ends a string or interrupts it: a quote, a backslash, a control
/// character. Most of what is sent is strings, so they are looked at as one number.
fn first_end(eight: &[u8; 8]) -> Option<usize> {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = u64::from_le_bytes([0x80; 8]);
    // The highest bit of each byte below a limit, up to the first such byte; behind that, a borrow may have set more.
    let below = |word: u64, limit: u8| word.wrapping_sub(EACH * u64::from(limit)) & !word & HIGHEST;
    let word = u64::from_le_bytes(*eight);
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    let ends = below(word, b' ') | is(b'"') | is(b'\\');
    (ends != 0).then(|| ends.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::first_end;

    #[test]
    fn the_first_of_eight_bytes_that_ends_a_string_is_found_wherever_it_stands() {
        let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        for byte in 0..=u8::MAX {
            for other in [b'a', b' ', b'!', b'#', b'[', b']', b'"', 0, 0x1f, 0x7f, 0x80, 0xff] {
                for place in 0..8 {
                    let mut eight = [b'x'; 8];
                    eight[place] = byte;
                    eight[7 - place] = other;
                    assert_eq!(first_end(&eight), eight.iter().position(&ends), "{eight:?}");
                }
            }
        }
    }
}
