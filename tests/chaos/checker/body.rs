//! What the checker reads of a stored body: LZ4 of JSON, with its length in front.

use serde::Deserialize;
use serde_json::Value;

const BODY_BYTES_MAX: usize = 64 << 20;

/// The elements that matter here, of requests, Tasks, slots and appointments.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Body {
    pub(super) status: String,
    pub(super) identifier: Vec<Identifier>,
    pub(super) owner: Reference,
    pub(super) based_on: Vec<Reference>,
    pub(super) slot: Vec<Reference>,
    pub(super) code: Concept,
    pub(super) business_status: Concept,
    pub(super) output: Vec<Output>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Identifier {
    pub(super) value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    pub(super) reference: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Concept {
    coding: Vec<Coding>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Coding {
    system: String,
    code: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Output {
    #[serde(rename = "type")]
    kind: Value,
}

impl Body {
    /// What the clients work with can be read so. The error names no value of the body.
    pub(super) fn of_work(stored: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(&unpack(stored)?).map_err(|error| format!("is no JSON at column {}", error.column()))
    }

    /// Any other resource only has a status.
    pub(super) fn of_other(stored: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(&unpack(stored)?).map_err(|_| "is no JSON".to_owned())?;
        let status = body["status"].as_str().unwrap_or_default().to_owned();
        let values = body["identifier"].as_array().into_iter().flatten().filter_map(|given| given["value"].as_str());
        let identifier = values.map(|value| Identifier { value: value.to_owned() }).collect();
        Ok(Self { status, identifier, ..Self::default() })
    }

    /// The code of its business status; empty when it has none.
    pub(super) fn business(&self) -> &str {
        self.business_status.coding.first().map_or("", |coding| &coding.code)
    }

    /// Asks the owner of another Task for something, and is no work by itself.
    pub(super) fn asks(&self) -> bool {
        let asks = |c: &Coding| {
            c.system == "http://hl7.org/fhir/CodeSystem/task-code" && ["abort", "suspend", "resume"].contains(&&*c.code)
        };
        self.code.coding.iter().any(asks)
    }

    /// A type of output that stands there twice, as JSON.
    pub(super) fn doubled_output(&self) -> Option<String> {
        let mut kinds: Vec<String> = self.output.iter().map(|output| output.kind.to_string()).collect();
        kinds.sort();
        kinds.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone())
    }
}

fn unpack(stored: &[u8]) -> Result<Vec<u8>, String> {
    let length = stored.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes) as usize);
    if length.is_none_or(|length| length > BODY_BYTES_MAX) {
        return Err("has a damaged length".to_owned());
    }
    lz4_flex::block::decompress_size_prepended(stored).map_err(|_| "does not decompress".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_and_damage_is_told() {
        let text = br#"{"status":"requested","owner":{"reference":"Organization/a"},
            "output":[{"type":{"text":"a"}},{"type":{"text":"b"}},{"type":{"text":"a"}}]}"#;
        let stored = lz4_flex::block::compress_prepend_size(text);
        let body = Body::of_work(&stored).expect("a body");
        assert_eq!((body.status.as_str(), body.owner.reference.as_str()), ("requested", "Organization/a"));
        assert_eq!(body.doubled_output().as_deref(), Some(r#"{"text":"a"}"#));
        assert!(Body::of_work(&stored[..stored.len() - 2]).is_err());
        assert!(Body::of_work(&[0xff; 9]).is_err());
    }
}
