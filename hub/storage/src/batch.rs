//! Which decisions of a batch hold. One rule for both databases, and pure.

use std::collections::{HashMap, HashSet};

use hub_domain::decision::Decision;
use hub_domain::scene::Identifier;
use schemas::resource::Kind;
use uuid::Uuid;

/// What stands in the database, read under the locks of the commit.
#[derive(Debug, Default)]
pub(crate) struct Standing<'a> {
    /// The versions of the heads that are there.
    pub(crate) heads: HashMap<Uuid, u64>,
    /// Up to which moment each type was shown in the order of time.
    pub(crate) shown_us: HashMap<Kind, i64>,
    /// Receipts that somebody else has.
    pub(crate) receipts: HashSet<&'a str>,
    /// Identifiers that somebody else holds than the id that wants them here.
    pub(crate) claims: HashSet<(&'a Identifier, &'a str)>,
}

impl<'a> Standing<'a> {
    /// What the decisions were made upon.
    pub(crate) fn expected(decisions: &'a [Decision]) -> Self {
        let mut heads = HashMap::new();
        for write in decisions.iter().flat_map(|decision| &decision.heads) {
            heads.entry(write.root).or_insert(write.expected);
        }
        let heads = heads.into_iter().filter_map(|(root, version)| Some((root, version?))).collect();
        Self { heads, ..Self::default() }
    }
}

/// For each decision whether it holds. They are taken in their order: one that was decided upon the outcome of an
/// earlier one holds only when that one does, whatever version somebody else has meanwhile given to their root.
pub(crate) fn holding(decisions: &[Decision], standing: &Standing) -> Vec<bool> {
    let mut seen = Seen {
        standing,
        heads: HashMap::new(),
        fallen: HashSet::new(),
        receipts: HashSet::new(),
        claims: HashMap::new(),
    };
    decisions
        .iter()
        .map(|decision| {
            let holds = seen.allows(decision);
            if holds {
                seen.take(decision);
            } else {
                seen.fallen.extend(decision.heads.iter().map(|write| write.root));
            }
            holds
        })
        .collect()
}

/// The database as the decisions so far leave it.
struct Seen<'a> {
    standing: &'a Standing<'a>,
    heads: HashMap<Uuid, u64>,
    /// Roots of decisions that did not hold.
    fallen: HashSet<Uuid>,
    receipts: HashSet<&'a str>,
    claims: HashMap<&'a Identifier, &'a str>,
}

impl<'a> Seen<'a> {
    fn allows(&self, decision: &Decision) -> bool {
        let version = |root| self.heads.get(root).or_else(|| self.standing.heads.get(root)).copied();
        let shown = |kind| self.standing.shown_us.get(&kind).copied();
        decision.heads.iter().all(|head| version(&head.root) == head.expected && !self.fallen.contains(&head.root))
            && decision
                .writes
                .iter()
                .all(|write| shown(write.resource.key.kind).is_none_or(|shown| write.resource.last_updated.0 > shown))
            && decision.receipts.iter().all(|receipt| {
                let key = receipt.key.as_str();
                !self.receipts.contains(key) && !self.standing.receipts.contains(key)
            })
            && decision.claims.iter().all(|(identifier, id)| {
                let other = self.claims.get(identifier).is_some_and(|holder| holder != id);
                !other && !self.standing.claims.contains(&(identifier, id.as_str()))
            })
    }

    fn take(&mut self, decision: &'a Decision) {
        self.heads.extend(decision.heads.iter().map(|write| (write.root, write.head.version)));
        self.receipts.extend(decision.receipts.iter().map(|receipt| receipt.key.as_str()));
        self.claims.extend(decision.claims.iter().map(|(identifier, id)| (identifier, id.as_str())));
    }
}

#[cfg(test)]
mod tests {
    use hub_domain::decision::HeadWrite;
    use hub_domain::scene::{Head, Receipt};

    use super::*;

    fn moves(root: u128, expected: Option<u64>) -> Decision {
        let head = Head { version: expected.unwrap_or(0) + 1, ..Head::default() };
        Decision { heads: vec![HeadWrite { root: Uuid::from_u128(root), expected, head }], ..Decision::default() }
    }

    #[test]
    fn a_decision_upon_a_stale_one_is_stale_too() {
        let standing = Standing { heads: [(Uuid::from_u128(1), 5)].into(), ..Standing::default() };
        let batch = [moves(1, Some(5)), moves(1, Some(6)), moves(1, Some(6)), moves(1, Some(7)), moves(2, None)];
        assert_eq!(holding(&batch, &standing), [true, true, false, false, true]);
        // Somebody else has brought the head to just the version that the first would have given it.
        assert_eq!(holding(&[moves(1, Some(4)), moves(1, Some(5))], &standing), [false, false]);
    }

    #[test]
    fn the_second_of_two_equal_receipts_is_stale() {
        let with_receipt = |root| {
            let receipt = Receipt { key: "k".into(), fingerprint: String::new(), answer: String::new() };
            Decision { receipts: vec![receipt], ..moves(root, None) }
        };
        assert_eq!(holding(&[with_receipt(1), with_receipt(2)], &Standing::default()), [true, false]);
    }
}
