//! What is kept for a time, and what becomes of the room that it took.

use std::time::Duration;

use hub_domain::registry::{Committed, Registry};
use hub_domain::scene::Needs;
use hub_storage::{ClockOffset, Options};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor};

use crate::build::*;
use crate::place::{Place, options};
use crate::schema::{as_in_the_first_release, run};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MOST: u32 = 1000;

/// The same database a week and a bit later.
async fn a_week_later(place: &Place) -> Place {
    place.again(Options { clock_offset: ClockOffset::of_us(WEEK.as_micros() as i64 + 1_000_000), ..options() }).await
}

async fn has_receipt(registry: &dyn Registry, key: &str) -> bool {
    let needs = Needs { receipts: vec![key.into()], ..Needs::default() };
    registry.load(&[needs]).await.unwrap().0[0].receipts.contains_key(key)
}

async fn takes(registry: &dyn Registry, number: u128, key: &str) -> Committed {
    let decision = deciding(now(registry).await).on(root(number), None).receipt(key).done();
    commit_one(registry, decision).await.0
}

pub(crate) async fn a_receipt_is_kept_for_its_time_and_then_its_key_is_new(place: Place) {
    let registry = &*place.registry;
    assert_eq!(takes(registry, 1, "k").await, Committed::Done);
    assert_eq!(registry.prune(WEEK, MOST).await.unwrap(), 0);
    assert!(has_receipt(registry, "k").await);
    assert_eq!(takes(registry, 2, "k").await, Committed::Stale);

    let later = a_week_later(&place).await.registry;
    assert_eq!(takes(&*later, 3, "young").await, Committed::Done);
    assert_eq!(later.prune(WEEK, MOST).await.unwrap(), 1);
    assert!(!has_receipt(registry, "k").await && has_receipt(registry, "young").await);
    assert_eq!(takes(registry, 2, "k").await, Committed::Done);
    later.close().await;
}

/// One that was there before this release, and one that an older hub writes beside a newer one.
pub(crate) async fn receipts_of_an_older_hub_have_an_age_too(place: Place) {
    let older_hub = |key: &str| format!("INSERT INTO receipt (key, fingerprint, answer) VALUES ('{key}', 'f', '{{}}')");
    let place = as_in_the_first_release(&place).await;
    run(&place, &older_hub("before")).await;
    let registry = place.again(options()).await.registry;
    run(&place, &older_hub("beside")).await;
    assert_eq!(registry.prune(WEEK, MOST).await.unwrap(), 0);
    assert!(has_receipt(&*registry, "before").await && has_receipt(&*registry, "beside").await);
    let later = a_week_later(&place).await.registry;
    assert_eq!(later.prune(WEEK, MOST).await.unwrap(), 2);
    registry.close().await;
    later.close().await;
}

pub(crate) async fn hubs_that_prune_at_once_forget_each_receipt_once(place: Place) {
    let at = now(&*place.registry).await;
    let with_receipt = |n: u128| deciding(at).on(root(n), None).receipt(&format!("k{n}")).done();
    let decisions: Vec<_> = (0..95).map(with_receipt).collect();
    assert_eq!(commit(&*place.registry, &decisions).await, vec![Committed::Done; 95]);
    let hubs = [a_week_later(&place).await.registry, a_week_later(&place).await.registry];
    let pruning = hubs.clone().map(|hub| {
        tokio::spawn(async move {
            let mut each = Vec::new();
            while each.last() != Some(&0) {
                each.push(hub.prune(WEEK, 10).await.unwrap());
            }
            assert!(each.iter().all(|pruned| *pruned <= 10), "{each:?}");
            each.iter().sum::<u64>()
        })
    });
    let [one, other] = pruning;
    assert_eq!(one.await.unwrap() + other.await.unwrap(), 95);
    assert!(!has_receipt(&*place.registry, "k0").await);
    for hub in hubs {
        hub.close().await;
    }
}

/// As many go as come: neither the file nor its log grows with that, and a reader who takes his time holds up nobody.
pub(crate) async fn a_file_stays_as_large_as_what_is_kept(place: Place) {
    if place.is_postgres() {
        return;
    }
    let later = a_week_later(&place).await.registry;
    let path = place.url.strip_prefix("sqlite:").unwrap();
    let bytes = |suffix: &str| std::fs::metadata(format!("{path}{suffix}")).unwrap().len();
    let some_come = format!(
        "INSERT INTO receipt (key, fingerprint, answer)
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MOST})
         SELECT 'k' || n, 'f', '{}' FROM n",
        "a".repeat(1000)
    );
    let mut reader = SqliteConnection::connect(&place.url).await.unwrap();
    let mut sizes = Vec::new();
    for round in 0..6 {
        if round == 3 {
            reader.execute("BEGIN; SELECT count(*) FROM head").await.unwrap();
        }
        run(&place, &some_come).await;
        assert_eq!(later.prune(WEEK, MOST + 1).await.unwrap(), u64::from(MOST));
        sizes.push((bytes(""), bytes("-wal")));
    }
    assert!(sizes[..3].iter().all(|(_, log)| *log == 0), "{sizes:?}");
    assert!(sizes[5].1 > 0, "while somebody reads, the log grows: {sizes:?}");
    reader.execute("COMMIT").await.unwrap();
    assert_eq!(later.prune(WEEK, MOST).await.unwrap(), 0);
    assert_eq!((bytes(""), bytes("-wal")), (sizes[1].0, 0), "{sizes:?}");
    later.close().await;
}
