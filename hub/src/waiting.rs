//! What waits for a lane, and which lane takes it.
//!
//! All lanes take from one line. A lane that finds no other at work begins with whatever there is: under little load a
//! batch is one command, and nobody waits for company. While one is at work, a further one begins only when a batch that
//! is worth it has gathered, or when somebody comes while the one takes long: each batch costs a good deal by
//! itself, and many small ones use up the cores that the orders need.
//!
//! What belongs to one order stays in its order: while a lane has some of it, the rest waits behind that.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

/// So many begin a batch of their own while another lane is at work.
const WORTH_A_LANE: usize = 16;
/// A batch that takes longer than this is no reason to wait: it may be a Bundle of hundreds. No clock looks for that; who
/// comes next does.
const PATIENCE: Duration = Duration::from_millis(50);

pub(crate) struct Waiting<T> {
    line: Mutex<Line<T>>,
    room: Semaphore,
    /// Told whenever a lane may begin, and when nothing comes any more.
    begin: Notify,
}

/// A lane at work. As long as this is there, no other takes what belongs to its orders.
pub(crate) struct Turn<'w, T> {
    waiting: &'w Waiting<T>,
    roots: HashSet<Uuid>,
}

struct Line<T> {
    lanes: usize,
    one_writer: bool,
    at_work: usize,
    /// When the last of these began.
    began: Instant,
    patience: Duration,
    /// What a lane may take, in the order in which it came.
    ready: VecDeque<(Uuid, T)>,
    /// The orders that lanes have, and what waits behind each.
    held: HashMap<Uuid, Vec<T>>,
    is_closed: bool,
}

impl<T> Waiting<T> {
    /// For so many lanes, which may all commit at once or one at a time, with room for so many that wait.
    pub(crate) fn new(lanes: usize, one_writer: bool, limit: usize) -> Self {
        let line = Line {
            lanes,
            one_writer,
            at_work: 0,
            began: Instant::now(),
            patience: PATIENCE,
            ready: VecDeque::new(),
            held: HashMap::new(),
            is_closed: false,
        };
        Self { line: Mutex::new(line), room: Semaphore::new(limit), begin: Notify::new() }
    }

    /// Waits for room.
    pub(crate) async fn put(&self, root: Uuid, item: T) {
        // It is never closed.
        if let Ok(place) = self.room.acquire().await {
            place.forget();
        }
        self.push(root, item);
    }

    /// Whether there was room.
    pub(crate) fn try_put(&self, root: Uuid, item: T) -> bool {
        let Ok(place) = self.room.try_acquire() else { return false };
        place.forget();
        self.push(root, item);
        true
    }

    fn push(&self, root: Uuid, item: T) {
        let mut line = self.line();
        line.push(root, item);
        if line.may_begin() {
            self.begin.notify_one();
        }
    }

    /// How many a lane could take now.
    pub(crate) fn len(&self) -> usize {
        self.line().ready.len()
    }

    /// Nothing comes any more: what is there is taken, and then the lanes end.
    pub(crate) fn close(&self) {
        self.line().is_closed = true;
        self.begin.notify_waiters();
    }

    /// The next batch for a lane, of at most so many; none at the end.
    pub(crate) async fn take(&self, most: usize) -> Option<(Turn<'_, T>, Vec<T>)> {
        loop {
            let begin = self.begin.notified();
            {
                let mut line = self.line();
                if line.may_begin() {
                    (line.at_work, line.began) = (line.at_work + 1, Instant::now());
                    let mut turn = Turn { waiting: self, roots: HashSet::new() };
                    let items = self.hand_out(line, &mut turn.roots, most);
                    return Some((turn, items));
                }
                if line.is_closed && line.ready.is_empty() {
                    return None;
                }
            }
            begin.await;
        }
    }

    fn hand_out(&self, mut line: MutexGuard<'_, Line<T>>, roots: &mut HashSet<Uuid>, most: usize) -> Vec<T> {
        let items = line.take(roots, most);
        self.room.add_permits(items.len());
        // What it leaves may be enough for another.
        if line.may_begin() {
            self.begin.notify_one();
        }
        items
    }

    /// Nobody breaks while it has this.
    fn line(&self) -> MutexGuard<'_, Line<T>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Turn<'_, T> {
    /// Keeps these of its orders, and takes at most so many more.
    pub(crate) fn go_on(&mut self, kept: HashSet<Uuid>, most: usize) -> Vec<T> {
        let mut line = self.waiting.line();
        self.roots.difference(&kept).for_each(|root| line.give_back(*root));
        self.roots = kept;
        self.waiting.hand_out(line, &mut self.roots, most)
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let mut line = self.waiting.line();
        self.roots.iter().for_each(|root| line.give_back(*root));
        line.at_work -= 1;
        // The lane looks for more itself; the others may be at the end.
        if line.is_closed && line.ready.is_empty() {
            self.waiting.begin.notify_waiters();
        }
    }
}

impl<T> Line<T> {
    fn push(&mut self, root: Uuid, item: T) {
        match self.held.get_mut(&root) {
            Some(behind) => behind.push(item),
            None => self.ready.push_back((root, item)),
        }
    }

    fn may_begin(&self) -> bool {
        let is_worth_it = || self.ready.len() >= self.worth_a_lane() || self.began.elapsed() >= self.patience;
        self.at_work < self.lanes && !self.ready.is_empty() && (self.at_work == 0 || is_worth_it())
    }

    /// Where one writes at a time, whoever begins with fewer than are under way comes to its turn no sooner, and divides those
    /// who wait for an answer among smaller batches.
    fn worth_a_lane(&self) -> usize {
        if self.one_writer { WORTH_A_LANE.max(self.held.len()) } else { WORTH_A_LANE }
    }

    fn take(&mut self, roots: &mut HashSet<Uuid>, most: usize) -> Vec<T> {
        let mut items = Vec::with_capacity(most.min(self.ready.len()));
        for (root, item) in self.ready.drain(..most.min(self.ready.len())) {
            self.held.entry(root).or_default();
            roots.insert(root);
            items.push(item);
        }
        if self.ready.iter().any(|(root, _)| self.held.contains_key(root)) {
            for (root, item) in std::mem::take(&mut self.ready) {
                self.push(root, item);
            }
        }
        items
    }

    fn give_back(&mut self, root: Uuid) {
        let behind = self.held.remove(&root).unwrap_or_default();
        self.ready.extend(behind.into_iter().map(|item| (root, item)));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn taken<'w>(waiting: &'w Waiting<u32>, most: usize) -> Option<(Turn<'w, u32>, Vec<u32>)> {
        waiting.take(most).now_or_never().flatten()
    }

    /// In which nothing takes long.
    fn patient(lanes: usize, limit: usize) -> Waiting<u32> {
        let waiting = Waiting::new(lanes, false, limit);
        waiting.line().patience = Duration::MAX;
        waiting
    }

    /// Each of an order of its own.
    fn fill(waiting: &Waiting<u32>, items: std::ops::Range<u32>) {
        for item in items {
            assert!(waiting.try_put(Uuid::from_u128(item.into()), item));
        }
    }

    #[test]
    fn the_first_lane_begins_at_once_and_a_further_one_when_it_is_worth_it() {
        let waiting = patient(2, 100);
        fill(&waiting, 0..1);
        let (first, items) = taken(&waiting, 10).unwrap();
        assert_eq!(items, [0]);
        let enough = WORTH_A_LANE as u32;
        fill(&waiting, 1..enough);
        assert!(taken(&waiting, 20).is_none(), "one too few");
        fill(&waiting, enough..enough + 1);
        let (_second, items) = taken(&waiting, 20).unwrap();
        assert_eq!(items.len(), WORTH_A_LANE);
        fill(&waiting, 100..100 + enough);
        assert!(taken(&waiting, 20).is_none(), "both are at work");
        drop(first);
        assert_eq!(taken(&waiting, 10).unwrap().1.len(), 10, "no more than were asked for");
    }

    #[test]
    fn where_one_writes_at_a_time_a_further_lane_begins_with_as_many() {
        let waiting = patient(2, 100);
        waiting.line().one_writer = true;
        fill(&waiting, 0..40);
        let (_first, _) = taken(&waiting, 100).unwrap();
        fill(&waiting, 40..79);
        assert!(taken(&waiting, 100).is_none(), "one too few");
        fill(&waiting, 79..80);
        assert_eq!(taken(&waiting, 100).unwrap().1.len(), 40);
    }

    #[test]
    fn a_further_lane_begins_when_the_other_takes_long() {
        let waiting = patient(2, 100);
        fill(&waiting, 0..1);
        let (_first, _) = taken(&waiting, 10).unwrap();
        fill(&waiting, 1..2);
        assert!(taken(&waiting, 10).is_none());
        waiting.line().patience = Duration::ZERO;
        assert_eq!(taken(&waiting, 10).unwrap().1, [1]);
    }

    #[test]
    fn what_belongs_to_an_order_waits_behind_it() {
        let waiting = patient(2, 100);
        let order = Uuid::from_u128(1000);
        for item in 0..3 {
            assert!(waiting.try_put(order, item));
        }
        let (first, items) = taken(&waiting, 2).unwrap();
        assert_eq!(items, [0, 1]);
        let others: Vec<u32> = (10..10 + WORTH_A_LANE as u32).collect();
        others.iter().for_each(|other| fill(&waiting, *other..other + 1));
        assert!(waiting.try_put(order, 3));
        let (second, items) = taken(&waiting, 100).unwrap();
        assert_eq!(items, others);
        drop(second);
        assert!(taken(&waiting, 100).is_none());
        drop(first);
        assert_eq!(taken(&waiting, 100).unwrap().1, [2, 3], "in the order in which they came");
    }

    #[test]
    fn who_goes_on_keeps_some_orders_and_gives_back_the_others() {
        let waiting = Waiting::new(1, false, 100);
        fill(&waiting, 0..2);
        let (mut turn, _) = taken(&waiting, 10).unwrap();
        fill(&waiting, 0..3);
        assert_eq!(turn.go_on([Uuid::from_u128(0)].into(), 10), [2, 1]);
        drop(turn);
        assert_eq!(taken(&waiting, 10).unwrap().1, [0]);
    }

    #[tokio::test]
    async fn at_the_end_what_is_there_is_taken_and_all_lanes_end() {
        let waiting = Waiting::new(2, false, 2);
        let order = Uuid::from_u128(1000);
        assert!(waiting.try_put(order, 0));
        let (first, _) = waiting.take(10).await.unwrap();
        assert!(waiting.try_put(order, 1) && waiting.try_put(order, 2), "there is room for two that wait");
        assert!(!waiting.try_put(order, 3));
        let mut room = Box::pin(waiting.put(order, 3));
        assert!(room.as_mut().now_or_never().is_none());
        waiting.close();
        drop(first);
        let (second, items) = waiting.take(10).await.unwrap();
        assert_eq!(items, [1, 2]);
        room.await;
        let other = waiting.take(10);
        drop(second);
        let (last, items) = other.await.unwrap();
        assert_eq!(items, [3]);
        let other = waiting.take(10);
        drop(last);
        assert!(other.await.is_none());
    }
}
