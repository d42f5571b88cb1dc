//! Two releases of the hub on one database.

use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tests::bodies::{With, laboratory, prescription, referral};

use tests::{Database, Parts, World, eventually, tell};

/// What a release to come may do to the tables that are busiest.
const EXPAND: [&str; 9] = [
    "ALTER TABLE head ADD COLUMN later TEXT",
    "ALTER TABLE version ADD COLUMN later TEXT",
    "ALTER TABLE task ADD COLUMN later TEXT DEFAULT 'soon'",
    "ALTER TABLE outbox ADD COLUMN later BIGINT NOT NULL DEFAULT 7",
    "ALTER TABLE timer ADD COLUMN later TEXT",
    "CREATE INDEX task_later ON task (later, status, seq)",
    "CREATE INDEX head_later ON head (last, later)",
    "CREATE INDEX outbox_later ON outbox (since, later)",
    "CREATE TABLE later (id BIGINT NOT NULL PRIMARY KEY, at BIGINT)",
];

async fn run(world: &World, statement: impl Into<String>) {
    let statement = AssertSqlSafe(statement.into());
    match world.parts.database {
        Database::Sqlite => {
            SqliteConnection::connect(&world.database).await.unwrap().execute(statement).await.unwrap();
        }
        Database::Postgres => {
            PgConnection::connect(&world.database).await.unwrap().execute(statement).await.unwrap();
        }
    }
}

/// As sqlx writes down what a hub of another release has done.
async fn record(world: &World, number: u32, description: &str) {
    let row = format!(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES ({number}, '{description}', true, '\\x00', 1)"
    );
    run(world, row).await;
}

/// First under a hub that runs, then under one that starts.
async fn a_hub_lives_with_a_schema_one_step_ahead(world: World) {
    let hub = world.hub().await;
    let earlier = hub.submits(laboratory()).await;
    for statement in EXPAND {
        run(&world, statement).await;
    }
    record(&world, 9001, "later").await;
    let meanwhile = hub.submits(prescription()).await;
    hub.has_fillers().await;
    earlier.is("completed").await;
    meanwhile.is("completed").await;
    hub.closes().await;

    let hub = world.hub().await;
    let later = hub.submits(referral()).await;
    hub.has_fillers().await;
    for order in [earlier, meanwhile, later] {
        let order = order.at(&hub);
        order.is("completed").await;
        order.walked_legally().await;
    }
    hub.closes().await;
}

/// The plan of an earlier release: every specimen was collected.
fn laboratory_before() -> Value {
    let mut plan: Value = serde_json::from_str(include_str!("../../schemas/plans/laboratory.json")).unwrap();
    plan["version"] = "1".into();
    plan["action"][0]["action"][0].as_object_mut().unwrap().remove("condition").unwrap();
    plan
}

async fn an_order_keeps_the_plan_of_the_release_that_it_started_with(world: World) {
    let plans = world.folder().join("plans");
    std::fs::create_dir(&plans).unwrap();
    std::fs::write(plans.join("laboratory.json"), laboratory_before().to_string()).unwrap();
    let brought = laboratory().with(json!({ "specimen": [{ "reference": "Specimen/1" }] }));

    let hub = world.hub_with(&[("plans", plans.to_str().unwrap())]).await;
    let earlier = hub.submits(brought.clone()).await;
    assert_eq!(earlier.statuses().await, ["requested", "requested", "draft", "draft"]);
    hub.closes().await;

    let hub = world.hub().await;
    let (earlier, later) = (earlier.at(&hub), hub.submits(brought).await);
    assert_eq!(later.statuses().await, ["requested", "requested", "draft"]);
    hub.has_fillers().await;
    for (order, collected) in [(earlier, 1), (later, 0)] {
        order.is("completed").await;
        assert_eq!(order.offers("collect").await.len(), collected);
        order.walked_legally().await;
    }
    hub.closes().await;
}

/// The types that are not indexed by all their search parameters.
async fn types_behind(world: &World) -> i64 {
    const BEHIND: &str = "SELECT count(*) FROM indexed WHERE elements = ''";
    match world.parts.database {
        Database::Sqlite => {
            let mut database = SqliteConnection::connect(&world.database).await.unwrap();
            sqlx::query_scalar(BEHIND).fetch_one(&mut database).await.unwrap()
        }
        Database::Postgres => {
            let mut database = PgConnection::connect(&world.database).await.unwrap();
            sqlx::query_scalar(BEHIND).fetch_one(&mut database).await.unwrap()
        }
    }
}

async fn what_was_stored_before_a_search_parameter_is_found_by_it(world: World) {
    let hub = world.hub().await;
    for family in ["Müller", "Maier"] {
        hub.post("Patient", &json!({ "resourceType": "Patient", "name": [{ "family": family }] })).await.is(201);
    }
    hub.submits(laboratory()).await;
    hub.closes().await;
    for statement in [
        "DELETE FROM search_value",
        "DELETE FROM search_token",
        "DELETE FROM search_date",
        "UPDATE indexed SET elements = '' WHERE kind IN ('Patient', 'ServiceRequest')",
    ] {
        run(&world, statement).await;
    }
    let hub = world.hub().await;
    for when in ["at once", "by the index"] {
        assert_eq!(hub.finds("Patient?family=MULLER").await.len(), 1, "{when}");
        assert_eq!(hub.finds("ServiceRequest?identifier=LAB-2026-0001").await.len(), 1, "{when}");
        let done = async || (types_behind(&world).await == 0).then_some(());
        eventually("what is stored is indexed", done).await;
    }
    hub.closes().await;
}

#[test]
fn a_plan_is_kept_on_sqlite() {
    tell(Parts::SQLITE_EMBEDDED, an_order_keeps_the_plan_of_the_release_that_it_started_with);
}

#[test]
fn a_plan_is_kept_on_postgres() {
    tell(Parts::POSTGRES_EMBEDDED, an_order_keeps_the_plan_of_the_release_that_it_started_with);
}

#[test]
fn indexed_anew_on_sqlite() {
    tell(Parts::SQLITE_EMBEDDED, what_was_stored_before_a_search_parameter_is_found_by_it);
}

#[test]
fn indexed_anew_on_postgres() {
    tell(Parts::POSTGRES_EMBEDDED, what_was_stored_before_a_search_parameter_is_found_by_it);
}

async fn a_hub_does_not_start_where_what_it_needs_is_gone(world: World) {
    world.hub().await.closes().await;
    record(&world, 9001, "later").await;
    record(&world, 9002, "contract 9001 the column before later").await;
    let said = world.no_hub_with(&[]).await;
    assert!(said.contains("database: ") && said.contains("this database is for newer hubs"), "{said}");
    assert!(said.contains("before migration 9001") && said.contains("start a hub of the release"), "{said}");
}

#[test]
fn a_step_ahead_on_sqlite() {
    tell(Parts::SQLITE_EMBEDDED, a_hub_lives_with_a_schema_one_step_ahead);
}

#[test]
fn a_step_ahead_on_postgres() {
    tell(Parts::POSTGRES_EMBEDDED, a_hub_lives_with_a_schema_one_step_ahead);
}

#[test]
fn too_far_ahead_on_sqlite() {
    tell(Parts::SQLITE_EMBEDDED, a_hub_does_not_start_where_what_it_needs_is_gone);
}

#[test]
fn too_far_ahead_on_postgres() {
    tell(Parts::POSTGRES_EMBEDDED, a_hub_does_not_start_where_what_it_needs_is_gone);
}
