//! An issuer of tokens, whose keys the hub reads from a file.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const KEY: &str = include_str!("../../hub/tests/keys/issuer-ec.pem");
const KEY_ID: &str = "issuer";
const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "hub";

pub struct Issuer {
    jwks: PathBuf,
}

impl Issuer {
    /// Publishes its keys into a file of this folder.
    pub fn at(folder: &Path) -> Self {
        let mut jwk = Jwk::from_encoding_key(&private(), Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(KEY_ID.to_owned());
        let jwks = folder.join("jwks.json");
        std::fs::write(&jwks, json!({ "keys": [jwk] }).to_string()).unwrap();
        Self { jwks }
    }

    /// What a site configures to believe it.
    pub fn fields(&self) -> [(&str, &str); 3] {
        [("auth.jwks", self.jwks.to_str().unwrap()), ("auth.issuer", ISSUER), ("auth.audience", AUDIENCE)]
    }

    /// A token that is good for five minutes.
    pub fn token(&self, organization: &str, roles: &[&str]) -> String {
        self.token_that_ends(300, organization, roles)
    }

    /// A token that ends so many seconds from now.
    pub fn token_that_ends(&self, seconds: i64, organization: &str, roles: &[&str]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let end = i64::try_from(now).unwrap() + seconds;
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "exp": end, "organization": organization, "roles": roles,
        });
        self.signs(&claims)
    }

    fn signs(&self, claims: &Value) -> String {
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &private()).unwrap()
    }
}

fn private() -> EncodingKey {
    EncodingKey::from_ec_pem(KEY.as_bytes()).unwrap()
}
