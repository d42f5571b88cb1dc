//! Which version of a Task is still worth a look.

use std::collections::{HashMap, VecDeque};

/// Tasks that are remembered. One that is forgotten costs a claim that the hub refuses, nothing more.
const REMEMBERED_LIMIT_TASKS: usize = 100_000;

/// For each Task the lowest version that may still be acted upon. Messages come late and twice: what is below is old.
#[derive(Default)]
pub(crate) struct Versions {
    lowest: HashMap<String, u32>,
    oldest_first: VecDeque<String>,
}

impl Versions {
    /// Whether this version is worth a look. If so, older ones are not any more.
    pub(crate) fn admits(&mut self, task: &str, version: u32) -> bool {
        let lowest = self.lowest(task);
        let admitted = version >= *lowest;
        *lowest = version.max(*lowest);
        admitted
    }

    /// All is said about this version: only a later one is news.
    pub(crate) fn settle(&mut self, task: &str, version: u32) {
        let lowest = self.lowest(task);
        *lowest = version.saturating_add(1).max(*lowest);
    }

    fn lowest(&mut self, task: &str) -> &mut u32 {
        if !self.lowest.contains_key(task) {
            self.oldest_first.push_back(task.to_owned());
            if self.oldest_first.len() > REMEMBERED_LIMIT_TASKS
                && let Some(oldest) = self.oldest_first.pop_front()
            {
                self.lowest.remove(&oldest);
            }
        }
        self.lowest.entry(task.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_is_not_admitted_and_the_same_one_is() {
        let mut versions = Versions::default();
        assert!(versions.admits("a", 3));
        assert!(versions.admits("a", 3));
        assert!(!versions.admits("a", 2));
        assert!(versions.admits("b", 1));
    }

    #[test]
    fn what_is_settled_does_not_come_again() {
        let mut versions = Versions::default();
        versions.settle("a", 4);
        assert!(!versions.admits("a", 4));
        assert!(versions.admits("a", 5));
    }

    #[test]
    fn memory_is_bounded() {
        let mut versions = Versions::default();
        for task in 0..=REMEMBERED_LIMIT_TASKS {
            versions.settle(&task.to_string(), 1);
        }
        assert_eq!(versions.lowest.len(), REMEMBERED_LIMIT_TASKS);
        assert!(versions.admits("0", 1));
    }
}
