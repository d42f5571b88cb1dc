//! The schema from one release to the next.

use std::path::Path;

use hub_domain::registry::{Committed, Trouble};
use schemas::resource::{Key, Kind};
use serde_json::json;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::build::*;
use crate::place::{Place, options};

/// Runs statements as somebody else would who has the database open.
pub(crate) async fn run(place: &Place, statements: &str) {
    let statements = AssertSqlSafe(statements.to_owned());
    if place.is_postgres() {
        PgConnection::connect(&place.url).await.unwrap().execute(statements).await.unwrap();
    } else {
        SqliteConnection::connect(&place.url).await.unwrap().execute(statements).await.unwrap();
    }
}

/// The same place with nothing in it, no schema either.
async fn emptied(place: &Place) -> Place {
    let mut emptied = place.clone();
    if place.is_postgres() {
        run(place, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    } else {
        emptied.url.push_str(".new?mode=rwc");
    }
    emptied
}

/// As a hub of the first release left it.
pub(crate) async fn as_in_the_first_release(place: &Place) -> Place {
    let place = emptied(place).await;
    let folder = if place.is_postgres() { "migrations/postgres" } else { "migrations/sqlite" };
    let migrations = Migrator::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).await.unwrap();
    if place.is_postgres() {
        migrations.run_to(1, &mut PgConnection::connect(&place.url).await.unwrap()).await.unwrap();
    } else {
        migrations.run_to(1, &mut SqliteConnection::connect(&place.url).await.unwrap()).await.unwrap();
    }
    place
}

/// Records a migration that this program does not have.
async fn migrated_by_a_newer_hub(place: &Place, number: u32, description: &str) {
    let yes = if place.is_postgres() { "true" } else { "1" };
    let row = format!(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES ({number}, '{description}', {yes}, '\\x00', 1)"
    );
    run(place, &row).await;
}

pub(crate) async fn hubs_that_start_at_once_make_one_schema(place: Place) {
    let place = emptied(&place).await;
    let start = || hub_storage::open(&place.url, options());
    let (a, b, c, d) = tokio::join!(start(), start(), start(), start());
    for hub in [a, b, c, d] {
        hub.unwrap().close().await;
    }
    let registry = place.again(options()).await.registry;
    create(&*registry, 1, Key::new(Kind::SERVICE_REQUEST, "a"), json!({})).await;
    registry.close().await;
}

pub(crate) async fn a_schema_one_step_ahead_is_used(place: Place) {
    run(&place, "ALTER TABLE head ADD COLUMN later TEXT; CREATE TABLE later (id INTEGER)").await;
    migrated_by_a_newer_hub(&place, 9001, "later").await;
    let registry = place.again(options()).await.registry;
    let decision = deciding(now(&*registry).await).on(root(1), None).receipt("k").done();
    assert_eq!(commit(&*registry, &[decision]).await, [Committed::Done]);
    registry.close().await;
}

pub(crate) async fn a_schema_that_gave_up_what_this_hub_needs_is_refused(place: Place) {
    migrated_by_a_newer_hub(&place, 9002, "contract 0001 what nobody uses").await;
    place.again(options()).await.registry.close().await;
    migrated_by_a_newer_hub(&place, 9003, "contract 9001 the old column").await;
    let refused = hub_storage::open(&place.url, options()).await.err();
    assert!(matches!(refused, Some(Trouble::Outdated { needed: 9001, .. })), "{refused:?}");
}
