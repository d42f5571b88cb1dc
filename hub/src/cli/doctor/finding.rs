//! One thing that was looked at: how it is, and what to do about it.

use std::fmt::Display;

use serde_json::{Value, json};

/// From well to ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    Ok,
    /// The hub works, and somebody should know.
    Warning,
    /// The hub does not start, or does not do its work.
    Failed,
}

#[derive(Debug)]
pub(super) struct Finding {
    pub(super) health: Health,
    what: String,
    text: String,
    /// Empty when there is nothing to do.
    advice: String,
}

impl Health {
    /// For machines.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    /// For people: what failed is not to be overlooked.
    fn sign(self) -> &'static str {
        if self == Self::Failed { "FAILED" } else { self.word() }
    }
}

impl Finding {
    pub(super) fn ok(what: impl Display, text: impl Display) -> Self {
        Self { health: Health::Ok, what: what.to_string(), text: text.to_string(), advice: String::new() }
    }

    pub(super) fn warning(what: impl Display, text: impl Display, advice: impl Display) -> Self {
        Self { health: Health::Warning, advice: advice.to_string(), ..Self::ok(what, text) }
    }

    pub(super) fn failed(what: impl Display, text: impl Display, advice: impl Display) -> Self {
        Self { health: Health::Failed, ..Self::warning(what, text, advice) }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "health": self.health.word(), "what": self.what, "finding": self.text, "advice": self.advice })
    }
}

/// A line for each.
pub(super) fn lines(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.what.chars().count()).max().unwrap_or_default();
    let line = |finding: &Finding| {
        let arrow = if finding.advice.is_empty() { "" } else { "  -> " };
        let Finding { health, what, text, advice } = finding;
        format!("{:<7}  {what:<width$}  {text}{arrow}{advice}", health.sign())
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_stand_in_columns() {
        let findings = [
            Finding::ok("clock", "as here"),
            Finding::warning("parked", "2 messages", "hub parked list"),
            Finding::failed("database", "away", "start it"),
        ];
        let expected = "ok       clock     as here\n\
                        warning  parked    2 messages  -> hub parked list\n\
                        FAILED   database  away  -> start it";
        assert_eq!(lines(&findings), expected);
    }
}
