//! Which keys are believed, and for which algorithms.

use std::sync::Arc;

use anyhow::Context as _;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Smallest RSA key that is believed, in bits.
const RSA_SMALLEST_BITS: usize = 2048;

/// A public key of the issuer.
pub(super) struct Key {
    id: Option<String>,
    pub(super) public: DecodingKey,
    /// Only public-key algorithms, and only those that fit this key.
    pub(super) algorithms: Vec<Algorithm>,
}

/// All keys of the issuer that can be used.
pub(super) struct KeySet(Vec<Arc<Key>>);

impl KeySet {
    /// Reads a JWKS. Keys for other purposes, of other kinds, or too weak are passed over.
    pub(super) fn read(text: &[u8]) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text).context("it is not a JWKS")?;
        // One by one: a key of a kind that nobody knows yet must not spoil the others.
        let usable = |key| usable(&serde_json::from_value(key).ok()?);
        let keys: Vec<_> = set.keys.into_iter().filter_map(usable).map(Arc::new).collect();
        anyhow::ensure!(!keys.is_empty(), "it has no key that tokens could be checked with");
        Ok(Self(keys))
    }

    /// The key that a token names. A token may leave the name out where there is no choice.
    pub(super) fn find(&self, id: Option<&str>) -> Option<Arc<Key>> {
        match (id, self.0.as_slice()) {
            (None, [only]) => Some(Arc::clone(only)),
            (None, _) => None,
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)).cloned(),
        }
    }
}

fn usable(jwk: &Jwk) -> Option<Key> {
    let for_signing = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let mut algorithms = fitting(&jwk.algorithm);
    if let Some(named) = jwk.common.key_algorithm {
        algorithms.retain(|fits| Algorithm::try_from(named).is_ok_and(|named| named == *fits));
    }
    if !for_signing || algorithms.is_empty() {
        return None;
    }
    let public = DecodingKey::from_jwk(jwk).ok()?;
    Some(Key { id: jwk.common.key_id.clone(), public, algorithms })
}

/// What a key of this kind can prove. Never an HMAC: its key would be a secret that whoever reads the JWKS has too.
fn fitting(kind: &AlgorithmParameters) -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, PS256, PS384, PS512, RS256, RS384, RS512};
    match kind {
        // A digit of base64 is six bits.
        AlgorithmParameters::RSA(rsa) if rsa.n.len() * 6 >= RSA_SMALLEST_BITS => {
            vec![RS256, RS384, RS512, PS256, PS384, PS512]
        }
        AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
            EllipticCurve::P256 => vec![ES256],
            EllipticCurve::P384 => vec![ES384],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
