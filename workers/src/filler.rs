//! Who does the work. How to add one stands on the crate's first page.

use async_trait::async_trait;
use schemas::message::WorkOrder;
use schemas::resource::Body;

use crate::reporter::Progress;

/// Does one kind of work. It is called once for each granted Task, by several jobs at a time, and may take days.
#[async_trait]
pub trait Filler: Send + Sync {
    /// The kind of work, which names the queue: `laboratory`.
    fn work(&self) -> &str;

    /// Does what the order asks for and says how it ended. What it says on the way goes through `progress`.
    ///
    /// The Task is ours already. To decline it, answer [`Outcome::Rejected`] before any progress was told.
    async fn fulfil(&self, order: &WorkOrder, progress: &Progress) -> Outcome;
}

/// How the work ended. A reason is a CodeableConcept, an output is an entry of `Task.output`: see [`crate::output`].
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Completed {
        outputs: Vec<Body>,
    },
    /// Begun, and could not be completed.
    Failed {
        reason: Body,
    },
    /// Not begun, and will not be.
    Rejected {
        reason: Body,
    },
}
