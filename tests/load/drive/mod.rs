//! Many connections that ask, and what they were answered, and when.
//!
//! The driver has a thread of its own and does nothing dear in it: it shares the machine with what it measures.

mod connection;
mod tally;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request};
use serde_json::Value;
use tokio::task::{LocalSet, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};

use crate::meter::{Cost, Reading};
use crate::orders::{Order, Orders};
pub(crate) use connection::Body;
use connection::Connection;
pub(crate) use tally::{Tally, histogram, micros, quantile};

/// After the end, for answers that are still under way.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// One request.
pub(crate) struct Call {
    /// By which its latency and its faults are told apart from others.
    pub(crate) what: &'static str,
    pub(crate) request: Request<Body>,
    /// Every other status is a fault.
    pub(crate) expects: &'static [u16],
}

impl Call {
    pub(crate) fn post(what: &'static str, path: &str, body: Bytes) -> Self {
        Self { what, request: request(Method::POST, path, "application/fhir+json", body), expects: &[201] }
    }

    /// A POST that makes nothing of its own.
    pub(crate) fn operation(what: &'static str, path: &str, body: Bytes) -> Self {
        Self { expects: &[200], ..Self::post(what, path, body) }
    }

    pub(crate) fn get(what: &'static str, path: &str) -> Self {
        Self { what, request: request(Method::GET, path, "application/fhir+json", Bytes::new()), expects: &[200] }
    }

    /// Other statuses than 200 are the answers of those who came too late.
    pub(crate) fn patch(what: &'static str, path: &str, patch: &Value, expects: &'static [u16]) -> Self {
        let body = Bytes::from(patch.to_string());
        Self { what, request: request(Method::PATCH, path, "application/json-patch+json", body), expects }
    }

    pub(crate) fn submission(order: Order) -> Self {
        Self::post("submit", &format!("/fhir/R4/{}", order.kind), order.body)
    }
}

fn request(method: Method, path: &str, content: &'static str, body: Bytes) -> Request<Body> {
    let mut request = Request::new(Body::new(body));
    *request.method_mut() = method;
    // Every path is ours, so it is one.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.headers_mut().insert(HOST, hyper::header::HeaderValue::from_static("load.invalid"));
    request.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content));
    request
}

/// Who says what is asked next. None: nothing for now.
pub(crate) trait Caller: Send + Sync {
    fn call(&self) -> Option<Call>;

    /// Heard after each answer.
    fn answered(&self, _what: &'static str, _status: u16, _headers: &HeaderMap, _took: Duration) {}
}

impl Caller for Orders {
    fn call(&self) -> Option<Call> {
        Some(Call::submission(self.next()))
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// Each connection asks as soon as it was answered.
    Closed,
    /// So many in a second, whatever the answers. Latency counts from when a request was meant to be sent, so that a
    /// stall is seen by all whom it kept waiting.
    Open(f64),
}

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drive {
    pub(crate) to: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    /// Not counted.
    pub(crate) warm: Duration,
    pub(crate) measured: Duration,
}

impl Drive {
    /// What was answered in the measured time, and what that cost every process.
    pub(crate) async fn run(self, caller: Arc<dyn Caller>) -> Result<(Tally, Cost)> {
        let begin = Instant::now() + self.warm;
        let driver = spawn_blocking(move || self.alone(caller, begin));
        sleep_until(begin).await;
        let before = Reading::take()?;
        sleep_until(begin + self.measured).await;
        let cost = Reading::take()?.since(&before);
        Ok((driver.await??, cost))
    }

    fn alone(self, caller: Arc<dyn Caller>, begin: Instant) -> Result<Tally> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, self.all(caller, begin))
    }

    async fn all(self, caller: Arc<dyn Caller>, begin: Instant) -> Result<Tally> {
        let end = begin + self.measured;
        let turns = Turns { pace: self.pace, start: Instant::now(), taken: Cell::new(0), begin, end };
        let tally = RefCell::new(Tally::new(self.measured));
        let one = || self.one(&*caller, &turns, &tally);
        let all = futures_util::future::try_join_all((0..self.connections).map(|_| one()));
        if let Ok(ended) = tokio::time::timeout_at(end + LAST_ANSWERS, all).await {
            ended?;
        }
        let mut tally = tally.into_inner();
        if let Pace::Open(rate) = self.pace {
            tally.expect((rate * self.measured.as_secs_f64()) as u64);
        }
        Ok(tally)
    }

    /// One connection, until the end.
    async fn one(&self, caller: &dyn Caller, turns: &Turns, tally: &RefCell<Tally>) -> Result<()> {
        let mut connection = Connection::open(self.to).await?;
        while let Some(at) = turns.next().await {
            let Some(call) = caller.call() else {
                sleep(Duration::from_millis(1)).await;
                continue;
            };
            let (what, expects) = (call.what, call.expects);
            let answer = connection.ask(call.request).await;
            let took = at.elapsed();
            if let Ok(answer) = &answer {
                caller.answered(what, answer.status, &answer.headers, took);
            }
            if at >= turns.begin {
                tally.borrow_mut().count(what, expects, answer.as_ref().map(|answer| answer.status).ok(), took);
            }
            if answer.is_err() {
                connection = Connection::open(self.to).await?;
            }
        }
        Ok(())
    }
}

/// Whose turn it is, and when.
struct Turns {
    pace: Pace,
    start: Instant,
    taken: Cell<u64>,
    /// From here to there it is measured.
    begin: Instant,
    end: Instant,
}

impl Turns {
    /// Waits for the next turn; none after the end.
    async fn next(&self) -> Option<Instant> {
        let at = match self.pace {
            Pace::Closed => Instant::now(),
            Pace::Open(rate) => {
                let turn = self.taken.replace(self.taken.get() + 1);
                self.start + Duration::from_secs_f64(turn as f64 / rate)
            }
        };
        if at >= self.end {
            return None;
        }
        sleep_until(at).await;
        Some(at)
    }
}
