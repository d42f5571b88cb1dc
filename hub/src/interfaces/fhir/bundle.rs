//! Bundles that go out: the pages of searches and histories.

use hub_domain::registry::{Method, Stored};
use schemas::resource::Key;
use serde_json::{Value, json};

use super::look::Look;

/// Writes a Bundle around bodies that are JSON text already.
pub(super) struct Writer {
    head: Value,
    links: Vec<Value>,
    /// How the `fullUrl` of each entry begins.
    full_url: String,
    entries: Vec<u8>,
}

/// How an entry of a searchset came into it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode {
    Match,
    Include,
}

impl Writer {
    pub(super) fn new(kind: &str, base: &str) -> Self {
        let head = json!({ "resourceType": "Bundle", "type": kind });
        let mut full_url = format!("\"fullUrl\":{}", Value::from(format!("{base}/")));
        // The text goes on.
        full_url.pop();
        Self { head, links: Vec::new(), full_url, entries: Vec::new() }
    }

    pub(super) fn link(&mut self, relation: &str, url: &str) {
        self.links.push(json!({ "relation": relation, "url": url }));
    }

    pub(super) fn total(&mut self, total: u64) {
        self.head["total"] = total.into();
    }

    pub(super) fn found(&mut self, stored: &Stored, mode: Mode, look: &Look) {
        let mode = match mode {
            Mode::Match => r#""search":{"mode":"match"}"#,
            Mode::Include => r#""search":{"mode":"include"}"#,
        };
        self.entry(Some(&stored.key), Some(&look.shown(&stored.body)), mode);
    }

    /// As one of a collection.
    pub(super) fn part(&mut self, stored: &Stored) {
        self.entry(Some(&stored.key), Some(&stored.body), "");
    }

    pub(super) fn outcome(&mut self, outcome: &Value) {
        self.entry(None, Some(outcome.to_string().as_bytes()), r#""search":{"mode":"outcome"}"#);
    }

    /// A history entry tells how the version came to be.
    pub(super) fn history(&mut self, stored: &Stored, look: &Look) {
        let url = match stored.method {
            Method::Create => stored.key.kind.to_string(),
            Method::Update | Method::Delete => stored.key.to_string(),
        };
        let status = match stored.method {
            Method::Create => "201 Created",
            Method::Update => "200 OK",
            Method::Delete => "204 No Content",
        };
        let request = json!({ "method": stored.method.http(), "url": url });
        let response = json!({
            "status": status,
            "etag": format!("W/\"{}\"", stored.version),
            "lastModified": stored.last_updated.to_string(),
        });
        let body = (stored.method != Method::Delete).then(|| look.shown(&stored.body));
        let rest = format!(r#""request":{request},"response":{response}"#);
        self.entry(Some(&stored.key), body.as_deref(), &rest);
    }

    /// Of what it has. A page has many: their text is put together without a tree.
    fn entry(&mut self, of: Option<&Key>, body: Option<&[u8]>, rest: &str) {
        let Self { full_url, entries, .. } = self;
        entries.push(if entries.is_empty() { b'[' } else { b',' });
        let mut before = b'{';
        let mut member = |parts: &[&[u8]]| {
            entries.push(before);
            parts.iter().for_each(|part| entries.extend_from_slice(part));
            before = b',';
        };
        if let Some(Key { kind, id }) = of {
            member(&[full_url.as_bytes(), kind.name().as_bytes(), b"/", id.as_bytes(), b"\""]);
        }
        if let Some(body) = body {
            member(&[b"\"resource\":", body]);
        }
        if !rest.is_empty() {
            member(&[rest.as_bytes()]);
        }
        entries.push(b'}');
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if !self.links.is_empty() {
            self.head["link"] = Value::Array(self.links);
        }
        let mut out = self.head.to_string().into_bytes();
        if !self.entries.is_empty() {
            out.pop();
            out.reserve(self.entries.len() + 16);
            out.extend_from_slice(b",\"entry\":");
            out.extend_from_slice(&self.entries);
            out.extend_from_slice(b"]}");
        }
        out
    }
}
