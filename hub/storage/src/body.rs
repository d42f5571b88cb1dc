//! Bodies as they are stored: JSON text, compressed here so that the database only carries bytes.

use schemas::resource::{Body, Document};

/// More than any body that the hub takes in; a length above it is damage.
const BODY_BYTES_MAX: u32 = 64 << 20;

/// Nothing at all for an empty body: a deletion keeps none.
pub(crate) fn pack(text: &[u8]) -> Vec<u8> {
    if text.is_empty() { Vec::new() } else { lz4_flex::block::compress_prepend_size(text) }
}

pub(crate) fn unpack(stored: &[u8]) -> Result<Vec<u8>, String> {
    if stored.is_empty() {
        return Ok(Vec::new());
    }
    let length = stored.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes));
    if length.is_none_or(|length| length > BODY_BYTES_MAX) {
        return Err("the length of the body is damaged".into());
    }
    lz4_flex::block::decompress_size_prepended(stored).map_err(|_| "the body does not decompress".into())
}

pub(crate) fn parse(text: &[u8]) -> Result<Body, String> {
    serde_json::from_slice(text).map_err(damage)
}

/// The same for a body that perhaps nobody looks into.
pub(crate) fn read(text: &[u8]) -> Result<Document, String> {
    Document::read(text).map_err(damage)
}

/// The error's own text may quote the body.
fn damage(error: serde_json::Error) -> String {
    format!("the body is not JSON at column {}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_byte_for_byte_and_damage_is_seen() {
        let text = br#"{"resourceType":"Task","value":1.50}"#.repeat(20);
        let stored = pack(&text);
        assert!(stored.len() < text.len());
        assert_eq!(unpack(&stored).unwrap(), text);
        assert!(unpack(&stored[..stored.len() - 3]).is_err());
        assert!(unpack(&[0xff; 12]).is_err());
        assert_eq!(unpack(&pack(b"")).unwrap(), b"");
    }
}
