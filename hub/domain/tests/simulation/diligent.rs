//! When nobody interferes any more: everything on offer is claimed and done, what lapsed is offered again, and every
//! order comes to its end.

use schemas::ids::TaskId;
use schemas::message::Act;
use schemas::resource::{Key, Resource};
use schemas::task::owner;

use crate::laws::{Held, law};
use crate::step::{Asked, Voice};
use crate::table::{is_on_offer, is_terminal};
use crate::world::World;

/// More rounds than the longest plan has steps, each offered as often as it may be.
const ROUNDS: usize = 40;

impl World {
    pub(crate) fn comes_to_rest(&mut self) -> Held {
        self.tell(|_| "from here on everybody is diligent".into());
        self.resume_all()?;
        for _ in 0..ROUNDS {
            if self.unfinished().is_none() {
                return Ok(());
            }
            self.work()?;
            self.passes(3 * 3600, true)?;
        }
        let stuck = self.unfinished();
        law(stuck.is_none(), || {
            let states = |task: &&Resource| format!("{} {}", task.key.id, task.text("status").unwrap_or_default());
            let states: Vec<String> = self.tasks().iter().map(states).collect();
            format!("no order is stuck: {stuck:?} among {}", states.join(", "))
        })
    }

    /// The fulfilment Task of an order that has not ended.
    fn unfinished(&self) -> Option<Key> {
        let whole = |task: &&&Resource| task.key.id.parse::<TaskId>().is_ok_and(|id| id.step == 0);
        let open = |task: &&&Resource| task.text("status").is_some_and(|status| !is_terminal(status));
        self.tasks().iter().filter(whole).find(open).map(|task| task.key.clone())
    }

    fn resume_all(&mut self) -> Held {
        let held = |key: &Key| self.registry.live(key).filter(|found| found.text("status") == Some("on-hold")).cloned();
        let requests = self.registry.births.iter().filter(|key| key.kind.is_request());
        let held: Vec<Resource> = requests.filter_map(held).collect();
        held.iter().try_for_each(|request| {
            let wish = self.change(request, Voice::Local, Asked::Active);
            self.obey(&wish)
        })
    }

    /// What is on offer is claimed and completed. Whoever held a Task by a lease has died, but those who pause;
    /// other owners finish.
    fn work(&mut self) -> Held {
        let works = |task: &&Resource| !task.key.id.ends_with(".0") && task.text("status") != Some("draft");
        let tasks: Vec<Key> = self.tasks().into_iter().filter(works).map(|task| task.key.clone()).collect();
        tasks.iter().try_for_each(|key| self.work_on(key))
    }

    fn work_on(&mut self, key: &Key) -> Held {
        let Some(task) = self.registry.live(key).cloned() else { return Ok(()) };
        let status = task.text("status").unwrap_or_default();
        let died = self.is_leased(key) && status != "on-hold";
        if is_terminal(status) || died {
            return Ok(());
        }
        let who = owner(&task.body).unwrap_or("Organization/a").to_owned();
        if is_on_offer(status) {
            let wish = self.report(&task, &who, Act::Claim, 1, false);
            self.obey(&wish)?;
        }
        let last = self.numbers.get(&(key.clone(), who.clone())).copied().unwrap_or_default();
        let wish = self.report(&task, &who, Act::Completed, last + 1, false);
        self.obey(&wish)
    }
}
