//! The digest that a prescriber signs, and what is signed by it.

use std::fmt::Debug;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roxmltree::{Document, Node};
use schemas::resource::Body;
use schemas::time::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::workflows::bundle::Message;

/// The algorithm that [`signed_info`] names: RSA with SHA-256.
pub(super) const ALGORITHM: &str = "RS256";

/// Knows whose signatures are believed.
pub trait Verifier: Debug + Send + Sync {
    /// Whether the key of the first certificate made this signature, and who has that key is trusted at this time.
    fn verify(&self, signature: &Signature, at: Timestamp) -> Result<(), Invalid>;
}

/// A signature, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What was signed.
    pub signed: Vec<u8>,
    pub value: Vec<u8>,
    /// X.509, DER: the signer's first.
    pub certificates: Vec<Vec<u8>>,
}

/// Why a signature is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("It names no digest.")]
    NoForm,
    #[error("It has no value, or no certificate.")]
    Incomplete,
    #[error("It is of another prescription: the digest differs from that of $prepare.")]
    OtherDigest,
    #[error("Its certificate cannot be read.")]
    NoCertificate,
    #[error("Its certificate leads to none of the roots that are trusted.")]
    Untrusted,
    #[error("Its certificate, or one above it, is not valid at this time.")]
    OutOfTime,
    #[error("The key of its certificate has not made it.")]
    OtherKey,
}

/// What is to be signed, as base64.
pub(super) fn signed_info(bundle: &Body) -> String {
    STANDARD.encode(signed_info_of(&digest(bundle)))
}

/// An XML SignedInfo over a digest, in its canonical form.
fn signed_info_of(digest: &str) -> String {
    format!(
        "<SignedInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\">\
         <CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></CanonicalizationMethod>\
         <SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"></SignatureMethod>\
         <Reference><Transforms><Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></Transform>\
         </Transforms><DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></DigestMethod>\
         <DigestValue>{digest}</DigestValue></Reference></SignedInfo>"
    )
}

fn digest(bundle: &Body) -> String {
    STANDARD.encode(Sha256::digest(fragments(bundle)))
}

/// Whether the signature in this data is one of the order, and is believed.
pub(super) fn check(data: &str, bundle: &Body, verifier: &dyn Verifier, at: Timestamp) -> Result<(), Invalid> {
    let text = decoded(data).ok_or(Invalid::NoForm)?;
    let document = Document::parse(&text).map_err(|_| Invalid::NoForm)?;
    let all = |name: &'static str| document.descendants().filter(move |node| node.tag_name().name() == name);
    let bytes = |node: Node| node.text().and_then(|text| STANDARD.decode(compact(text)).ok());
    let digest = digest(bundle);
    let named = all("DigestValue").next().and_then(|node| node.text()).map(compact).ok_or(Invalid::NoForm)?;
    let value = all("SignatureValue").next().and_then(bytes).filter(|value| !value.is_empty());
    let certificates: Vec<Vec<u8>> = all("X509Certificate").filter_map(bytes).filter(|der| !der.is_empty()).collect();
    let value = value.filter(|_| !certificates.is_empty()).ok_or(Invalid::Incomplete)?;
    if named != digest {
        return Err(Invalid::OtherDigest);
    }
    // What `$prepare` gave out was to be signed, however it is written in the signature.
    let signed = signed_info_of(&digest).into_bytes();
    verifier.verify(&Signature { signed, value, certificates }, at)
}

/// Whether this names, in base64, what is signed. A value and a key are left to whoever verifies them: published orders
/// carry the bare SignedInfo too.
pub(super) fn has_form(data: &str) -> bool {
    decoded(data).is_some_and(|text| ["<SignedInfo", "<DigestValue"].iter().all(|part| text.contains(part)))
}

fn decoded(data: &str) -> Option<String> {
    STANDARD.decode(compact(data)).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

fn compact(text: &str) -> String {
    text.split_ascii_whitespace().collect()
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
