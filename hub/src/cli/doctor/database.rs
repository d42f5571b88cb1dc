//! The database: there or not, its tables, its clock, and what its rows say of how the hub is doing.

use std::path::Path;
use std::time::Duration;

use hub_domain::registry::{Figures, Trouble};
use hub_storage::{Inspection, Schema};
use schemas::time::Timestamp;

use super::finding::Finding;
use crate::config::Config;
use crate::{app, clock};

/// What is committed leaves within seconds.
const OUTBOX_AGE_LIMIT: Duration = Duration::from_secs(60);
/// A difference of clocks that nobody should have.
const CLOCK_LIMIT: Duration = Duration::from_secs(5);
/// With less room on its disk a database does not live long.
const DISK_LIMIT_BYTES: u64 = 1 << 30;

/// What there is to say, and the figures for those who look on.
pub(super) async fn look(config: &Config) -> (Vec<Finding>, Option<Figures>) {
    let url = config.database.reveal();
    let asked = clock::now();
    let inspection = hub_storage::inspect(url, &app::storage_options(config)).await;
    let disk = hub_storage::file(url).and_then(|path| disk(&path));
    match inspection {
        Ok(Some(inspection)) => {
            let mut findings = vec![Finding::ok("database", format!("{} at {}", inspection.version, config.database))];
            findings.push(schema(&inspection.schema));
            findings.push(clocks(&inspection, asked, clock::now()));
            findings.extend(disk);
            findings.extend(inspection.figures.iter().flat_map(|figures| work(config, figures)));
            (findings, inspection.figures)
        }
        Ok(None) => (vec![nothing_yet(config)].into_iter().chain(disk).collect(), None),
        Err(trouble) => (vec![down(config, &trouble)].into_iter().chain(disk).collect(), None),
    }
}

fn nothing_yet(config: &Config) -> Finding {
    match hub_storage::file(config.database.reveal()) {
        Some(path) => {
            Finding::warning("database", format!("there is no file {}", path.display()), "hub serve makes it")
        }
        None => Finding::ok("database", "in the memory of the hub: it ends with it, and cannot be looked at from here"),
    }
}

fn down(config: &Config, trouble: &Trouble) -> Finding {
    let advice = match trouble {
        Trouble::Unavailable(_) => {
            "see that it runs, and that database names its address, its user and the password; 503 until then"
        }
        _ => "see that database names a database that exists, and which its user may read",
    };
    Finding::failed("database", format!("{}: {trouble}", config.database), advice)
}

fn schema(schema: &Schema) -> Finding {
    let list = |versions: &[i64]| versions.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    if let Some(outdated) = &schema.outdated {
        return Finding::failed("tables", outdated, "run a newer hub");
    }
    if !schema.broken.is_empty() {
        let text = format!("migrations {} are not what this hub knows, or did not end", list(&schema.broken));
        return Finding::failed(
            "tables",
            text,
            "run the hub that made them, or restore a backup; no hub starts on these",
        );
    }
    if !schema.missing.is_empty() {
        let text = format!("migrations {} have not run", list(&schema.missing));
        return Finding::warning("tables", text, "hub serve runs them when it starts");
    }
    if !schema.unknown.is_empty() {
        let text = format!("migrations {} are a newer hub's", list(&schema.unknown));
        return Finding::warning("tables", text, "this hub works beside it; replace it soon");
    }
    Finding::ok("tables", "as this hub knows them")
}

/// The database's time was read somewhere between the two.
fn clocks(inspection: &Inspection, asked: Timestamp, answered: Timestamp) -> Finding {
    let Some(now) = inspection.now else { return Finding::ok("clock", "the database goes by this machine's") };
    let apart_us = (asked.0 - now.0).max(now.0 - answered.0).max(0);
    let apart = Duration::from_micros(apart_us.unsigned_abs());
    if apart > CLOCK_LIMIT {
        let text = format!("the database's and this machine's differ by {}", told(apart));
        return Finding::warning(
            "clock",
            text,
            "set both by NTP: the hub goes by the database's, tokens by this one's",
        );
    }
    Finding::ok("clock", format!("the database's and this machine's differ by {} ms at most", apart.as_millis()))
}

fn disk(path: &Path) -> Option<Finding> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let disk = rustix::fs::statvfs(folder).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let text = format!("{} MiB are free where the database is", free >> 20);
    Some(if free < DISK_LIMIT_BYTES {
        Finding::warning("disk", text, "make room: on a full disk nothing is committed")
    } else {
        Finding::ok("disk", text)
    })
}

fn work(config: &Config, figures: &Figures) -> Vec<Finding> {
    let mut findings = vec![outbox(config, figures), timers(figures), parked(figures)];
    let offers = figures.oldest_offers.iter();
    findings.extend(
        offers.map(|(work, age)| {
            Finding::ok(format!("offers of {work}"), format!("the oldest waits for {}", told(*age)))
        }),
    );
    findings
}

fn outbox(config: &Config, figures: &Figures) -> Finding {
    let text = format!("{} messages wait, the oldest for {}", figures.outbox_depth, told(figures.outbox_age));
    if figures.outbox_depth >= config.outbox_limit_messages {
        let advice = "new orders are refused until it drains: see the broker below";
        return Finding::failed("outbox", text, advice);
    }
    if figures.outbox_age > OUTBOX_AGE_LIMIT {
        return Finding::warning("outbox", text, "see that a hub runs, and the broker below; the runbook has more");
    }
    if figures.outbox_depth == 0 { Finding::ok("outbox", "empty") } else { Finding::ok("outbox", text) }
}

fn timers(figures: &Figures) -> Finding {
    match figures.overdue_timers {
        0 => Finding::ok("timers", "none is overdue"),
        n => Finding::warning("timers", format!("{n} overdue"), "a hub fires them within a second: see that one runs"),
    }
}

fn parked(figures: &Figures) -> Finding {
    match figures.parked {
        0 => Finding::ok("parked", "none"),
        n => Finding::warning("parked", format!("{n} messages wait for a person"), "hub parked list"),
    }
}

/// Two units say enough.
fn told(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Health;
    use super::*;

    fn inspection(now: i64) -> Inspection {
        let schema = Schema { missing: vec![], unknown: vec![], broken: vec![], outdated: None };
        Inspection { version: String::new(), now: Some(Timestamp(now)), schema, figures: None }
    }

    #[test]
    fn clocks_differ_by_what_the_question_does_not_explain() {
        let second = 1_000_000;
        let health = |now| clocks(&inspection(now), Timestamp(100 * second), Timestamp(103 * second)).health;
        for (now, expected) in
            [(96, Health::Ok), (101, Health::Ok), (108, Health::Ok), (109, Health::Warning), (94, Health::Warning)]
        {
            assert_eq!(health(now * second), expected, "{now}");
        }
    }

    #[test]
    fn a_time_is_told_in_two_units() {
        for (seconds, text) in [(7, "7 s"), (61, "1 min 1 s"), (7_260, "2 h 1 min"), (180_000, "2 d 2 h")] {
            assert_eq!(told(Duration::from_secs(seconds)), text);
        }
    }
}
