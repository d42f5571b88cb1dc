//! How much a search reads, on 100,000 Tasks.

use hub_domain::decision::Decision;
use hub_domain::query::{Filter, Prefix, Query, Sort, SortBy, find};
use hub_domain::registry::{Committed, Trouble};
use hub_storage::Options;
use schemas::ids::TaskId;
use schemas::resource::{Key, Kind};
use schemas::task::TaskStatus;
use schemas::time::Timestamp;
use serde_json::{Value, json};

use crate::build::*;
use crate::place::{Place, options};

const TASKS: u32 = 100_000;
const TASKS_AN_ORDER: u32 = 4;
const ORDERS_A_BATCH: u32 = 125;
const TASK: Kind = Kind::TASK;

fn task(n: u32) -> Value {
    let status = TaskStatus::ALL[(n as usize * 7 + n as usize / 12) % 12].code();
    let priority = ["routine", "routine", "urgent", "asap", "stat"][n as usize % 5];
    let code = ["fulfill", "collect", "analyse", "abort"][n as usize % 4];
    let (day, second) = (1 + n % 28, n % 60);
    let mut task = json!({
        "status": status, "intent": if n.is_multiple_of(50) { "plan" } else { "order" }, "priority": priority,
        "identifier": [{ "system": "urn:n", "value": n.to_string() }],
        "code": { "coding": [{ "system": "urn:c", "code": code }] },
        "businessStatus": { "coding": [{ "system": "urn:b", "code": format!("b{}", n % 7) }] },
        "groupIdentifier": { "system": "urn:g", "value": (n / 1000).to_string() },
        "performerType": [{ "coding": [{ "system": "urn:p", "code": format!("p{}", n % 11) }] }],
        "focus": { "reference": format!("ServiceRequest/{}", n / 200) },
        "basedOn": [{ "reference": format!("ServiceRequest/{}", n / 100) }],
        "partOf": [{ "reference": format!("Task/{}", n / 300) }],
        "requester": { "reference": format!("Practitioner/{}", n % 13) },
        "for": { "reference": format!("Patient/{}", n % 29), "identifier": { "system": "urn:nhs", "value": (n % 31).to_string() } },
        "encounter": { "reference": format!("Encounter/{}", n % 1009) },
        "authoredOn": format!("2026-{:02}-{day:02}T00:00:{second:02}Z", 1 + n % 12),
        "lastModified": format!("2026-{:02}-{day:02}T00:00:{second:02}.5Z", 1 + n % 12),
    });
    if !n.is_multiple_of(3) {
        task["owner"] = json!({ "reference": format!("Organization/{}", n % 17) });
    }
    task
}

fn order(n: u32, now: Timestamp) -> Decision {
    let root = root(u128::from(n) << 64 | 1);
    let mut decision = deciding(now).on(root, None);
    for step in 0..TASKS_AN_ORDER {
        let key = Key::task(TaskId { root, step, occurrence: 1 });
        decision = decision.creates(root, key, task(n * TASKS_AN_ORDER + step));
    }
    decision.done()
}

async fn fill(place: &Place) {
    let registry = &*place.registry;
    let orders: Vec<u32> = (0..TASKS / TASKS_AN_ORDER).collect();
    for batch in orders.chunks(ORDERS_A_BATCH as usize) {
        let at = now(registry).await;
        let decisions: Vec<Decision> = batch.iter().map(|n| order(*n, at)).collect();
        assert!(commit(registry, &decisions).await.iter().all(|outcome| *outcome == Committed::Done));
    }
}

/// Every single parameter, and the usual worklists.
fn queries() -> Vec<Query> {
    let status = |codes: &str| token(TASK, "status", codes);
    let owner = || reference(TASK, "owner", "Organization/5");
    let open = "requested,ready,accepted,in-progress";
    let alone = [
        token(TASK, "identifier", "urn:n|777"),
        token(TASK, "identifier", "777"),
        status("requested"),
        status("completed"),
        status(open),
        token(TASK, "business-status", "b3"),
        token(TASK, "code", "collect"),
        token(TASK, "code", "urn:c|collect"),
        token(TASK, "intent", "plan"),
        token(TASK, "intent", "order"),
        token(TASK, "priority", "stat"),
        token(TASK, "priority", "routine"),
        token(TASK, "group-identifier", "urn:g|42"),
        token(TASK, "performer", "p4"),
        reference(TASK, "focus", "ServiceRequest/77"),
        reference(TASK, "based-on", "ServiceRequest/77"),
        reference(TASK, "part-of", "Task/77"),
        owner(),
        reference(TASK, "owner", "Organization/5,Organization/6,Organization/none"),
        reference(TASK, "owner", "Organization/none"),
        reference(TASK, "requester", "Practitioner/5"),
        reference(TASK, "subject", "Patient/5"),
        reference(TASK, "patient", "Patient/5"),
        reference_identifier(TASK, "subject", "urn:nhs|5"),
        reference_identifier(TASK, "patient", "urn:nhs|5"),
        reference(TASK, "encounter", "Encounter/5"),
        date(TASK, "authored-on", Prefix::Ge, "2026-06"),
        date(TASK, "authored-on", Prefix::Gt, "2026-06-03"),
        date(TASK, "authored-on", Prefix::Eq, "2026-06-03"),
        date(TASK, "authored-on", Prefix::Lt, "2026-06"),
        date(TASK, "modified", Prefix::Gt, "2026-06"),
        date(TASK, "modified", Prefix::Le, "2026-06"),
        date(TASK, "modified", Prefix::Eq, "2026-06-03"),
        Filter::Id(vec![Key::task(TaskId { root: root(5 << 64 | 1), step: 2, occurrence: 1 }).id, "none".into()]),
        Filter::LastUpdated(date_match(Prefix::Gt, "2026-01-01")),
        Filter::LastUpdated(date_match(Prefix::Lt, "2099-01-01")),
        missing(TASK, "owner", true),
    ];
    let together = [
        vec![owner(), status("requested")],
        vec![owner(), status(open)],
        vec![owner(), status("completed")],
        vec![status("requested"), token(TASK, "code", "collect")],
        vec![status("requested"), token(TASK, "priority", "stat")],
        vec![status(open), token(TASK, "priority", "urgent,stat")],
        vec![reference(TASK, "patient", "Patient/5"), status(open)],
        vec![reference(TASK, "requester", "Practitioner/5"), status("ready")],
        vec![status("requested"), missing(TASK, "owner", true)],
        vec![token(TASK, "group-identifier", "urn:g|42"), status("requested")],
        vec![status("requested"), Filter::LastUpdated(date_match(Prefix::Gt, "2026-01-01"))],
    ];
    let urgency = [Sort { by: SortBy::Priority, descending: false }, Sort { by: SortBy::Authored, descending: false }];
    let newest = [Sort { by: SortBy::LastUpdated, descending: true }];
    let oldest = [Sort { by: SortBy::LastUpdated, descending: false }];
    let in_order = [
        sorted(task_query(vec![owner(), status(open)]), &urgency),
        sorted(task_query(vec![status("requested")]), &urgency),
        sorted(task_query(vec![]), &newest),
        sorted(task_query(vec![]), &oldest),
        task_query(vec![]),
    ];
    let alone = alone.into_iter().map(|filter| task_query(vec![filter]));
    alone.chain(together.into_iter().map(task_query)).chain(in_order).collect()
}

pub(crate) async fn no_task_search_reads_more_than_five_times_its_page(place: Place) {
    let registry = &*place.registry;
    let began = std::time::Instant::now();
    fill(&place).await;
    let filled = began.elapsed();
    let began = std::time::Instant::now();
    let queries = queries();
    for query in &queries {
        let page = registry.search(query).await.unwrap_or_else(|error| panic!("{error}: {query:?}"));
        let entries = page.entries.len() as u64;
        assert!(page.rows_read <= 5 * u64::from(query.count), "{} rows for {entries}: {query:?}", page.rows_read);
        // What lies deep in the answer costs no more.
        if let Some(next) = page.next {
            let second = registry.search(&Query { page: Some(next), ..query.clone() }).await.unwrap();
            assert!(second.rows_read <= 5 * u64::from(query.count), "{} rows: {query:?}", second.rows_read);
            assert!(second.entries.iter().all(|entry| !page.entries.contains(entry)));
        }
    }
    eprintln!("{TASKS} Tasks in {filled:?}; {} searches in {:?}", queries.len(), began.elapsed());
    what_reads_too_much_is_refused(&place).await;
    if place.is_postgres() {
        honest::postgres(&place, &queries).await;
    } else {
        honest::sqlite(&place, &queries).await;
    }
}

async fn what_reads_too_much_is_refused(place: &Place) {
    let strict = place.again(Options { search_rows_limit: 500, ..options() }).await.registry;
    // Nobody has this business status among the many of that code.
    let both = vec![token(TASK, "intent", "order"), missing(TASK, "encounter", true)];
    assert!(matches!(strict.search(&task_query(both)).await, Err(Trouble::TooCostly)));
    let by_id = [Sort { by: SortBy::Id, descending: false }];
    assert!(matches!(strict.search(&sorted(task_query(vec![]), &by_id)).await, Err(Trouble::TooCostly)));
    assert!(matches!(strict.count(&task_query(vec![])).await, Err(Trouble::TooCostly)));
    strict.close().await;
    // To sort by what is looked for in each resource, not many are.
    let by_intent = [Sort { by: SortBy::Param(find(Kind::TASK, "intent").unwrap()), descending: false }];
    let by_intent = sorted(task_query(vec![]), &by_intent);
    assert!(matches!(place.registry.search(&by_intent).await, Err(Trouble::TooCostly)));
    // As many rows as it likes, but no time.
    let hasty = Options { search_rows_limit: 10_000_000, search_timeout_ms: 1, ..options() };
    let hasty = place.again(hasty).await.registry;
    assert!(matches!(hasty.search(&sorted(task_query(vec![]), &by_id)).await, Err(Trouble::TooCostly)));
    // The connection is none the worse for it.
    assert!(hasty.health().await.is_ok());
    hasty.close().await;
}

/// Whether the database itself reads as little as the registry says.
pub(crate) mod honest {
    use super::*;

    use hub_domain::registry::Page;
    use sqlx::{Connection, PgConnection, Row, SqliteConnection};

    /// Rows and index entries that the server touched, by its own counters.
    const TOUCHED: &str = "
        SELECT coalesce(sum(seq_tup_read), 0)::bigint + coalesce(sum(idx_tup_fetch), 0)::bigint
          FROM pg_stat_user_tables
         WHERE relname IN ('task', 'resource', 'search_token', 'search_date', 'search_value')";

    async fn touched(server: &mut PgConnection) -> i64 {
        sqlx::query_scalar(TOUCHED).fetch_one(server).await.unwrap()
    }

    pub(crate) async fn postgres(place: &Place, queries: &[Query]) {
        // A connection reports what it read when it ends: from here on only the one that is looked at is open.
        place.registry.close().await;
        let mut server = PgConnection::connect(&place.url).await.unwrap();
        everybody_left(&mut server).await;
        // What the planner knows must not matter: nothing yet, and all.
        reads_little(place, queries, &mut server).await;
        sqlx::raw_sql("ANALYZE").execute(&mut server).await.unwrap();
        reads_little(place, queries, &mut server).await;
        server.close().await.unwrap();
    }

    async fn reads_little(place: &Place, queries: &[Query], server: &mut PgConnection) {
        let one = Options { read_connections: 1, ..options() };
        for query in queries {
            let (rows, page) = touched_for(place, one.clone(), query, server).await;
            let page = page.unwrap();
            // Each candidate is read twice: through the index of its arm, and by its number for the tests; and each
            // arm has looked at one row ahead.
            let allowed = 2 * 5 * i64::from(query.count);
            assert!(rows <= allowed, "{rows} rows touched for {}: {query:?}", page.entries.len());
            assert!(rows >= page.entries.len() as i64, "the counters counted nothing: {query:?}");
        }
    }

    /// How much the server touches for a search, and what comes of it. Only its connection may be open.
    pub(crate) async fn touched_for(
        place: &Place,
        options: Options,
        query: &Query,
        server: &mut PgConnection,
    ) -> (i64, Result<Page, Trouble>) {
        let registry = place.again(options).await.registry;
        let before = touched(server).await;
        let page = registry.search(query).await;
        registry.close().await;
        everybody_left(server).await;
        (touched(server).await - before, page)
    }

    /// A connection that has left the list of connections has reported.
    pub(crate) async fn everybody_left(server: &mut PgConnection) {
        const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        for _ in 0..1_000 {
            if sqlx::query_scalar::<_, i64>(OTHERS).fetch_one(&mut *server).await.unwrap() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("a connection does not end");
    }

    pub(crate) async fn sqlite(place: &Place, _: &[Query]) {
        // Every arm that the registry may ask for runs along an index and needs no sorting.
        let arms = [
            ("task", "owner = 'a' AND status = 'ready'", "seq DESC"),
            ("task", "owner IS NULL AND status = 'ready'", "seq DESC"),
            ("task", "requester = x'a0' AND status = 'ready'", "seq DESC"),
            ("task", "subject = x'a0' AND status = 'ready'", "seq DESC"),
            ("task", "code = x'a0' AND status = 'ready'", "seq DESC"),
            ("task", "grouped = x'a0' AND status = 'ready'", "seq DESC"),
            ("task", "priority = 1 AND status = 'ready'", "seq DESC"),
            ("task", "updated > 5 AND updated <= 9 AND modified IS NOT NULL", "updated, seq"),
            ("task", "modified IS NULL AND updated > 5", "updated, seq"),
            ("task", "modified >= 5", "modified, seq"),
            ("task", "status = 'ready' AND open = 1", "priority, authored, seq"),
            ("task", "owner = 'a' AND status = 'ready' AND open = 1", "priority, authored, seq"),
            ("search_token", "value = x'a0'", "seq DESC"),
            ("search_date", "param = 1 AND low >= 5", "low, seq"),
            // All of a type, and all texts of a parameter: until the limit is reached.
            ("resource", "kind = 'Patient'", "seq DESC"),
            ("resource", "kind = 'Patient' AND status = 'draft'", "seq DESC"),
            ("resource", "kind = 'Patient' AND updated > 5", "updated, seq"),
            ("search_value", "param = 1", "low, seq"),
        ];
        let arm = |(table, given, order): &(&str, &str, &str), limit: &str| {
            let keys = order.trim_end_matches(" DESC");
            format!(
                "SELECT {keys} FROM {table} WHERE {given}{}",
                if limit.is_empty() { String::new() } else { format!(" ORDER BY {order} {limit}") }
            )
        };
        let mut statements: Vec<String> = arms.iter().map(|parts| arm(parts, "LIMIT 21")).collect();
        let both =
            |one: usize, other: usize| format!("{} UNION ALL {}", arm(&arms[one], ""), arm(&arms[other], "LIMIT 21"));
        statements.extend([both(0, 1), both(4, 12), both(8, 8), both(10, 11)]);
        let mut connection = SqliteConnection::connect(&place.url).await.unwrap();
        for statement in statements {
            let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
            for row in plan.fetch_all(&mut connection).await.unwrap() {
                let step: String = row.get("detail");
                assert!(!step.contains("SCAN") && !step.contains("TEMP B-TREE"), "{step}: {statement}");
            }
        }
        connection.close().await.unwrap();
    }
}
