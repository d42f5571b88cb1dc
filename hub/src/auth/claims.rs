//! What a token must say to be meant for this hub, and who its bearer is then.

use std::collections::BTreeSet;

use hub_domain::command::{Caller, Role};
use serde_json::{Map, Value};

use super::error::AuthError;
use crate::config::{Auth, is_organization};

/// Whether the token is of our issuer, for us, and valid at `now`, in seconds since 1970.
pub(super) fn check(claims: &Map<String, Value>, auth: &Auth, now: f64) -> Result<(), AuthError> {
    let skew = auth.clock_skew_s as f64;
    if claims.get("iss").and_then(Value::as_str) != Some(&auth.issuer) {
        return Err(AuthError::Invalid("another issuer made it"));
    }
    if !texts(claims.get("aud")).any(|audience| audience == auth.audience) {
        return Err(AuthError::Invalid("it is for another audience"));
    }
    let Some(expires) = instant(claims, "exp")? else { return Err(AuthError::Invalid("it says no end (exp)")) };
    if now >= expires + skew {
        return Err(AuthError::Expired);
    }
    if instant(claims, "nbf")?.is_some_and(|begins| now + skew < begins) {
        return Err(AuthError::Invalid("it is not valid yet (nbf)"));
    }
    Ok(())
}

/// Whom the token speaks for. Nobody may do nothing, so a token without a role of ours is refused here.
pub(super) fn caller(claims: &Map<String, Value>, auth: &Auth) -> Result<Caller, AuthError> {
    let organization = claims.get(&auth.organization_claim).and_then(Value::as_str);
    let Some(organization) = organization.filter(|text| is_organization(text)) else {
        return Err(AuthError::Forbidden("it names no organisation"));
    };
    let words = texts(claims.get(&auth.roles_claim)).flat_map(str::split_whitespace);
    let roles: BTreeSet<Role> = words.filter_map(role).collect();
    if roles.is_empty() {
        return Err(AuthError::Forbidden("it names no role: placer, filler or operator"));
    }
    Ok(Caller::Known { organization: organization.to_owned(), roles })
}

fn role(word: &str) -> Option<Role> {
    match word {
        "placer" => Some(Role::Placer),
        "filler" => Some(Role::Filler),
        "operator" => Some(Role::Operator),
        _ => None,
    }
}

/// The texts of a claim that is one text or a list of them.
fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let several = claim.and_then(Value::as_array).into_iter().flatten();
    claim.into_iter().chain(several).filter_map(Value::as_str)
}

/// A claim in seconds since 1970, perhaps with a fraction.
fn instant(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, AuthError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| seconds.is_finite());
    seconds.map(Some).ok_or(AuthError::Invalid("one of its times is no number"))
}
