//! Calls back whoever asked for it, when an order has ended. The work orders of these calls come by the hub's own queue,
//! as those of any filler; what could not be told is told again, as `hub_domain::decide` says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hub_domain::decide::CALLBACK_WORK;
use hub_domain::registry::Registry;
use hub_transport::Transport;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, redirect};
use schemas::message::WorkOrder;
use schemas::resource::{Body, Key};
use schemas::task::reason;
use tokio_util::sync::CancellationToken;
use workers::{Filler, Outcome, Progress, Shutdown};

use crate::config::Secret;

/// How long the one who is called may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Who may be called: beginnings of addresses, each with the token that shows that it is this hub who calls.
pub(crate) type Callees = BTreeMap<String, Secret>;

/// The token for an address, when that one may be called.
pub(crate) fn token_for<'c>(callees: &'c Callees, address: &str) -> Option<&'c Secret> {
    let longest = callees.iter().filter(|(beginning, _)| begins(address, beginning));
    longest.max_by_key(|(beginning, _)| beginning.len()).map(|(_, token)| token)
}

/// At a border of the path, and with no way around it: `https://a.example` is not the beginning of
/// `https://a.example.org`.
fn begins(address: &str, beginning: &str) -> bool {
    let Some(rest) = address.strip_prefix(beginning) else { return false };
    let is_border = beginning.ends_with('/') || rest.is_empty() || rest.starts_with(['/', '?']);
    is_border && !rest.contains("..") && !rest.contains(['\\', '@']) && reqwest::Url::parse(address).is_ok()
}

/// Calls until it is told to stop.
pub(crate) async fn run(
    registry: Arc<dyn Registry>,
    transport: Arc<dyn Transport>,
    callees: Callees,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    hub_telemetry::install_tls_provider();
    let client = Client::builder().timeout(CALL_TIMEOUT).redirect(redirect::Policy::none()).build()?;
    let caller = Arc::new(Caller { registry, client, callees });
    let options = workers::Options { performer: Some(PERFORMER.to_owned()), ..workers::Options::default() };
    let shutdown = Shutdown::default();
    let ends = shutdown.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        ends.drain.cancel();
    });
    workers::run(transport, caller, options, shutdown).await
}

/// In whose name the hub does this work.
pub(crate) const PERFORMER: &str = "Organization/hub";

struct Caller {
    registry: Arc<dyn Registry>,
    client: Client,
    callees: Callees,
}

#[async_trait]
impl Filler for Caller {
    fn work(&self) -> &str {
        CALLBACK_WORK
    }

    async fn fulfil(&self, order: &WorkOrder, _: &Progress) -> Outcome {
        match self.call(order).await {
            Ok(()) => Outcome::Completed { outputs: Vec::new() },
            // No way that another try might find.
            Err(No::ForGood(why)) => Outcome::Rejected { reason: said("not-called", why) },
            Err(No::ForNow(why)) => Outcome::Failed { reason: said("not-reached", why) },
        }
    }
}

enum No {
    ForGood(&'static str),
    ForNow(&'static str),
}

impl Caller {
    async fn call(&self, order: &WorkOrder) -> Result<(), No> {
        let unread = |_| No::ForNow("the registry could not be read");
        let key = Key::task(&order.task_id);
        let task = self.registry.version(&key, None).await.map_err(unread)?;
        let task: Body =
            task.and_then(|task| serde_json::from_slice(&task.body).ok()).ok_or(No::ForGood("its Task is gone"))?;
        let address = task.get("input").and_then(|input| input[0]["valueUrl"].as_str()).unwrap_or_default();
        let token = token_for(&self.callees, address).ok_or(No::ForGood("the site does not call there"))?;
        let whole = schemas::task::focus(&task).and_then(Key::of_reference).ok_or(No::ForGood("it has no focus"))?;
        let whole = self.registry.version(&whole, None).await.map_err(unread)?;
        let whole = whole.filter(|whole| !whole.body.is_empty()).ok_or(No::ForGood("the order is gone"))?;
        let request = self.client.post(address).bearer_auth(token.reveal()).body(whole.body);
        // The same for each call of one order: by it a second one is known.
        let call = order.task_id.split('.').take(2).collect::<Vec<_>>().join(".");
        let request = request.header(CONTENT_TYPE, "application/fhir+json").header("Idempotency-Key", call);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) if answer.status() == StatusCode::GONE => Err(No::ForGood("answered 410: nobody wants it")),
            Ok(_) => Err(No::ForNow("answered otherwise than with success")),
            Err(_) => Err(No::ForNow("could not be reached")),
        }
    }
}

fn said(code: &str, text: &str) -> Body {
    reason(code, text).as_object().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_as_the_site_says_is_called() {
        let callees: Callees =
            [("https://a.example".to_owned(), Secret::new("1")), ("https://a.example/x/".to_owned(), Secret::new("2"))]
                .into();
        let token = |address: &str| token_for(&callees, address).map(|token| token.reveal().to_owned());
        assert_eq!(token("https://a.example/hook").as_deref(), Some("1"));
        assert_eq!(token("https://a.example/x/y").as_deref(), Some("2"), "the longest counts");
        for other in [
            "https://a.example.org/",
            "https://a.example@b.example/",
            "https://a.example/../x",
            "http://a.example/",
            "",
        ] {
            assert_eq!(token(other), None, "{other}");
        }
    }
}
