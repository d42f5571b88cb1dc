//! Criteria of other resources: of what a match points to (`subject:Patient.name=x`), and of what points to it
//! (`_has:Task:focus:status=ready`). Either may have another one behind it.

use hub_domain::query::{Filter, Inner, Param, find, params};
use schemas::outcome::Issue;
use schemas::resource::Kind;

use super::Reader;

/// Links of one parameter, one behind the other.
const LINKS_LIMIT: usize = 4;

impl Reader<'_> {
    /// `parameter.rest`, or `parameter:Type.rest`
    pub(super) fn chain(&mut self, name: &str, [link, rest]: [&str; 2], value: &str) {
        let of = self.query.kind;
        let (plain, to) = link.split_once(':').map_or((link, None), |(plain, to)| (plain, Some(to)));
        let Some(param) = find(of, plain) else {
            return self.unknown(name, format!("{of} is not searched by {plain:?}; known: {}", references(of)));
        };
        let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| param.leads_to(*kind)).collect();
        let to = match to {
            Some(to) => kinds.iter().copied().find(|kind| kind.name() == to),
            // The one type that can be meant.
            None => match kinds.iter().filter(|kind| knows(**kind, rest)).collect::<Vec<_>>()[..] {
                [kind] => Some(*kind),
                _ => None,
            },
        };
        match to {
            Some(to) => {
                let inner = self.inner(name, to, rest, value);
                self.query.filters.extend(inner.map(|to| Filter::Chain { param, to }));
            }
            None if kinds.is_empty() => {
                self.unknown(name, format!("{plain:?} of {of} points to nothing that is kept here"));
            }
            None => {
                let named = |kind: &Kind| format!("{plain}:{kind}");
                let text = kinds.iter().map(named).collect::<Vec<_>>().join(", ");
                self.unknown(name, format!("a chain says which type it goes on with: {text}"));
            }
        }
    }

    /// `Type:parameter:rest`, behind `_has:`
    pub(super) fn has(&mut self, name: &str, link: &str, value: &str) {
        let mut parts = link.splitn(3, ':');
        let (from, by, rest) = (parts.next().and_then(Kind::parse), parts.next(), parts.next());
        let (Some(from), Some(by), Some(rest)) = (from, by, rest) else {
            let text =
                "it takes _has:Type:parameter:criterion, with a type that is kept and a parameter that is a reference";
            return self.unknown(name, text);
        };
        let of = self.query.kind;
        let Some(param) = find(from, by).filter(|param| param.leads_to(of)) else {
            let by = list(params(from).filter(|param| param.leads_to(of)));
            return self.unknown(name, format!("{from} points to a {of} by: {by}"));
        };
        let from = self.inner(name, from, rest, value);
        self.query.filters.extend(from.map(|from| Filter::Has { param, from }));
    }

    /// The other end of a link. Its faults are told as those of the whole parameter.
    fn inner(&mut self, name: &str, kind: Kind, rest: &str, value: &str) -> Option<Inner> {
        if self.links == LINKS_LIMIT {
            self.fault(name, format!("at most {LINKS_LIMIT} links, one behind the other"));
            return None;
        }
        let mut reader = self.behind(kind);
        reader.criterion(rest, value);
        let of_whole = |issue: Issue| {
            let text = format!("at {rest:?} of {kind}: {}", issue.text);
            Issue { path: name.to_owned(), text, ..issue }
        };
        self.faults.extend(reader.faults.into_iter().map(of_whole));
        self.unknown.extend(reader.unknown.into_iter().map(of_whole));
        let filters = reader.query.filters;
        (!filters.is_empty()).then_some(Inner { kind, filters })
    }
}

/// Whether a type may be searched by what a criterion begins with.
fn knows(kind: Kind, criterion: &str) -> bool {
    let first = criterion.split([':', '.']).next().unwrap_or_default();
    first.starts_with('_') || find(kind, first).is_some()
}

fn references(kind: Kind) -> String {
    list(params(kind).filter(|param| Kind::ALL.iter().any(|to| param.leads_to(*to))))
}

fn list<'p>(params: impl Iterator<Item = &'p Param>) -> String {
    params.map(|param| param.name).collect::<Vec<_>>().join(", ")
}
