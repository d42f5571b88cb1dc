//! The timer that follows a record: one for each order, for what time does to it next.

use schemas::time::Timestamp;
use uuid::Uuid;

use crate::decide::draft::Draft;
use crate::decision::{Timer, TimerId};

pub(super) fn set_wake(draft: &mut Draft, root: Uuid, due: Option<Timestamp>) {
    let id = TimerId { root, name: "wake".into() };
    match due {
        Some(due) => draft.set_timer(Timer { id, due }),
        None => draft.drop_timer(id),
    }
}

/// The same where the record remembers when it `wakes`: most changes leave that as it is.
pub(super) fn move_wake(draft: &mut Draft, root: Uuid, due: Option<Timestamp>, wakes: &mut Option<Timestamp>) {
    if due != *wakes {
        set_wake(draft, root, due);
        *wakes = due;
    }
}
