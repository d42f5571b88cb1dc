//! Who is calling: a bearer token becomes a [`Caller`], or an [`AuthError`] that says why not.
//!
//! The token decides nothing about how it is checked. Its header only names a key; the key says which algorithms it
//! is good for, so neither `none` nor a public key taken for a secret (`HS256`) gets anywhere.
//!
//! `keys` says which keys are believed, `keyring` keeps them fresh, `claims` says what a token must say.

mod claims;
mod error;
mod keyring;
mod keys;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use hub_domain::command::Caller;
use jsonwebtoken::{Algorithm, Validation};
use serde_json::{Map, Value};

pub use self::error::AuthError;
use self::keyring::Keyring;
use self::keys::Key;
use crate::config::{Auth, Config};

/// How long after one look for unknown keys no other is made, in milliseconds: strangers can make up key ids.
const LOOK_AGAIN_MS: u64 = 10_000;

/// Believes callers, or does not.
pub struct Authenticator {
    /// `None`: no authentication is configured.
    checked: Option<Checked>,
}

struct Checked {
    auth: Auth,
    keyring: Keyring,
}

impl Authenticator {
    /// Reads the issuer's keys. A file that cannot be used is an error; an issuer that is away is not, since it will
    /// come back: until then callers are told so.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        Self::open_with(config, Duration::from_millis(LOOK_AGAIN_MS)).await
    }

    async fn open_with(config: &Config, look_again: Duration) -> anyhow::Result<Self> {
        let Some(auth) = config.auth.clone() else { return Ok(Self { checked: None }) };
        let keyring = Keyring::open(auth.jwks.clone(), look_again).await.context("auth.jwks")?;
        Ok(Self { checked: Some(Checked { auth, keyring }) })
    }

    /// Who sent this `Authorization` header.
    pub async fn authenticate(&self, authorization: Option<&str>) -> Result<Caller, AuthError> {
        let Some(Checked { auth, keyring }) = &self.checked else { return Ok(Caller::Local) };
        let token = bearer(authorization.ok_or(AuthError::Missing)?)?;
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Invalid("it is not a signed JWT"))?;
        if header.crit.is_some() {
            return Err(AuthError::Invalid("its header demands extensions"));
        }
        let key = keyring.find(header.kid.as_deref()).await?;
        let claims = verified(token, &key, header.alg)?;
        claims::check(&claims, auth, seconds_since_epoch())?;
        claims::caller(&claims, auth)
    }
}

fn bearer(authorization: &str) -> Result<&str, AuthError> {
    let (scheme, token) = authorization.trim().split_once(' ').ok_or(AuthError::Missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(AuthError::Missing) }
}

/// The claims, once the signature is proven. What they say is not looked at here: `jsonwebtoken` cannot read numbers
/// where `serde_json` keeps their digits (`arbitrary_precision`), and would miss every `exp`.
fn verified(token: &str, key: &Key, algorithm: Algorithm) -> Result<Map<String, Value>, AuthError> {
    if !key.algorithms.contains(&algorithm) {
        return Err(AuthError::Invalid("its algorithm is not one of its key"));
    }
    let mut signature_only = Validation::new(algorithm);
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    let decoded = jsonwebtoken::decode(token, &key.public, &signature_only);
    decoded.map(|data| data.claims).map_err(|_| AuthError::Invalid("its signature is not the issuer's"))
}

/// The real clock, also in a rehearsal: the issuer does not rehearse.
fn seconds_since_epoch() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
