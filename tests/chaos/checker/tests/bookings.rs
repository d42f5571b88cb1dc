//! The same of slots: one went from hand to hand and is free again, one was kept to the end.

use fastrand::Rng;
use sqlx::{Connection, PgConnection};
use tests::{Hub, Parts, eventually, tell};
use tokio::sync::watch;

use super::super::verdict::Fault::{self, *};
use super::super::{is_settled, judge, judge_database};
use super::Life;
use crate::clients::Clients;
use crate::diary::{Diary, Entry};
use crate::referrers::Referrers;

const COPY: &str = "INSERT INTO version (kind, id, version, root, method, updated, body)
    SELECT kind, 'another', version, root, method, updated, body FROM version WHERE id = ";

/// Statements, in which `KEPT` stands for the root of a referral whose patient came, `HELD` for the id of its
/// Appointment, `GONE` for that of one that was given back, and `MADE` for the key by which it was referred.
const DAMAGES: [(Fault, &str); 7] = [
    (BookedTwice, "'HELD'"),
    (Slot, "'GONE'"),
    (NotBooked, "DELETE FROM version WHERE id = 'HELD'"),
    (Lost, "DELETE FROM version WHERE id = 'r.KEPT'"),
    (Lost, "DELETE FROM version WHERE id = 'KEPT.3'"),
    (Lost, "DELETE FROM head WHERE root = 'KEPT'"),
    (NoReceipt, "DELETE FROM receipt WHERE key LIKE '%MADE'"),
];

/// A resource, which of its versions (0 is the newest), and what is written into its body. `TAKEN` is the slot that was
/// kept, `FREE` the other one.
const REWRITTEN: [(Fault, &str, i32, &str, &str); 10] = [
    (BookedTwice, "GONE", 0, "status", r#""booked""#),
    (NotBooked, "HELD", 0, "basedOn", r#"[{"reference":"ServiceRequest/r.another"}]"#),
    (NotBooked, "HELD", 0, "slot", r#"[{"reference":"Slot/another"}]"#),
    (NotBooked, "GONE", 0, "status", r#""fulfilled""#),
    (Slot, "TAKEN", 0, "status", r#""free""#),
    (Slot, "FREE", 0, "status", r#""busy""#),
    (Slot, "FREE", 2, "status", r#""free""#),
    (Illegal, "KEPT.2", 2, "status", r#""on-hold""#),
    (Unfit, "KEPT.0", 0, "status", r#""failed""#),
    (Open, "KEPT.5", 0, "status", r#""requested""#),
];

#[test]
fn every_damage_to_a_booking_is_found_under_its_own_heading() {
    tell(Parts::POSTGRES_EMBEDDED, |world| async move {
        let hub = world.hub().await;
        let life = lived(&hub).await;
        eventually("all is settled", async || is_settled(&world.database).await.unwrap().is_still().then_some(()))
            .await;
        hub.closes().await;
        let healthy = judge(&world.database, &world.queue, &life.diary).await.unwrap();
        assert!(healthy.is_clean(), "{}", healthy.table());

        let mut database = PgConnection::connect(&world.database).await.unwrap();
        for (fault, statement) in DAMAGES {
            let copies = if statement.starts_with('\'') { COPY } else { "" };
            life.damaged(&mut database, fault, &[life.named(&format!("{copies}{statement}"))]).await;
        }
        for (fault, resource, version, element, value) in REWRITTEN {
            let written = life.rewritten(&mut database, resource, version, element, value).await;
            life.damaged(&mut database, fault, &[written]).await;
        }
        other_diaries(&life, &mut database).await;
        database.close().await.unwrap();
    });
}

/// By the referrers themselves: one has a slot that two others want; it moves to another, and one of them gets the first,
/// and gives it back.
async fn lived(hub: &Hub) -> Life {
    let (folder, mut chance) = (tempfile::tempdir().unwrap(), Rng::with_seed(1));
    let path = folder.path().join("diary.jsonl");
    let (_open, is_open) = watch::channel(true);
    let clients = Clients::new(vec![(**hub).clone()], Diary::create(&path).unwrap(), is_open);
    let referrers = Referrers::new(clients);
    let clinic = referrers.opens(&mut chance).await.unwrap();
    let [free, taken] = [0, 1].map(|n| referrers.slots()[n].clone());
    let mut kept = referrers.begins(&clinic, &mut chance).await.unwrap();
    let mut gone = referrers.begins(&clinic, &mut chance).await.unwrap();
    let mut ended = referrers.begins(&clinic, &mut chance).await.unwrap();
    referrers.books(&mut kept, 1, &free, &mut chance).await;
    referrers.books(&mut gone, 1, &free, &mut chance).await;
    referrers.books(&mut kept, 2, &taken, &mut chance).await;
    referrers.books(&mut gone, 3, &taken, &mut chance).await;
    referrers.books(&mut ended, 4, &free, &mut chance).await;
    referrers.cancels(&mut ended, &mut chance).await;
    referrers.books(&mut gone, 5, &free, &mut chance).await;
    let [held, gone_name] = [&kept, &gone].map(|referral| referral.held.as_ref().unwrap().name.clone());
    referrers.gives_back(&mut gone, &mut chance).await;
    referrers.books(&mut gone, 6, &free, &mut chance).await;
    referrers.cancels(&mut gone, &mut chance).await;
    let root = kept.request.rsplit("/r.").next().unwrap_or_default().to_owned();
    referrers.attends(&mut kept, &clinic, &mut chance).await;
    let id = |reference: String| reference.rsplit('/').next().unwrap_or_default().to_owned();
    let diary = Diary::read(&path).unwrap();
    let Some(Entry::Referred { key, .. }) = diary.first().cloned() else { panic!("it was referred first") };
    let appointments = [("HELD", id(held)), ("GONE", id(gone_name))];
    let slots = [("TAKEN", id(taken)), ("FREE", id(free))];
    Life { diary, names: [[("KEPT", root), ("MADE", key)], appointments, slots].concat() }
}

/// The same database, with referrers who were told something else.
async fn other_diaries(life: &Life, database: &mut PgConnection) {
    let is_given = |entry: &Entry| matches!(entry, Entry::Booked { appointment, .. } if !appointment.is_empty());
    let place = life.diary.iter().position(is_given).unwrap();
    let with = |more: Entry| [life.diary.clone(), vec![more]].concat();
    let told = |no: &str, status: u16| {
        let mut diary = life.diary.clone();
        if let Entry::Booked { appointment, code, answers, .. } = &mut diary[place] {
            appointment.clear();
            no.clone_into(code);
            *answers = vec![0, status];
        }
        diary
    };
    let without_first: Vec<Entry> =
        life.diary.iter().enumerate().filter(|(n, _)| *n != place).map(|(_, entry)| entry.clone()).collect();
    let referred = life.diary.iter().position(|entry| matches!(entry, Entry::Referred { .. })).unwrap();
    let unasked = [&life.diary[..referred], &life.diary[referred + 1..]].concat();
    for (fault, diary) in [
        (NotBooked, told("SLOT_NOT_AVAILABLE", 422)),
        (NotBooked, without_first),
        (NotBooked, with(life.diary[place].clone())),
        (Refused, told("INVALID_REQUEST_STATE", 422)),
        (Unasked, unasked),
    ] {
        let verdict = judge_database(database, &diary).await.unwrap();
        assert_eq!(verdict.faults(), [fault], "{}", verdict.table());
    }
    let unanswered = judge_database(database, &told("", 503)).await.unwrap();
    assert!(unanswered.is_clean(), "who was told nothing may have it: {}", unanswered.table());
}
