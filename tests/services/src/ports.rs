//! Free ports.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;

use anyhow::{Context, Result};

/// Below the range from which systems take the ports of outgoing connections. Otherwise one of those could take the
/// port of a killed server before that starts again.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;
const TRIES: u16 = 200;

pub(crate) fn free_port() -> Result<u16> {
    // Each `RandomState` is keyed anew, so tests side by side do not try the same ports in the same order.
    let chance = RandomState::new();
    (0..TRIES)
        .map(|attempt| FIRST + (chance.hash_one(attempt) % u64::from(COUNT)) as u16)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no free port found")
}
