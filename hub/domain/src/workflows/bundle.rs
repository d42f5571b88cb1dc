//! A FHIR message: a Bundle whose first entry is a MessageHeader.

use schemas::gate;
use schemas::resource::{Body, list, text_at};
use serde_json::Value;

/// The message as its parts, each with its `fullUrl`.
pub struct Message<'a> {
    pub bundle: &'a Body,
    entries: Vec<(&'a str, &'a Body)>,
}

impl<'a> Message<'a> {
    pub fn of(bundle: &'a Body) -> Self {
        let entry = |entry: &'a Value| {
            let url = entry.get("fullUrl").and_then(Value::as_str).unwrap_or_default();
            Some((url, entry.get("resource")?.as_object()?))
        };
        Self { bundle, entries: list(bundle, "entry").filter_map(entry).collect() }
    }

    /// All parts of a type, in their order.
    pub fn all(&self, kind: &str) -> Vec<&'a Body> {
        let of_kind = |(_, body): &&(&str, &Body)| text_at(body, &["resourceType"]) == Some(kind);
        self.entries.iter().filter(of_kind).map(|(_, body)| *body).collect()
    }

    pub fn one(&self, kind: &str) -> Option<&'a Body> {
        self.all(kind).into_iter().next()
    }

    pub fn header(&self) -> Option<&'a Body> {
        self.one("MessageHeader")
    }

    /// The message's own id.
    pub fn id(&self) -> Option<&'a str> {
        text_at(self.bundle, &["identifier", "value"])
    }

    /// What it is known by when it comes again, and where that stands: its own id; without one, FHIR's ids of what carries
    /// it and of its header. Whoever sends a message once more keeps both, and a new Bundle is a new message.
    pub fn known_by(&self) -> Option<(&'static str, &'a str)> {
        let ids = [
            ("Bundle.identifier", self.id()),
            ("Bundle.id", text_at(self.bundle, &["id"])),
            ("MessageHeader.id", self.header().and_then(|header| text_at(header, &["id"]))),
        ];
        ids.into_iter().find_map(|(place, id)| Some((place, id?)))
    }

    /// The part that a reference leads to.
    pub fn follow(&self, reference: Option<&Value>) -> Option<&'a Body> {
        let url = reference?.get("reference")?.as_str()?;
        self.entries.iter().find(|(full_url, _)| *full_url == url).map(|(_, body)| *body)
    }

    /// The body by itself: what it refers to within the message, it then refers to by identifier.
    pub fn cut_out(&self, body: &Body) -> Body {
        let mut body = body.clone();
        gate::references_mut(&mut body, &mut |_, reference| {
            let url = reference.get("reference").and_then(Value::as_str);
            let Some((_, target)) = url.and_then(|url| self.entries.iter().find(|(full, _)| *full == url)) else {
                return;
            };
            reference.shift_remove("reference");
            if let Some(kind) = target.get("resourceType") {
                reference.insert("type".into(), kind.clone());
            }
            if let Some(identifier) = list(target, "identifier").next() {
                reference.insert("identifier".into(), identifier.clone());
            }
        });
        body
    }
}

/// The value of an identifier of a system.
pub fn identifier<'a>(body: &'a Body, system: &str) -> Option<&'a str> {
    list(body, "identifier").find(|identifier| identifier["system"] == system).and_then(|found| found["value"].as_str())
}

/// The extension of a url.
pub fn extension<'a>(body: &'a Body, url: &str) -> Option<&'a Value> {
    list(body, "extension").find(|extension| extension["url"] == url)
}

/// The extension of a url within an extension.
pub fn inner<'a>(extension: &'a Value, url: &str) -> Option<&'a Value> {
    extension["extension"].as_array()?.iter().find(|extension| extension["url"] == url)
}

/// The code of a system in a CodeableConcept; of any system when it is empty.
pub fn code<'a>(concept: &'a Value, system: &str) -> Option<&'a str> {
    let mut codings = concept["coding"].as_array()?.iter();
    codings.find(|coding| system.is_empty() || coding["system"] == system)?["code"].as_str()
}

/// A value at a dotted path of members.
pub fn at<'a>(body: &'a Body, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let value = body.get(first)?;
    if rest.is_empty() { Some(value) } else { rest.split('.').try_fold(value, |value, name| value.get(name)) }
}
