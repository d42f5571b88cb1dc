//! The counters, by the names that the crate's first page lists.

use crate::queue::PublishError;

pub(crate) fn published(results: &[Result<(), PublishError>]) {
    let count = |matches: fn(&Result<(), PublishError>) -> bool| results.iter().filter(|r| matches(r)).count() as u64;
    metrics::counter!("hub_transport_published_total").increment(count(|result| result.is_ok()));
    let unroutable = count(|result| matches!(result, Err(PublishError::Unroutable(_))));
    metrics::counter!("hub_transport_unroutable_total").increment(unroutable);
}

pub(crate) fn retried() {
    metrics::counter!("hub_transport_retried_total").increment(1);
}

pub(crate) fn parked() {
    metrics::counter!("hub_transport_parked_total").increment(1);
}

pub(crate) fn reconnected() {
    metrics::counter!("hub_transport_reconnects_total").increment(1);
}
