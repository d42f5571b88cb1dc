//! Where a message goes: a place of work and its tier, or the reports queue.

use std::fmt;

/// Longest place key in bytes. A queue name may have 255; the rest of ours needs some 30 of them.
pub const PLACE_LIMIT_BYTES: usize = 200;

/// Two tiers, not ten: RabbitMQ's quorum queues have no priorities before 4.0, so a tier is a queue of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// stat, asap and urgent.
    Urgent,
    Routine,
}

impl Tier {
    pub const BOTH: [Tier; 2] = [Tier::Urgent, Tier::Routine];

    /// The tier of a FHIR `request-priority`. Unknown and absent are routine, which is FHIR's own default.
    pub fn of_priority(priority: Option<&str>) -> Tier {
        match priority {
            Some("stat" | "asap" | "urgent") => Tier::Urgent,
            _ => Tier::Routine,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Urgent => "urgent",
            Tier::Routine => "routine",
        }
    }
}

/// A place of work: everybody who does a kind of work, or one registered performer.
///
/// Holds the text that stands in routing keys and queue names, so whoever has a `Place` need not look again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(String);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no place of work: {1}")]
pub struct NotAPlace(String, &'static str);

impl Place {
    /// Open work of a kind, for whoever takes it first: `laboratory`.
    pub fn open(kind: &str) -> Result<Place, NotAPlace> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if kind.is_empty() || !kind.chars().all(allowed) {
            return Err(NotAPlace(kind.to_owned(), "a kind of work is made of a-z, 0-9 and -"));
        }
        Place::checked(kind, format!("open.{kind}"))
    }

    /// Work directed to one performer: `Organization/lab-1`.
    ///
    /// A dot parts the words of a routing key, and `*` and `#` match them, so all that is not a letter, a digit or
    /// `-` is written as `_` and two hex digits. That is reversible, hence two performers never share a place.
    pub fn performer(reference: &str) -> Result<Place, NotAPlace> {
        if reference.is_empty() {
            return Err(NotAPlace(String::new(), "a performer has a reference"));
        }
        let mut key = String::from("performer.");
        for byte in reference.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => key.push(char::from(byte)),
                other => key.push_str(&format!("_{other:02X}")),
            }
        }
        Place::checked(reference, key)
    }

    fn checked(said: &str, key: String) -> Result<Place, NotAPlace> {
        if key.len() > PLACE_LIMIT_BYTES {
            return Err(NotAPlace(said.to_owned(), "it is longer than a queue name can hold"));
        }
        Ok(Place(key))
    }

    /// Whether it is one performer's own.
    pub fn is_performer(&self) -> bool {
        self.0.starts_with("performer.")
    }

    /// `open.laboratory` or `performer.Organization_2Flab-1`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a message is to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Routing {
    Work {
        place: Place,
        tier: Tier,
    },
    Reports,
    /// An answer: it goes where `Transport::reply` is told to. No queue takes it when it is published.
    Reply,
}

impl Routing {
    pub fn work(place: Place, tier: Tier) -> Routing {
        Routing::Work { place, tier }
    }

    /// The routing key: `work.open.laboratory.urgent`, `reports` or `reply`.
    pub fn key(&self) -> String {
        match self {
            Routing::Work { place, tier } => format!("work.{place}.{}", tier.as_str()),
            Routing::Reports => "reports".to_owned(),
            Routing::Reply => "reply".to_owned(),
        }
    }

    /// What [`Routing::key`] wrote. `None` for any other text, since a stranger may have written it.
    pub fn from_key(key: &str) -> Option<Routing> {
        match key {
            "reports" => return Some(Routing::Reports),
            "reply" => return Some(Routing::Reply),
            _ => {}
        }
        let (place, tier) = key.strip_prefix("work.")?.rsplit_once('.')?;
        let tier = Tier::BOTH.into_iter().find(|known| known.as_str() == tier)?;
        let place = match place.split_once('.')? {
            ("open", kind) => Place::open(kind).ok()?,
            ("performer", encoded) => Place::checked(encoded, place.to_owned()).ok().filter(|_| is_encoded(encoded))?,
            _ => return None,
        };
        Some(Routing::Work { place, tier })
    }
}

fn is_encoded(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_as_it_was_written() {
        let places = [Place::open("laboratory"), Place::performer("Organization/lab-1"), Place::performer("a.b#*é")];
        for place in places {
            for tier in Tier::BOTH {
                let routing = Routing::work(place.clone().expect("a place"), tier);
                assert_eq!(Routing::from_key(&routing.key()), Some(routing));
            }
        }
        assert_eq!(Routing::from_key("reports"), Some(Routing::Reports));
    }

    #[test]
    fn two_performers_never_share_a_place() {
        assert_eq!(Place::performer("Organization/lab-1").expect("a place").as_str(), "performer.Organization_2Flab-1");
        assert_ne!(Place::performer("a_2Fb").expect("a place"), Place::performer("a/b").expect("a place"));
    }

    #[test]
    fn what_cannot_stand_in_a_routing_key_is_no_place() {
        for kind in ["", "Lab", "a.b", "a b", "#"] {
            assert!(Place::open(kind).is_err(), "{kind:?}");
        }
        assert!(Place::performer("").is_err());
        assert!(Place::performer(&"x".repeat(300)).is_err());
        for key in ["work.open.lab", "work.open..urgent", "work.performer.a.b.urgent", "work.x.lab.urgent", "else"] {
            assert_eq!(Routing::from_key(key), None, "{key:?}");
        }
    }

    #[test]
    fn three_priorities_are_urgent() {
        assert!(["stat", "asap", "urgent"].iter().all(|p| Tier::of_priority(Some(p)) == Tier::Urgent));
        assert_eq!(Tier::of_priority(Some("routine")), Tier::Routine);
        assert_eq!(Tier::of_priority(None), Tier::Routine);
    }
}
