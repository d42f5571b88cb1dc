//! Keeps the issuer's keys fresh: read at the start, again when a token names an unknown one, and now and then, so
//! that a key which the issuer withdrew is not believed for ever.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::error::AuthError;
use super::keys::{Key, KeySet};
use crate::config::KeySource;

/// Age at which keys are read again though nobody missed one, in milliseconds.
const KEYS_AGE_LIMIT_MS: u64 = 600_000;
/// Largest JWKS, in bytes.
const JWKS_LIMIT_BYTES: usize = 1 << 20;
/// How long the issuer may take to answer, in milliseconds.
const FETCH_TIMEOUT_MS: u64 = 5_000;

pub(super) struct Keyring {
    place: Place,
    /// How long after one look no other is made for an unknown key.
    look_again: Duration,
    held: Mutex<Held>,
    /// Whoever holds it looks; the others wait and find what came of it.
    turn: tokio::sync::Mutex<()>,
}

enum Place {
    File(std::path::PathBuf),
    Url { url: String, client: reqwest::Client },
}

struct Held {
    /// `None` until they could be read once.
    keys: Option<Arc<KeySet>>,
    looked: Instant,
}

impl Keyring {
    pub(super) async fn open(source: KeySource, look_again: Duration) -> anyhow::Result<Self> {
        let place = Place::new(source)?;
        let keys = match (place.read().await, &place) {
            (Ok(keys), _) => Some(Arc::new(keys)),
            (Err(error), Place::File(_)) => return Err(error),
            (Err(error), Place::Url { .. }) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the issuer's keys could not be read: nobody is let in yet"
                );
                None
            }
        };
        let held = Mutex::new(Held { keys, looked: Instant::now() });
        Ok(Self { place, look_again, held, turn: tokio::sync::Mutex::new(()) })
    }

    /// The key that a token names.
    pub(super) async fn find(&self, id: Option<&str>) -> Result<Arc<Key>, AuthError> {
        let age_limit = Duration::from_millis(KEYS_AGE_LIMIT_MS);
        self.look(age_limit).await;
        if let Some(key) = self.keys().and_then(|keys| keys.find(id)) {
            return Ok(key);
        }
        self.look(self.look_again).await;
        let keys = self.keys().ok_or(AuthError::Unavailable)?;
        keys.find(id).ok_or(AuthError::Invalid("no key of the issuer has the name that it gives"))
    }

    /// Reads the keys again if the last look is at least `pause` ago. When that fails the old ones stay.
    async fn look(&self, pause: Duration) {
        if self.since_look() < pause {
            return;
        }
        let _turn = self.turn.lock().await;
        if self.since_look() < pause {
            return;
        }
        let read = self.place.read().await;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.looked = Instant::now();
        match read {
            Ok(keys) => held.keys = Some(Arc::new(keys)),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "the issuer's keys could not be read again"),
        }
    }

    fn since_look(&self) -> Duration {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).looked.elapsed()
    }

    fn keys(&self) -> Option<Arc<KeySet>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).keys.clone()
    }
}

impl Place {
    fn new(source: KeySource) -> anyhow::Result<Self> {
        let address = match source {
            KeySource::File(path) => return Ok(Self::File(path)),
            KeySource::Url(address) => address,
        };
        hub_telemetry::install_tls_provider();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_millis(FETCH_TIMEOUT_MS))
            // The keys are where the configuration says, not where an answer points.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self::Url { url: address.reveal().to_owned(), client })
    }

    async fn read(&self) -> anyhow::Result<KeySet> {
        match self {
            Self::File(path) => {
                let text = tokio::fs::read(path).await.with_context(|| path.display().to_string())?;
                KeySet::read(&text).with_context(|| path.display().to_string())
            }
            Self::Url { url, client } => KeySet::read(&fetch(client, url).await?),
        }
    }
}

async fn fetch(client: &reqwest::Client, url: &str) -> anyhow::Result<Vec<u8>> {
    // Without the URL, which may hold a password.
    let fault = |error: reqwest::Error| error.without_url();
    let mut answer = client.get(url).send().await.map_err(fault)?.error_for_status().map_err(fault)?;
    anyhow::ensure!(answer.status().is_success(), "it answers {}", answer.status());
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(fault)? {
        anyhow::ensure!(text.len() + chunk.len() <= JWKS_LIMIT_BYTES, "it is larger than {JWKS_LIMIT_BYTES} bytes");
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}
