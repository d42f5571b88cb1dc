//! The way to the hub: reports become messages, and are tried until the broker confirms them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hub_transport::{BODY_LIMIT_BYTES, Message, PublishError, Routing, Transport};
use schemas::message::{CONTENT_TYPE, CloudEvent, STATUS_REPORT, StatusReport};
use schemas::time::Timestamp;
use tokio::time::{Instant, sleep};

use crate::trace::Trace;

const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LAST: Duration = Duration::from_secs(10);

pub(crate) struct Post {
    pub(crate) transport: Arc<dyn Transport>,
    /// The worker's own URI.
    pub(crate) source: String,
    /// Where the hub answers: a claim, and whoever reports on what is not its own any more.
    pub(crate) reply_address: String,
    /// How long a report is tried.
    pub(crate) patience: Duration,
}

impl Post {
    /// The report as a message. Its id is the report's, so a repeat can be told from another report everywhere.
    pub(crate) fn message(&self, report: StatusReport, trace: &Trace) -> serde_json::Result<Message> {
        let (id, task) = (report.report_id.clone(), report.task_id.clone());
        let time = now().to_string();
        let mut event = CloudEvent::new(STATUS_REPORT, id.clone(), &self.source, &task, time, report);
        event.traceparent = trace.traceparent();
        let mut message = Message::json(id, Routing::Reports, serde_json::to_vec(&event)?);
        message.content_type = CONTENT_TYPE.to_owned();
        message.reply_to = Some(self.reply_address.clone());
        message.headers.extend(event.traceparent.map(Trace::header));
        Ok(message)
    }

    /// One attempt.
    pub(crate) async fn send(&self, message: &Message) -> Result<(), PublishError> {
        let results = self.transport.publish(std::slice::from_ref(message)).await;
        results.into_iter().next().unwrap_or(Ok(()))
    }

    /// Until it is confirmed: only then has the hub it, or will have it. The same message each time, so the hub,
    /// which may have got one whose confirm was lost, knows the repeat by its id.
    pub(crate) async fn send_until_confirmed(&self, message: &Message) -> Result<(), PublishError> {
        let since = Instant::now();
        let mut pause = PAUSE_FIRST;
        loop {
            let error = match self.send(message).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if since.elapsed() >= self.patience || message.body.len() > BODY_LIMIT_BYTES {
                return Err(error);
            }
            if pause == PAUSE_FIRST {
                tracing::warn!(report.id = message.id, %error, "a report is not confirmed, and is tried again");
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
        }
    }
}

/// What this machine's clock says. Only shown to readers: order is told by versions and sequence numbers.
fn now() -> Timestamp {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::default().plus(since_1970)
}
