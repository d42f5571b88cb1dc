//! The broker: there or not, and who reads its queues.

use hub_transport::{Place, Seen, Standing, Trouble};

use super::finding::Finding;
use crate::config::Config;

pub(super) async fn look(config: &Config, places: &[Place]) -> Vec<Finding> {
    if config.queue.reveal() == "embedded" {
        return vec![Finding::ok("broker", "in the memory of the hub: it cannot be looked at from here")];
    }
    match hub_transport::look(config.queue.reveal(), places).await {
        Ok(seen) => {
            [Finding::ok("broker", format!("{} answers", config.queue))].into_iter().chain(queues(&seen)).collect()
        }
        Err(trouble) => vec![down(config, &trouble)],
    }
}

fn down(config: &Config, trouble: &Trouble) -> Finding {
    let advice = match trouble {
        Trouble::Refused(_) => "see that queue names a user and a vhost that it knows, and the password",
        Trouble::BadUrl(_) => "mend queue",
        Trouble::Disconnected(_) => {
            "see that it runs, and that queue names its address; messages wait in the outbox until then"
        }
    };
    Finding::failed("broker", format!("{}: {trouble}", config.queue), advice)
}

fn queues(seen: &[Seen]) -> Vec<Finding> {
    if seen.iter().all(|one| one.standing.is_none()) {
        return vec![Finding::warning(
            "queues",
            "the broker has none of them",
            "hub serve declares them when it starts",
        )];
    }
    seen.iter().filter_map(queue).collect()
}

/// A queue for retries is read by nobody: of those it matters only that they are there.
fn queue(seen: &Seen) -> Option<Finding> {
    let name = &seen.queue;
    let is_for_retries = name.contains(".retry.");
    match seen.standing {
        None => {
            let advice =
                "start a hub again, which declares it; hub republish then tells the Tasks whose messages were in it";
            Some(Finding::warning(name, "is not there", advice))
        }
        Some(_) if is_for_retries => None,
        Some(Standing { ready, consumers: 0 }) if ready > 0 => {
            let who = if name.contains(".work.") { "start a worker for it" } else { "see that a hub runs" };
            Some(Finding::warning(name, format!("{ready} messages wait, and nobody reads it"), who))
        }
        Some(Standing { ready, consumers }) => Some(Finding::ok(name, format!("{ready} wait, {consumers} read it"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Health;
    use super::*;

    fn health(queue: &str, standing: Option<(u64, u32)>) -> Vec<Health> {
        let standing = standing.map(|(ready, consumers)| Standing { ready, consumers });
        let there = Seen { queue: "hub.v1.parked".to_owned(), standing: Some(Standing { ready: 0, consumers: 1 }) };
        let seen = [there, Seen { queue: queue.to_owned(), standing }];
        queues(&seen).into_iter().skip(1).map(|finding| finding.health).collect()
    }

    #[test]
    fn a_queue_is_well_when_somebody_reads_what_waits() {
        let queue = "hub.v1.work.open.imaging.urgent";
        assert_eq!(health(queue, Some((5, 2))), [Health::Ok]);
        assert_eq!(health(queue, Some((0, 0))), [Health::Ok], "nothing waits");
        assert_eq!(health(queue, Some((5, 0))), [Health::Warning]);
        assert_eq!(health(queue, None), [Health::Warning]);
        assert_eq!(health("hub.v1.retry.30s", Some((5, 0))), [], "a queue for retries empties by itself");
    }
}
