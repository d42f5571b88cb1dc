//! A laboratory that does as the test says.

use async_trait::async_trait;
use schemas::message::WorkOrder;
use tokio::sync::{Mutex, mpsc};
use workers::{Filler, Outcome, Progress, output};

pub(crate) struct Scripted {
    /// Tells which Task was begun.
    begun: mpsc::UnboundedSender<String>,
    /// How each piece of work ends; it goes on until that is said.
    endings: Mutex<mpsc::UnboundedReceiver<Ending>>,
}

pub(crate) enum Ending {
    Complete,
    /// Says in-progress first.
    BeginAndReject,
    Reject,
    Panic,
}

/// The test's side of it.
pub(crate) struct Script {
    pub(crate) begun: mpsc::UnboundedReceiver<String>,
    pub(crate) endings: mpsc::UnboundedSender<Ending>,
}

pub(crate) fn scripted() -> (Scripted, Script) {
    let (begun, begun_heard) = mpsc::unbounded_channel();
    let (endings, endings_heard) = mpsc::unbounded_channel();
    let scripted = Scripted { begun, endings: endings_heard.into() };
    (scripted, Script { begun: begun_heard, endings })
}

#[async_trait]
impl Filler for Scripted {
    fn work(&self) -> &str {
        "laboratory"
    }

    async fn fulfil(&self, order: &WorkOrder, progress: &Progress) -> Outcome {
        self.begun.send(order.task_id.clone()).unwrap();
        match self.endings.lock().await.recv().await {
            Some(Ending::Complete) => {
                progress.in_progress(output::business_status("in-analysis", "In analysis"), Vec::new()).await;
                Outcome::Completed { outputs: vec![output::text(output::kind("note", "Note"), "done")] }
            }
            Some(Ending::BeginAndReject) => {
                progress.in_progress(output::business_status("in-analysis", "In analysis"), Vec::new()).await;
                Outcome::Rejected { reason: output::reason("no", "No") }
            }
            Some(Ending::Reject) => Outcome::Rejected { reason: output::reason("no", "No") },
            Some(Ending::Panic) => panic!("as the test asked"),
            None => std::future::pending().await,
        }
    }
}
