use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hub_domain::command::Role;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::*;
use crate::config::{Address, Flags, KeySource};

const RSA: &str = include_str!("../../tests/keys/issuer-rsa.pem");
const STRANGER: &str = include_str!("../../tests/keys/stranger-rsa.pem");
const EC: &str = include_str!("../../tests/keys/issuer-ec.pem");
const EC384: &str = include_str!("../../tests/keys/issuer-ec384.pem");

/// No pause: a look for unknown keys is never put off.
const AT_ONCE: Duration = Duration::ZERO;

fn private(pem: &str) -> EncodingKey {
    EncodingKey::from_rsa_pem(pem.as_bytes()).or_else(|_| EncodingKey::from_ec_pem(pem.as_bytes())).unwrap()
}

fn jwk(pem: &str, id: &str, algorithm: Algorithm) -> Jwk {
    let mut jwk = Jwk::from_encoding_key(&private(pem), algorithm).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    jwk
}

fn jwks(keys: &[Jwk]) -> String {
    json!({ "keys": keys }).to_string()
}

fn token(pem: &str, id: &str, algorithm: Algorithm, claims: &Value) -> String {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(algorithm) };
    format!("Bearer {}", jsonwebtoken::encode(&header, claims, &private(pem)).unwrap())
}

/// Claims that are accepted, with some changed; `null` leaves one out.
fn claims(changes: Value) -> Value {
    let now = seconds_since_epoch() as i64;
    let mut claims = json!({
        "iss": "https://id.example", "aud": ["other", "hub"], "exp": now + 300, "nbf": now - 300, "sub": "someone",
        "organization": "Organization/lab-1", "roles": ["filler"],
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn config(jwks: KeySource) -> Config {
    let mut config = Config::from_sources(&Flags::default(), []).unwrap();
    config.auth = Some(Auth {
        jwks,
        issuer: "https://id.example".to_owned(),
        audience: "hub".to_owned(),
        organization_claim: "organization".to_owned(),
        roles_claim: "roles".to_owned(),
        clock_skew_s: 60,
    });
    config
}

/// A JWKS file that is gone with the test.
struct Keys(PathBuf);

impl Keys {
    fn of(keys: &[Jwk]) -> Self {
        let file = Self(std::env::temp_dir().join(format!("hub-jwks-{}.json", uuid::Uuid::new_v4())));
        file.become_keys(keys);
        file
    }

    fn become_keys(&self, keys: &[Jwk]) {
        std::fs::write(&self.0, jwks(keys)).unwrap();
    }

    async fn authenticator(&self) -> Authenticator {
        Authenticator::open_with(&config(KeySource::File(self.0.clone())), AT_ONCE).await.unwrap()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn known(organization: &str, roles: &[Role]) -> Caller {
    Caller::Known { organization: organization.to_owned(), roles: roles.iter().copied().collect() }
}

/// What an RSA issuer's hub says to a token with these claims.
async fn asked(changes: Value) -> Result<Caller, AuthError> {
    let keys = Keys::of(&[jwk(RSA, "a", Algorithm::RS256)]);
    let token = token(RSA, "a", Algorithm::RS256, &claims(changes));
    keys.authenticator().await.authenticate(Some(&token)).await
}

#[tokio::test]
async fn without_authentication_everybody_is_local() {
    let config = Config::from_sources(&Flags::default(), []).unwrap();
    let authenticator = Authenticator::open(&config).await.unwrap();
    assert_eq!(authenticator.authenticate(None).await, Ok(Caller::Local));
}

#[tokio::test]
async fn a_good_token_is_a_caller() {
    assert_eq!(asked(json!({})).await, Ok(known("Organization/lab-1", &[Role::Filler])));
    let words = json!({ "roles": "openid placer operator", "aud": "hub", "exp": seconds_since_epoch() + 0.5 });
    assert_eq!(asked(words).await, Ok(known("Organization/lab-1", &[Role::Placer, Role::Operator])));
}

#[tokio::test]
async fn each_kind_of_key_proves_what_it_can() {
    let mut any_rsa = jwk(RSA, "rsa", Algorithm::RS256);
    any_rsa.common.key_algorithm = None;
    let set = [any_rsa, jwk(EC, "ec", Algorithm::ES256), jwk(EC384, "ec384", Algorithm::ES384)];
    let keys = Keys::of(&set);
    let authenticator = keys.authenticator().await;
    use Algorithm::{ES256, ES384, PS256, PS384, PS512, RS256, RS384, RS512};
    let rsa = [RS256, RS384, RS512, PS256, PS384, PS512].map(|algorithm| (RSA, "rsa", algorithm));
    for (pem, id, algorithm) in rsa.into_iter().chain([(EC, "ec", ES256), (EC384, "ec384", ES384)]) {
        let token = token(pem, id, algorithm, &claims(json!({})));
        assert!(authenticator.authenticate(Some(&token)).await.is_ok(), "{algorithm:?}");
    }
}

#[tokio::test]
async fn who_shows_no_token_is_asked_for_one() {
    let keys = Keys::of(&[jwk(RSA, "a", Algorithm::RS256)]);
    let authenticator = keys.authenticator().await;
    for header in [None, Some("Basic dTpw"), Some("Bearer"), Some("")] {
        assert_eq!(authenticator.authenticate(header).await, Err(AuthError::Missing), "{header:?}");
    }
    for nonsense in ["Bearer x", "bearer a.b.c", "Bearer ...."] {
        let refused = authenticator.authenticate(Some(nonsense)).await.unwrap_err();
        assert_eq!(refused, AuthError::Invalid("it is not a signed JWT"), "{nonsense}");
    }
}

#[tokio::test]
async fn a_strangers_signature_is_refused() {
    let keys = Keys::of(&[jwk(RSA, "a", Algorithm::RS256)]);
    let token = token(STRANGER, "a", Algorithm::RS256, &claims(json!({})));
    let refused = keys.authenticator().await.authenticate(Some(&token)).await;
    assert_eq!(refused, Err(AuthError::Invalid("its signature is not the issuer's")));
}

#[tokio::test]
async fn a_changed_token_is_refused() {
    let keys = Keys::of(&[jwk(RSA, "a", Algorithm::RS256)]);
    let lab_1 = token(RSA, "a", Algorithm::RS256, &claims(json!({})));
    let lab_2 = token(RSA, "a", Algorithm::RS256, &claims(json!({ "organization": "Organization/lab-2" })));
    let (signed, _) = lab_2.rsplit_once('.').unwrap();
    let (_, signature) = lab_1.rsplit_once('.').unwrap();
    let refused = keys.authenticator().await.authenticate(Some(&format!("{signed}.{signature}"))).await;
    assert_eq!(refused, Err(AuthError::Invalid("its signature is not the issuer's")));
}

#[tokio::test]
async fn the_public_key_is_no_secret_to_sign_with() {
    let published = jwk(RSA, "a", Algorithm::RS256);
    let keys = Keys::of(std::slice::from_ref(&published));
    let authenticator = keys.authenticator().await;
    let header = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
    for secret in [RSA.to_owned(), serde_json::to_string(&published).unwrap()] {
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = format!("Bearer {}", jsonwebtoken::encode(&header, &claims(json!({})), &key).unwrap());
        let refused = authenticator.authenticate(Some(&token)).await;
        assert_eq!(refused, Err(AuthError::Invalid("its algorithm is not one of its key")));
    }
}

#[tokio::test]
async fn an_algorithm_that_the_key_does_not_name_is_refused() {
    let keys = Keys::of(&[jwk(RSA, "a", Algorithm::RS256)]);
    let token = token(RSA, "a", Algorithm::RS512, &claims(json!({})));
    let refused = keys.authenticator().await.authenticate(Some(&token)).await;
    assert_eq!(refused, Err(AuthError::Invalid("its algorithm is not one of its key")));
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    use base64::Engine as _;
    let encode = |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("Bearer {}.{}.", encode(json!({ "alg": "none", "kid": "a" })), encode(claims(json!({}))));
    let keys = Keys::of(&[jwk(RSA, "a", Algorithm::RS256)]);
    let refused = keys.authenticator().await.authenticate(Some(&unsigned)).await;
    assert_eq!(refused, Err(AuthError::Invalid("it is not a signed JWT")));
}

#[tokio::test]
async fn a_token_has_its_time() {
    let now = seconds_since_epoch() as i64;
    assert_eq!(asked(json!({ "exp": now - 61 })).await, Err(AuthError::Expired));
    assert!(asked(json!({ "exp": now - 30 })).await.is_ok(), "within the skew");
    assert_eq!(asked(json!({ "nbf": now + 90 })).await, Err(AuthError::Invalid("it is not valid yet (nbf)")));
    assert!(asked(json!({ "nbf": now + 30 })).await.is_ok(), "within the skew");
    assert_eq!(asked(json!({ "exp": null })).await, Err(AuthError::Invalid("it says no end (exp)")));
    assert_eq!(asked(json!({ "exp": "never" })).await, Err(AuthError::Invalid("one of its times is no number")));
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused() {
    for audience in [json!("other"), json!(["other"]), json!([]), json!(null), json!(7)] {
        let refused = asked(json!({ "aud": audience })).await;
        assert_eq!(refused, Err(AuthError::Invalid("it is for another audience")));
    }
    for issuer in [json!("https://id.example/"), json!(null)] {
        assert_eq!(asked(json!({ "iss": issuer })).await, Err(AuthError::Invalid("another issuer made it")));
    }
}

#[tokio::test]
async fn a_token_without_organisation_or_role_entitles_to_nothing() {
    for organization in [json!(null), json!("lab-1"), json!("Organization/"), json!("Organization/a/b"), json!(["x"])] {
        let refused = asked(json!({ "organization": organization })).await;
        assert_eq!(refused, Err(AuthError::Forbidden("it names no organisation")));
    }
    for roles in [json!(null), json!([]), json!(["admin"]), json!("openid")] {
        assert!(matches!(asked(json!({ "roles": roles })).await, Err(AuthError::Forbidden(_))));
    }
}

#[tokio::test]
async fn keys_that_change_are_read_again() {
    let keys = Keys::of(&[jwk(RSA, "a", Algorithm::RS256)]);
    let authenticator = keys.authenticator().await;
    let new = token(EC, "b", Algorithm::ES256, &claims(json!({})));
    let unknown = AuthError::Invalid("no key of the issuer has the name that it gives");
    assert_eq!(authenticator.authenticate(Some(&new)).await, Err(unknown));
    keys.become_keys(&[jwk(EC, "b", Algorithm::ES256)]);
    assert!(authenticator.authenticate(Some(&new)).await.is_ok());
    // The look that found the new key has lost the old one.
    let old = token(RSA, "a", Algorithm::RS256, &claims(json!({})));
    assert_eq!(authenticator.authenticate(Some(&old)).await, Err(unknown));
    // A file that is broken for a moment changes nothing.
    std::fs::write(&keys.0, "{").unwrap();
    assert_eq!(authenticator.authenticate(Some(&old)).await, Err(unknown));
    assert!(authenticator.authenticate(Some(&new)).await.is_ok());
}

#[tokio::test]
async fn a_file_without_usable_keys_stops_the_start() {
    let mut for_encryption = jwk(RSA, "a", Algorithm::RS256);
    for_encryption.common.public_key_use = Some(PublicKeyUse::Encryption);
    let keys = Keys::of(&[for_encryption]);
    let source = KeySource::File(keys.0.clone());
    let error = Authenticator::open(&config(source)).await.err().unwrap();
    assert!(format!("{error:#}").contains("auth.jwks") && format!("{error:#}").contains("no key"), "{error:#}");
    let nowhere = Authenticator::open(&config(KeySource::File("/nowhere.json".into()))).await.err().unwrap();
    assert!(format!("{nowhere:#}").contains("/nowhere.json"), "{nowhere:#}");
}

/// An issuer that serves its keys, but answers 503 as long as it has none. Counts how often it was asked.
struct Issuer {
    keys: Arc<std::sync::Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
    url: String,
}

impl Issuer {
    async fn start() -> Self {
        let keys = Arc::new(std::sync::Mutex::new(None::<String>));
        let asked = Arc::new(AtomicUsize::new(0));
        let (served, counted) = (Arc::clone(&keys), Arc::clone(&asked));
        let answer = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let keys = served.lock().unwrap().clone();
            async move { keys.ok_or(axum::http::StatusCode::SERVICE_UNAVAILABLE) }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/jwks", axum::routing::get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { keys, asked, url }
    }

    async fn authenticator(&self, look_again: Duration) -> Authenticator {
        let source = KeySource::Url(Address::new(&self.url));
        Authenticator::open_with(&config(source), look_again).await.unwrap()
    }

    fn publish(&self, keys: &[Jwk]) {
        *self.keys.lock().unwrap() = Some(jwks(keys));
    }
}

#[tokio::test]
async fn keys_are_fetched_from_the_issuer() {
    let issuer = Issuer::start().await;
    issuer.publish(&[jwk(RSA, "a", Algorithm::RS256)]);
    let authenticator = issuer.authenticator(Duration::from_secs(3600)).await;
    let good = token(RSA, "a", Algorithm::RS256, &claims(json!({})));
    let unknown = token(EC, "b", Algorithm::ES256, &claims(json!({})));
    for _ in 0..3 {
        assert!(authenticator.authenticate(Some(&good)).await.is_ok());
        assert!(authenticator.authenticate(Some(&unknown)).await.is_err());
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1, "within the pause nobody makes us ask again");
}

#[tokio::test]
async fn many_strangers_make_one_look() {
    let issuer = Issuer::start().await;
    issuer.publish(&[jwk(RSA, "a", Algorithm::RS256)]);
    let authenticator = issuer.authenticator(Duration::from_millis(500)).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let tokens = (0..20).map(|n| token(EC, &format!("made-up-{n}"), Algorithm::ES256, &claims(json!({}))));
    let tokens: Vec<_> = tokens.collect();
    futures_util::future::join_all(tokens.iter().map(|token| authenticator.authenticate(Some(token)))).await;
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2, "one at the start, one for all of them");
}

#[tokio::test]
async fn an_issuer_that_is_away_is_no_fault_of_the_caller() {
    let issuer = Issuer::start().await;
    let authenticator = issuer.authenticator(AT_ONCE).await;
    let good = token(RSA, "a", Algorithm::RS256, &claims(json!({})));
    assert_eq!(authenticator.authenticate(Some(&good)).await, Err(AuthError::Unavailable));
    issuer.publish(&[jwk(RSA, "a", Algorithm::RS256)]);
    assert!(authenticator.authenticate(Some(&good)).await.is_ok());
}

#[test]
fn a_refusal_tells_what_to_do_and_nothing_of_the_token() {
    use schemas::outcome::IssueType;
    assert_eq!(AuthError::Missing.issue_type(), IssueType::Login);
    assert_eq!(AuthError::Expired.issue_type(), IssueType::Expired);
    assert_eq!(AuthError::Missing.challenge().as_deref(), Some(r#"Bearer realm="fhir-workflow-hub""#));
    let expired = AuthError::Expired.challenge().unwrap();
    assert!(expired.contains(r#"error="invalid_token", error_description="the token has expired""#), "{expired}");
    assert!(AuthError::Forbidden("x").challenge().unwrap().contains("insufficient_scope"));
    assert_eq!(AuthError::Unavailable.challenge(), None);
}
