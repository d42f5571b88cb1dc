//! `hub doctor` finds what is wrong, says what to do about it, and changes nothing.

use serde_json::Value;
use tests::bodies::laboratory;
use tests::{Database, Parts, Program, Queue, World, stories, tell, until};

stories![a_hub_that_is_well_is_found_well, a_message_that_was_parked_is_told_of];

/// What the doctor says of a hub on these parts: its exit code and its findings.
async fn examined(database: &str, queue: &str) -> (i32, Vec<Value>) {
    let arguments = ["doctor", "--database", database, "--queue", queue, "--json"];
    let (code, said, errors) = Program::run("hub", &arguments).await;
    assert_eq!(errors, "");
    let mut said: Value = serde_json::from_str(&said).unwrap_or_else(|why| panic!("{why}: {said}"));
    let Value::Array(findings) = said["findings"].take() else { panic!("no findings: {said}") };
    (code, findings)
}

/// How the one thing of this name is, and all that is said of it.
#[track_caller]
fn of<'f>(findings: &'f [Value], what: &str) -> (&'f str, String) {
    let finding = findings.iter().find(|finding| finding["what"] == what);
    let finding = finding.unwrap_or_else(|| panic!("nothing is said of {what}: {findings:#?}"));
    let text = |name: &str| finding[name].as_str().unwrap();
    (text("health"), format!("{} -> {}", text("finding"), text("advice")))
}

async fn a_hub_that_is_well_is_found_well(world: World) {
    if !Program::are_built() {
        return;
    }
    let hub = world.hub().await;
    hub.submits(laboratory()).await;
    let examine = async || examined(&world.database, &world.queue).await;
    // The outbox empties, and what has just come due fires.
    let settled = |(_, findings): &(i32, Vec<Value>)| of(findings, "outbox").1.starts_with("empty");
    let (code, findings) = until("the outbox is empty", examine, settled).await;
    assert_eq!(code, 0, "{findings:#?}");
    for what in ["configuration", "database", "tables", "clock", "outbox", "parked", "offers of laboratory", "broker"] {
        let (health, text) = of(&findings, what);
        assert_eq!(health, "ok", "{what}: {text}");
    }
    let name = if world.parts.database == Database::Postgres { "PostgreSQL" } else { "SQLite" };
    assert!(of(&findings, "database").1.starts_with(name));
    if world.parts.queue == Queue::RabbitMq {
        let (health, text) = of(&findings, "hub.v1.work.open.laboratory.routine");
        assert_eq!((health, text.contains("nobody reads it")), ("warning", true), "{text}");
        let (health, text) = of(&findings, "hub.v1.reports");
        assert_eq!((health, text.contains("1 read it")), ("ok", true), "{text}");
    }
    hub.closes().await;
}

async fn a_message_that_was_parked_is_told_of(world: World) {
    if !Program::are_built() {
        return;
    }
    let hub = world.hub().await;
    let mut worker = hub.worker("laboratory", "Organization/lab").await;
    worker.posts("x", b"no report at all".to_vec()).await;
    hub.finds_parked().await;
    let (code, findings) = examined(&world.database, &world.queue).await;
    assert_eq!(code, 0, "a warning is no failure: {findings:#?}");
    let (health, text) = of(&findings, "parked");
    assert_eq!((health, text.as_str()), ("warning", "1 messages wait for a person -> hub parked list"));
    hub.closes().await;
}

/// Nobody listens at port 1.
#[test]
fn what_is_down_fails_with_advice_and_without_its_password() {
    tell(Parts::SQLITE_EMBEDDED, |world| async move {
        if !Program::are_built() {
            return;
        }
        let (code, findings) =
            examined("postgres://hub:hunter2@127.0.0.1:1/hub", "amqp://hub:hunter2@127.0.0.1:1/%2f").await;
        assert_eq!(code, 1);
        for (what, advice) in [("database", "see that it runs, and that database"), ("broker", "see that it runs, and")]
        {
            let (health, text) = of(&findings, what);
            assert_eq!((health, text.contains(advice)), ("failed", true), "{text}");
        }
        assert!(!format!("{findings:?}").contains("hunter2"), "{findings:?}");
        // The one is down, the other is looked at all the same; and what is not there yet is not made.
        let (code, findings) = examined(&world.database, "amqp://127.0.0.1:1").await;
        assert_eq!((code, of(&findings, "database").0), (1, "warning"));
        assert!(of(&findings, "database").1.ends_with("-> hub serve makes it"));
        assert!(!world.folder().join("hub.db").exists());
    });
}

#[test]
fn a_wrong_configuration_is_told_fault_by_fault() {
    tell(Parts::SQLITE_EMBEDDED, |_| async {
        if !Program::are_built() {
            return;
        }
        let arguments = ["doctor", "--database", "mysql://hub:hunter2@db/hub", "--set", "offers_max=many"];
        let (code, said, _) = Program::run("hub", &arguments).await;
        assert_eq!(code, 1);
        let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("FAILED   configuration  ")).collect();
        assert_eq!(failed.len(), 2, "{said}");
        assert!(said.contains("offers_max") && said.contains("-> allowed: a whole number"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    });
}

/// A database that no hub has started on yet.
#[test]
fn a_database_without_tables_is_left_without() {
    tell(Parts::POSTGRES_EMBEDDED, |world| async move {
        if !Program::are_built() {
            return;
        }
        for _ in 0..2 {
            let (code, findings) = examined(&world.database, &world.queue).await;
            let (health, text) = of(&findings, "tables");
            assert_eq!((code, health), (0, "warning"));
            assert!(text.starts_with("migrations 1") && text.ends_with("hub serve runs them when it starts"), "{text}");
        }
        let hub = world.hub().await;
        let (_, findings) = examined(&world.database, &world.queue).await;
        assert_eq!(of(&findings, "tables").0, "ok");
        hub.closes().await;
    });
}
