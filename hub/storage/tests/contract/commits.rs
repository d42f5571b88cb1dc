use std::sync::Arc;

use hub_domain::decision::Decision;
use hub_domain::registry::{Committed, Method};
use schemas::resource::{Key, Kind};
use serde_json::json;

use crate::build::*;
use crate::place::Place;

fn patient(id: &str) -> Key {
    Key::new(Kind::parse("Patient").unwrap(), id)
}

pub(crate) async fn what_was_created_is_read_back_byte_for_byte(place: Place) {
    let registry = &*place.registry;
    let key = patient("ada");
    let body = json!({ "resourceType": "Patient", "multipleBirthInteger": 1, "text": "Ünïcode \u{1F642}\u{0}" });
    let decision = deciding(now(registry).await).on(root(1), None).creates(root(1), key.clone(), body).done();
    let text = decision.writes[0].resource.body.text().get().as_bytes().to_vec();
    let last_updated = decision.writes[0].resource.last_updated;
    assert_eq!(commit_one(registry, decision).await.0, Committed::Done);

    let stored = read(registry, &key).await.unwrap();
    assert_eq!((stored.body, stored.version, stored.method), (text, 1, Method::Create));
    assert_eq!(stored.last_updated, last_updated);
    assert_eq!(last_updated.0 % 1000, 0, "a moment is what a resource can show");
}

pub(crate) async fn a_stale_decision_changes_nothing_and_leaves_its_neighbours_alone(place: Place) {
    let registry = &*place.registry;
    create(registry, 1, patient("a"), json!({})).await;
    create(registry, 2, patient("b"), json!({})).await;
    let at = now(registry).await;
    let batch = [
        deciding(at).on(root(1), Some(1)).updates(root(1), patient("a"), 2, json!({ "active": true })).done(),
        deciding(at)
            .on(root(2), Some(7))
            .updates(root(2), patient("b"), 2, json!({ "active": true }))
            .receipt("k")
            .done(),
        deciding(at).on(root(1), None).creates(root(1), patient("c"), json!({})).done(),
        deciding(at).on(root(3), None).creates(root(3), patient("d"), json!({})).done(),
    ];
    let outcomes = commit(registry, &batch).await;
    assert_eq!(outcomes, [Committed::Done, Committed::Stale, Committed::Stale, Committed::Done]);

    assert_eq!(read(registry, &patient("a")).await.unwrap().version, 2);
    assert_eq!(read(registry, &patient("b")).await.unwrap().version, 1);
    assert_eq!(read(registry, &patient("c")).await, None);
    assert!(read(registry, &patient("d")).await.is_some());
    let needs = hub_domain::scene::Needs { receipts: vec!["k".into()], ..Default::default() };
    assert!(registry.load(&[needs]).await.unwrap().0[0].receipts.is_empty());
}

pub(crate) async fn two_decisions_on_one_root_in_one_batch_are_done_in_sequence(place: Place) {
    let registry = &*place.registry;
    let at = now(registry).await;
    let both = |from: u64| {
        let first = deciding(at).on(root(1), (from > 0).then_some(from));
        let second = deciding(at).on(root(1), Some(from + 1));
        let version = from as u32 + 1;
        let first = match from {
            0 => first.creates(root(1), patient("a"), json!({})),
            _ => first.updates(root(1), patient("a"), version, json!({})),
        };
        [first.done(), second.updates(root(1), patient("a"), version + 1, json!({ "active": false })).done()]
    };
    assert_eq!(commit(registry, &both(0)).await, [Committed::Done, Committed::Done]);
    assert_eq!(read(registry, &patient("a")).await.unwrap().version, 2);
    let page = registry.history(&history_of(patient("a").kind, Some("a"), 10)).await.unwrap();
    assert_eq!(page.entries.len(), 2);
    // The first is stale, and so is what was decided upon it.
    assert_eq!(commit(registry, &both(1)).await, [Committed::Stale, Committed::Stale]);
    assert_eq!(commit(registry, &both(0)).await, [Committed::Stale, Committed::Stale]);
    assert_eq!(commit(registry, &both(2)).await, [Committed::Done, Committed::Done]);
    assert_eq!(read(registry, &patient("a")).await.unwrap().version, 4);
}

/// Commits all at once, each alone; how many were done.
async fn race(place: &Place, decisions: Vec<Decision>) -> usize {
    let commits = decisions.into_iter().map(|decision| {
        let registry = Arc::clone(&place.registry);
        tokio::spawn(async move { commit_one(&*registry, decision).await.0 })
    });
    let mut done = 0;
    for commit in commits.collect::<Vec<_>>() {
        match commit.await.unwrap() {
            Committed::Done => done += 1,
            Committed::Stale => {}
            Committed::Failed(why) => panic!("{why}"),
        }
    }
    done
}

pub(crate) async fn of_thirty_two_equal_receipts_one_is_taken(place: Place) {
    let at = now(&*place.registry).await;
    let decision = |n: u128| {
        let key = patient(&format!("p{n}"));
        deciding(at).on(root(n), None).creates(root(n), key, json!({})).receipt("same").done()
    };
    assert_eq!(race(&place, (0..32).map(decision).collect()).await, 1);
    let found = found(&*place.registry, query_of(patient("").kind, vec![])).await;
    assert_eq!(found.len(), 1);
    // The others left nothing behind, no head either.
    let winner: u128 = found[0][1..].parse().unwrap();
    let needs = hub_domain::scene::Needs { roots: (0..32).map(root).collect(), ..Default::default() };
    let scene = &place.registry.load(&[needs]).await.unwrap().0[0];
    assert_eq!(scene.heads.keys().collect::<Vec<_>>(), [&root(winner)]);
}

pub(crate) async fn of_thirty_two_equal_claims_one_is_taken(place: Place) {
    let at = now(&*place.registry).await;
    let wanted = identifier(patient("").kind, "1");
    let decision = |n: u128| {
        let key = patient(&format!("p{n}"));
        deciding(at).on(root(n), None).claims(&wanted, &key.id).creates(root(n), key, json!({})).done()
    };
    assert_eq!(race(&place, (0..32).map(decision).collect()).await, 1);
}

pub(crate) async fn a_claim_is_taken_once_more_by_its_holder(place: Place) {
    let registry = &*place.registry;
    let at = now(registry).await;
    let held = identifier(patient("").kind, "1");
    let first = deciding(at).on(root(1), None).claims(&held, "a").creates(root(1), patient("a"), json!({}));
    let again = deciding(at).on(root(1), Some(1)).claims(&held, "a").updates(root(1), patient("a"), 2, json!({}));
    let other = deciding(at).on(root(2), None).claims(&held, "b").creates(root(2), patient("b"), json!({}));
    assert_eq!(commit(registry, &[first.done()]).await, [Committed::Done]);
    assert_eq!(commit(registry, &[again.done(), other.done()]).await, [Committed::Done, Committed::Stale]);
}

pub(crate) async fn a_claim_that_falls_takes_its_receipt_and_its_followers_with_it(place: Place) {
    let registry = &*place.registry;
    let wanted = identifier(patient("").kind, "1");
    let at = now(registry).await;
    let holder = deciding(at).on(root(1), None).creates(root(1), patient("a"), json!({})).claims(&wanted, "a").done();
    assert_eq!(commit(registry, &[holder]).await, [Committed::Done]);
    let batch = [
        deciding(at)
            .on(root(2), None)
            .claims(&wanted, "b")
            .receipt("r2")
            .creates(root(2), patient("b"), json!({}))
            .done(),
        deciding(at).on(root(2), Some(1)).receipt("r3").updates(root(2), patient("b"), 2, json!({})).done(),
        deciding(at).on(root(1), Some(1)).receipt("r4").done(),
    ];
    assert_eq!(commit(registry, &batch).await, [Committed::Stale, Committed::Stale, Committed::Done]);
    let holder_again = deciding(at).on(root(1), Some(2)).claims(&wanted, "a").done();
    assert_eq!(commit(registry, &[holder_again]).await, [Committed::Done]);
    let receipts = ["r2", "r3", "r4"].map(str::to_owned).to_vec();
    let needs = hub_domain::scene::Needs { receipts, roots: vec![root(2)], ..Default::default() };
    let scene = &registry.load(&[needs]).await.unwrap().0[0];
    assert_eq!(scene.receipts.keys().collect::<Vec<_>>(), ["r4"]);
    assert!(scene.heads.is_empty());
}

pub(crate) async fn a_decision_over_several_roots_is_all_or_nothing(place: Place) {
    let registry = &*place.registry;
    create(registry, 1, patient("a"), json!({})).await;
    create(registry, 2, patient("b"), json!({})).await;
    let at = now(registry).await;
    let both = |second: u64| {
        let decision = deciding(at).on(root(1), Some(1)).on(root(2), Some(second));
        let decision = decision.updates(root(1), patient("a"), 2, json!({}));
        decision.updates(root(2), patient("b"), 2, json!({})).done()
    };
    assert_eq!(commit(registry, &[both(2)]).await, [Committed::Stale]);
    assert_eq!(read(registry, &patient("a")).await.unwrap().version, 1);
    assert_eq!(commit(registry, &[both(1)]).await, [Committed::Done]);
    assert_eq!(read(registry, &patient("b")).await.unwrap().version, 2);
}

pub(crate) async fn no_update_is_lost_among_four_writers(place: Place) {
    const ROOTS: u128 = 20;
    const ROUNDS: usize = 25;
    for n in 0..ROOTS {
        create(&*place.registry, n, patient(&n.to_string()), json!({})).await;
    }
    let writer = |_| {
        let registry = Arc::clone(&place.registry);
        tokio::spawn(async move {
            let mut done = vec![0_u32; ROOTS as usize];
            for _ in 0..ROUNDS {
                let needs: Vec<_> = (0..ROOTS).map(|n| needing(&patient(&n.to_string()))).collect();
                let (scenes, at) = registry.load(&needs).await.unwrap();
                let decide = |(n, scene): (u128, &hub_domain::scene::Scene)| {
                    let key = patient(&n.to_string());
                    let (head, resource) = (&scene.heads[&root(n)], &scene.resources[&key]);
                    let deciding = deciding(at).on(root(n), Some(head.version));
                    deciding.updates(root(n), key, resource.version + 1, json!({})).done()
                };
                // Not in the order of the ids: that is the registry's care.
                let mut decisions: Vec<_> = (0..ROOTS).zip(&scenes).map(decide).collect();
                decisions.reverse();
                for (n, outcome) in (0..ROOTS as usize).rev().zip(commit(&*registry, &decisions).await) {
                    done[n] += u32::from(outcome == Committed::Done);
                }
            }
            done
        })
    };
    let mut sum = vec![0; ROOTS as usize];
    for writer in (0..4).map(writer).collect::<Vec<_>>() {
        for (sum, done) in sum.iter_mut().zip(writer.await.unwrap()) {
            *sum += done;
        }
    }
    for (n, done) in sum.into_iter().enumerate() {
        assert!(done > 0);
        assert_eq!(read(&*place.registry, &patient(&n.to_string())).await.unwrap().version, done + 1);
    }
}

pub(crate) async fn a_poisoned_decision_fails_alone(place: Place) {
    let registry = &*place.registry;
    create(registry, 1, patient("a"), json!({})).await;
    let at = now(registry).await;
    // The same version once more, under another root: no head knows of it.
    let poisoned = deciding(at).on(root(2), None).creates(root(2), patient("a"), json!({ "active": true })).done();
    let sound = |n: u128| deciding(at).on(root(n), None).creates(root(n), patient(&n.to_string()), json!({})).done();
    let outcomes = commit(registry, &[sound(3), poisoned, sound(4)]).await;
    assert_eq!(outcomes, [Committed::Done, Committed::Stale, Committed::Done]);
    assert_eq!(read(registry, &patient("a")).await.unwrap().version, 1);
    assert!(read(registry, &patient("4")).await.is_some());
}

pub(crate) async fn a_deleted_resource_is_gone_but_not_forgotten(place: Place) {
    let registry = &*place.registry;
    let (key, number) = (patient("a"), identifier(patient("").kind, "1"));
    let body = json!({ "identifier": [{ "system": number.system, "value": number.value }] });
    let at = now(registry).await;
    let decision = deciding(at).on(root(1), None).creates(root(1), key.clone(), body).claims(&number, "a").done();
    assert_eq!(commit(registry, &[decision]).await, [Committed::Done]);
    let decision = deciding(now(registry).await).on(root(1), Some(1)).deletes(root(1), key.clone(), 2).done();
    assert_eq!(commit(registry, &[decision]).await, [Committed::Done]);

    assert_eq!(read(registry, &key).await, None);
    let last = registry.version(&key, None).await.unwrap().unwrap();
    assert_eq!((last.version, last.method, last.body.len()), (2, Method::Delete, 0));
    assert_eq!(registry.version(&key, Some(1)).await.unwrap().unwrap().method, Method::Create);
    assert_eq!(registry.version(&key, Some(3)).await.unwrap(), None);
    assert!(found(registry, query_of(key.kind, vec![token(key.kind, "identifier", "1")])).await.is_empty());
    assert!(found(registry, query_of(key.kind, vec![])).await.is_empty());

    let needs = hub_domain::scene::Needs { identifiers: vec![number], existence: vec![key.clone()], ..needing(&key) };
    let scene = &registry.load(&[needs]).await.unwrap().0[0];
    assert!(scene.deleted.contains(&key));
    assert!(scene.existing.is_empty() && scene.resources.is_empty() && scene.identified.is_empty());
}
