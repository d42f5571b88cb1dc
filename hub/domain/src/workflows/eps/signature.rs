//! The digest that a prescriber signs, and the form of a signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::resource::Body;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::workflows::bundle::Message;

/// The algorithm that [`signed_info`] names: RSA with SHA-256.
pub(super) const ALGORITHM: &str = "RS256";

/// What is signed: an XML SignedInfo over the digest of the prescription, as base64.
pub(super) fn signed_info(bundle: &Body) -> String {
    let digest = STANDARD.encode(Sha256::digest(fragments(bundle)));
    STANDARD.encode(format!(
        "<SignedInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\">\
         <CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></CanonicalizationMethod>\
         <SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"></SignatureMethod>\
         <Reference><Transforms><Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></Transform>\
         </Transforms><DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></DigestMethod>\
         <DigestValue>{digest}</DigestValue></Reference></SignedInfo>"
    ))
}

/// What a prescriber puts a name to, and nothing of the envelope: the items, the patient, and who prescribes, each part
/// with its members sorted by name.
fn fragments(bundle: &Body) -> Vec<u8> {
    const SIGNED: [&str; 7] = [
        "MedicationRequest",
        "Patient",
        "PractitionerRole",
        "Practitioner",
        "Organization",
        "HealthcareService",
        "Location",
    ];
    let message = Message::of(bundle);
    let mut written = Vec::new();
    for part in SIGNED.iter().flat_map(|kind| message.all(kind)) {
        canonical(part, &mut written);
    }
    written
}

fn canonical(body: &Body, into: &mut Vec<u8>) {
    let mut members: Vec<(&String, &Value)> = body.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    into.push(b'{');
    for (n, (name, value)) in members.into_iter().enumerate() {
        if n > 0 {
            into.push(b',');
        }
        into.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
        into.push(b':');
        canonical_value(value, into);
    }
    into.push(b'}');
}

fn canonical_value(value: &Value, into: &mut Vec<u8>) {
    match value {
        Value::Object(body) => canonical(body, into),
        Value::Array(items) => {
            into.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    into.push(b',');
                }
                canonical_value(item, into);
            }
            into.push(b']');
        }
        plain => into.extend_from_slice(plain.to_string().as_bytes()),
    }
}

/// Whether this names, in base64, what is signed. A value and a key are left to whoever verifies them: published orders
/// carry the bare SignedInfo too.
pub(super) fn has_form(data: &str) -> bool {
    let compact: String = data.split_ascii_whitespace().collect();
    let text = STANDARD.decode(compact).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.is_some_and(|text| ["<SignedInfo", "<DigestValue"].iter().all(|part| text.contains(part)))
}
