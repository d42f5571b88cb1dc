//! Bundles that go out: the pages of searches and histories.

use hub_domain::registry::{Method, Stored};
use serde_json::{Value, json};

use super::look::Look;

/// Writes a Bundle around bodies that are JSON text already.
pub(super) struct Writer {
    head: Value,
    links: Vec<Value>,
    entries: Vec<u8>,
}

impl Writer {
    pub(super) fn new(kind: &str) -> Self {
        let head = json!({ "resourceType": "Bundle", "type": kind });
        Self { head, links: Vec::new(), entries: Vec::new() }
    }

    pub(super) fn link(&mut self, relation: &str, url: &str) {
        self.links.push(json!({ "relation": relation, "url": url }));
    }

    pub(super) fn total(&mut self, total: u64) {
        self.head["total"] = total.into();
    }

    /// By a search, as a match or with one.
    pub(super) fn found(&mut self, base: &str, stored: &Stored, mode: &str, look: &Look) {
        let body = look.shown(&stored.body);
        self.entry(&format!("{base}/{}", stored.key), Some(&body), &json!({ "search": { "mode": mode } }));
    }

    /// As one of a collection.
    pub(super) fn part(&mut self, base: &str, stored: &Stored) {
        self.entry(&format!("{base}/{}", stored.key), Some(&stored.body), &json!({}));
    }

    pub(super) fn outcome(&mut self, outcome: &Value) {
        let body = outcome.to_string().into_bytes();
        self.entry("", Some(&body), &json!({ "search": { "mode": "outcome" } }));
    }

    /// A history entry tells how the version came to be.
    pub(super) fn history(&mut self, base: &str, stored: &Stored, look: &Look) {
        let url = match stored.method {
            Method::Create => stored.key.kind.to_string(),
            Method::Update | Method::Delete => stored.key.to_string(),
        };
        let status = match stored.method {
            Method::Create => "201 Created",
            Method::Update => "200 OK",
            Method::Delete => "204 No Content",
        };
        let rest = json!({
            "request": { "method": stored.method.http(), "url": url },
            "response": {
                "status": status,
                "etag": format!("W/\"{}\"", stored.version),
                "lastModified": stored.last_updated.to_string(),
            },
        });
        let body = (stored.method != Method::Delete).then(|| look.shown(&stored.body));
        self.entry(&format!("{base}/{}", stored.key), body.as_deref(), &rest);
    }

    fn entry(&mut self, full_url: &str, body: Option<&[u8]>, rest: &Value) {
        if !self.entries.is_empty() {
            self.entries.push(b',');
        }
        self.entries.push(b'{');
        if !full_url.is_empty() {
            self.entries.extend_from_slice(format!("\"fullUrl\":{},", Value::from(full_url)).as_bytes());
        }
        if let Some(body) = body {
            self.entries.extend_from_slice(b"\"resource\":");
            self.entries.extend_from_slice(body);
            self.entries.push(b',');
        }
        // The braces of `rest` close this entry.
        let rest = rest.to_string();
        if rest == "{}" {
            self.entries.pop();
        }
        self.entries.extend_from_slice(&rest.as_bytes()[1..]);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if !self.links.is_empty() {
            self.head["link"] = Value::Array(self.links);
        }
        let mut out = self.head.to_string().into_bytes();
        if !self.entries.is_empty() {
            out.pop();
            out.extend_from_slice(b",\"entry\":[");
            out.extend_from_slice(&self.entries);
            out.extend_from_slice(b"]}");
        }
        out
    }
}
