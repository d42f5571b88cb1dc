//! A schema changes in steps that a running older hub survives.
//!
//! A migration expands: it adds what a hub that does not know it never misses. A later release may contract: what only
//! hubs without the new thing needed goes, by a migration called `<number>_contract_<number of the step that it
//! closes>_<what>.sql`. Hubs read that name, and one that does not know the step that it closes refuses to start.
//!
//! Whoever makes a release writes its migrations into [`RELEASED`].

mod rules;

use std::path::Path;

use rules::faults;
use sqlx::migrate::{Migration, Migrator};

/// A migration that a release has, and how its files begin to be summed up on PostgreSQL and on SQLite (SHA-384): it is
/// never edited again, since hubs compare it with what their database has.
struct Released {
    release: &'static str,
    number: i64,
    postgres: &'static str,
    sqlite: &'static str,
}

/// In the order of the releases.
const RELEASED: &[Released] = &[Released {
    release: "0.1.0",
    number: 1,
    postgres: "e8357907ddc2408709897ef1da6be0c9",
    sqlite: "319f17fb2b6a9dc11925d8c2527ff575",
}];

async fn migrations(database: &str) -> Vec<Migration> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hub/storage/migrations").join(database);
    Migrator::new(folder).await.unwrap().iter().cloned().collect()
}

#[tokio::test]
async fn what_was_released_is_never_edited() {
    for (database, pinned) in [("postgres", (|it| it.postgres) as fn(&Released) -> &str), ("sqlite", |it| it.sqlite)] {
        let migrations = migrations(database).await;
        for released in RELEASED {
            let migration = migrations.iter().find(|migration| migration.version == released.number).unwrap();
            let sum: String = migration.checksum.iter().map(|byte| format!("{byte:02x}")).collect();
            let number = released.number;
            assert!(sum.starts_with(pinned(released)), "{database}/{number:04} was edited: write a new one ({sum})");
        }
    }
}

#[tokio::test]
async fn both_databases_take_the_same_steps_without_a_gap() {
    let steps = async |database| -> Vec<(i64, String)> {
        migrations(database).await.iter().map(|it| (it.version, it.description.to_string())).collect()
    };
    let (postgres, sqlite) = (steps("postgres").await, steps("sqlite").await);
    assert_eq!(postgres, sqlite);
    let numbers: Vec<i64> = postgres.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_running_older_hub_survives_every_step() {
    for database in ["postgres", "sqlite"] {
        for migration in migrations(database).await.iter().filter(|migration| migration.version > 1) {
            let name = format!("{database}/{:04}", migration.version);
            match closes(&migration.description) {
                Some(step) => {
                    may_close(migration.version, step, RELEASED).unwrap_or_else(|why| panic!("{name}: {why}"))
                }
                None => assert_eq!(faults(migration.sql.as_str()), Vec::<String>::new(), "in {name}"),
            }
            let waits = migration.sql.as_str().contains("SET LOCAL lock_timeout");
            assert!(
                waits || database == "sqlite",
                "{name} waits for a lock without end, and all behind it wait as well"
            );
        }
    }
}

/// The step that a migration closes, when its name says that it contracts.
fn closes(description: &str) -> Option<i64> {
    let rest = description.strip_prefix("contract ")?;
    Some(rest.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0))
}

/// A step is closed by a later release than the one that brought it: hubs of that one still run beside the next.
fn may_close(number: i64, step: i64, released: &[Released]) -> Result<(), String> {
    let release_of = |number| released.iter().find(|it| it.number == number).map(|it| it.release);
    match (release_of(step), release_of(number)) {
        _ if step >= number => Err(format!("{step:04} is no earlier step")),
        (None, _) => Err(format!("{step:04} is in no release yet: what it made needless goes in the one after that")),
        (Some(earlier), Some(later)) if earlier == later => Err(format!("{step:04} came with the same release")),
        _ => Ok(()),
    }
}

#[test]
fn a_step_is_closed_by_a_later_release() {
    let of = |release, number| Released { release, number, postgres: "", sqlite: "" };
    let released = [of("0.1.0", 1), of("0.2.0", 2), of("0.2.0", 3)];
    assert_eq!(closes("contract 0002 old column"), Some(2));
    assert_eq!(closes("contract the old column"), Some(0), "it must name a step");
    assert_eq!(closes("retention"), None);
    assert!(may_close(4, 2, &released).is_ok());
    for (number, step) in [(3, 2), (5, 4), (4, 0), (4, 4), (4, 5)] {
        assert!(may_close(number, step, &released).is_err(), "{number} closes {step}");
    }
}
