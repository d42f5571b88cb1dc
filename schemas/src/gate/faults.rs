//! The faults found so far.

use super::path::Path;
use crate::outcome::{Issue, IssueType};

/// As many as a person will read. A body of nothing but faults must not become an answer larger than itself.
const MOST: usize = 100;

#[derive(Default)]
pub(super) struct Faults {
    issues: Vec<Issue>,
    left_out: usize,
}

impl Faults {
    pub(super) fn add(&mut self, code: IssueType, path: &Path, text: impl Into<String>) {
        if self.issues.len() < MOST {
            self.issues.push(Issue::error(code, path.to_string(), text));
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.issues.is_empty()
    }

    pub(super) fn into_issues(self) -> Vec<Issue> {
        let Self { mut issues, left_out } = self;
        if left_out > 0 {
            issues.push(Issue::information(format!("{left_out} more faults were left out")));
        }
        issues
    }

    pub(super) fn verdict(self) -> Result<(), Vec<Issue>> {
        let issues = self.into_issues();
        if issues.is_empty() { Ok(()) } else { Err(issues) }
    }
}
