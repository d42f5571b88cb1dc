//! Searches that look at what a resource does not have, and at other resources.

use hub_domain::query::{Filter, Inner, Query, Sort, SortBy, find};
use hub_domain::registry::{Registry, Trouble};
use schemas::resource::{Key, Kind};
use serde_json::{Value, json};

use crate::build::*;
use crate::place::{Place, options};
use crate::schema::run;

fn kind(name: &str) -> Kind {
    Kind::parse(name).unwrap()
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

fn chain(of: &str, by: &str, to: &str, filters: Vec<Filter>) -> Filter {
    Filter::Chain { param: find(kind(of), by).unwrap(), to: Inner { kind: kind(to), filters } }
}

fn has(from: &str, by: &str, filters: Vec<Filter>) -> Filter {
    Filter::Has { param: find(kind(from), by).unwrap(), from: Inner { kind: kind(from), filters } }
}

async fn by(place: &Place, of: &str, filters: Vec<Filter>) -> Vec<String> {
    let mut found = found(&*place.registry, query_of(kind(of), filters)).await;
    found.sort_unstable();
    found
}

/// Each resource is an order of its own.
async fn stands(place: &Place, resources: &[(&str, &str, Value)]) {
    for (n, (of, id, body)) in (100..).zip(resources) {
        create(&*place.registry, n, Key::new(kind(of), *id), body.clone()).await;
    }
}

fn to(reference: &str) -> Value {
    json!({ "reference": reference })
}

/// Two patients, a request for each, and Tasks about these.
async fn a_small_practice(place: &Place) {
    let patient = |number: &str, surgery: &str| json!({ "identifier": [{ "system": "urn:nhs", "value": number }], "managingOrganization": to(surgery) });
    let request = |status: &str, patient: &str| json!({ "status": status, "intent": "order", "subject": to(patient) });
    let task = |status: &str, focus: &str, patient: &str| json!({ "status": status, "intent": "order", "focus": to(focus), "for": to(patient) });
    let surgery = |code: &str| json!({ "identifier": [{ "system": "urn:ods", "value": code }] });
    let resources = [
        ("Organization", "north", surgery("N1")),
        ("Organization", "south", surgery("S1")),
        ("Patient", "ada", patient("1", "Organization/north")),
        ("Patient", "bob", patient("2", "Organization/south")),
        ("ServiceRequest", "for-ada", request("active", "Patient/ada")),
        ("ServiceRequest", "for-bob", request("draft", "Patient/bob")),
        ("Task", "a1", task("in-progress", "ServiceRequest/for-ada", "Patient/ada")),
        ("Task", "a2", task("completed", "ServiceRequest/for-ada", "Patient/ada")),
        ("Task", "b1", task("ready", "ServiceRequest/for-bob", "Patient/bob")),
        ("Task", "nobody", json!({ "status": "ready", "intent": "order" })),
    ];
    stands(place, &resources).await;
}

pub(crate) async fn what_does_not_have_a_value_is_found_too(place: Place) {
    let coded = |code: &str| json!({ "coding": [{ "system": "urn:c", "code": code }] });
    let codes = |codes: &[&str]| json!({ "status": "ready", "performerType": codes.iter().map(|code| coded(code)).collect::<Vec<_>>(), "code": coded(codes[0]) });
    let mut plain = json!({ "status": "completed", "businessStatus": { "text": "no code" } });
    plain["priority"] = json!("urgent");
    let resources =
        [("Task", "both", codes(&["lab", "nurse"])), ("Task", "lab", codes(&["lab"])), ("Task", "none", plain)];
    stands(&place, &resources).await;
    let task = Kind::TASK;
    for (name, values, expected) in [
        ("performer", "nurse", vec!["lab", "none"]),
        ("performer", "urn:c|lab", vec!["none"]),
        ("performer", "urn:x|lab", vec!["both", "lab", "none"]),
        ("performer", "urn:c|", vec!["none"]),
        ("performer", "nurse,lab", vec!["none"]),
        ("code", "lab", vec!["none"]),
        ("status", "completed", vec!["both", "lab"]),
        ("status", "ready,completed", vec![]),
        ("status", "urn:x|ready", vec!["both", "lab", "none"]),
        ("priority", "urgent", vec!["both", "lab"]),
        ("priority", "routine", vec!["both", "lab", "none"]),
        ("business-status", "no code", vec!["both", "lab", "none"]),
    ] {
        let filter = not(token(task, name, values));
        assert_eq!(by(&place, "Task", vec![filter.clone()]).await, expected, "{name}:not={values}");
        // Beside one that drives.
        let there: Vec<&str> = expected.iter().copied().filter(|id| *id != "none").collect();
        let beside = vec![token(task, "status", "ready"), filter];
        assert_eq!(by(&place, "Task", beside).await, there, "{name}:not={values}");
    }
}

pub(crate) async fn a_resource_is_found_by_what_it_points_to(place: Place) {
    a_small_practice(&place).await;
    let number = |number: &str| token(kind("Patient"), "identifier", number);
    let of = |filter: Filter| vec![chain("Task", "patient", "Patient", vec![filter])];
    assert_eq!(by(&place, "Task", of(number("urn:nhs|1"))).await, ["a1", "a2"]);
    assert_eq!(by(&place, "Task", of(number("1,2"))).await, ["a1", "a2", "b1"]);
    assert!(by(&place, "Task", of(number("3"))).await.is_empty());
    assert_eq!(by(&place, "Task", of(not(number("1")))).await, ["b1"], "it points to one that is not so");
    let mut both = of(number("1"));
    both.push(token(Kind::TASK, "status", "completed"));
    assert_eq!(by(&place, "Task", both).await, ["a2"]);
    let active = vec![token(kind("ServiceRequest"), "status", "active")];
    assert_eq!(by(&place, "Task", vec![chain("Task", "focus", "ServiceRequest", active)]).await, ["a1", "a2"]);
}

pub(crate) async fn a_resource_is_found_by_what_points_to_it(place: Place) {
    a_small_practice(&place).await;
    let status = |code: &str| token(Kind::TASK, "status", code);
    let requests = async |filters: Vec<Filter>| by(&place, "ServiceRequest", filters).await;
    assert_eq!(requests(vec![has("Task", "focus", vec![status("in-progress")])]).await, ["for-ada"]);
    assert_eq!(requests(vec![has("Task", "focus", vec![status("ready,completed")])]).await, ["for-ada", "for-bob"]);
    assert!(requests(vec![has("Task", "focus", vec![status("failed")])]).await.is_empty());
    // Each criterion for itself may be met by another Task.
    let each = ["in-progress", "completed"].map(|code| has("Task", "focus", vec![status(code)]));
    assert_eq!(requests(each.to_vec()).await, ["for-ada"]);
    // What points to a patient is not taken for what points to a request.
    assert_eq!(by(&place, "Patient", vec![has("Task", "patient", vec![status("ready")])]).await, ["bob"]);
}

pub(crate) async fn links_may_follow_one_another(place: Place) {
    a_small_practice(&place).await;
    let of_surgery = |code: &str| {
        let surgery =
            chain("Patient", "organization", "Organization", vec![token(kind("Organization"), "identifier", code)]);
        chain("ServiceRequest", "subject", "Patient", vec![surgery])
    };
    let tasks = |code: &str| vec![chain("Task", "focus", "ServiceRequest", vec![of_surgery(code)])];
    assert_eq!(by(&place, "Task", tasks("N1")).await, ["a1", "a2"]);
    assert_eq!(by(&place, "Task", tasks("S1")).await, ["b1"]);
    assert!(by(&place, "Task", tasks("W1")).await.is_empty());
    // Patients with a request that is worked on; and Tasks whose patient has one.
    let worked =
        has("ServiceRequest", "subject", vec![has("Task", "focus", vec![token(Kind::TASK, "status", "in-progress")])]);
    assert_eq!(by(&place, "Patient", vec![worked.clone()]).await, ["ada"]);
    assert_eq!(by(&place, "Task", vec![chain("Task", "patient", "Patient", vec![worked])]).await, ["a1", "a2"]);
}

const MANY: u128 = 501;

pub(crate) async fn more_behind_a_link_than_are_carried_is_refused(place: Place) {
    let at = now(&*place.registry).await;
    let mut deciding = deciding(at).on(root(1), None);
    for n in 0..MANY {
        let task = json!({ "status": "ready", "focus": to(&format!("ServiceRequest/{}", n % 3)) });
        deciding = deciding.creates(root(1), Key::task(n.to_string()), task);
    }
    commit_one(&*place.registry, deciding.done()).await;
    stands(&place, &[("ServiceRequest", "0", json!({ "status": "active", "intent": "order" }))]).await;
    let ready = token(Kind::TASK, "status", "ready");
    let query = query_of(kind("ServiceRequest"), vec![has("Task", "focus", vec![ready.clone()])]);
    let refused = place.registry.search(&query).await;
    let Err(Trouble::TooWide { kind: told, by: link, limit }) = refused else { panic!("{refused:?}") };
    assert_eq!((told, link, limit), (Kind::TASK, "focus", 500));
    let narrowed = vec![has("Task", "focus", vec![ready, Filter::Id(vec!["3".into()])])];
    assert_eq!(self::by(&place, "ServiceRequest", narrowed).await, ["0"]);
}

pub(crate) async fn a_wide_link_is_followed_from_what_is_narrow(place: Place) {
    let at = now(&*place.registry).await;
    let mut deciding = deciding(at).on(root(1), None);
    for n in 0..520 {
        let status = if n % 100 == 0 { "draft" } else { "active" };
        let request = json!({ "status": status, "intent": "order" });
        deciding = deciding.creates(root(1), Key::new(kind("ServiceRequest"), format!("r{n}")), request);
        let priority = if n % 50 == 0 { "stat" } else { "routine" };
        let task = json!({ "status": "ready", "priority": priority, "focus": to(&format!("ServiceRequest/r{n}")) });
        deciding = deciding.creates(root(1), Key::task(format!("t{n}")), task);
    }
    assert_eq!(commit_one(&*place.registry, deciding.done()).await.0, hub_domain::registry::Committed::Done);

    let active = vec![token(kind("ServiceRequest"), "status", "active")];
    let of_active = chain("Task", "focus", "ServiceRequest", active);
    let ready = has("Task", "focus", vec![token(Kind::TASK, "status", "ready")]);
    let stat = has("Task", "focus", vec![token(Kind::TASK, "priority", "stat")]);
    let draft = token(kind("ServiceRequest"), "status", "draft");
    let urgent = token(Kind::TASK, "priority", "stat");
    for (of, filters, expected) in [
        ("Task", vec![urgent.clone(), of_active.clone()], "t150 t250 t350 t450 t50"),
        ("Task", vec![of_active.clone(), not(token(Kind::TASK, "priority", "routine"))], "t150 t250 t350 t450 t50"),
        ("ServiceRequest", vec![ready.clone(), draft.clone()], "r0 r100 r200 r300 r400 r500"),
        ("ServiceRequest", vec![ready.clone(), stat, draft.clone()], "r0 r100 r200 r300 r400 r500"),
    ] {
        let query = Query { count: 2, ..query_of(kind(of), filters) };
        assert_eq!(place.registry.count(&query).await.unwrap() as usize, expected.split(' ').count(), "{query:?}");
        let by_id = sorted(query.clone(), &[Sort { by: SortBy::Id, descending: false }]);
        assert_eq!(found(&*place.registry, by_id).await.join(" "), expected, "{query:?}");
        let mut ids = found(&*place.registry, query).await;
        ids.sort_unstable();
        assert_eq!(ids.join(" "), expected);
    }
    let wide = place.registry.search(&query_of(kind("ServiceRequest"), vec![ready])).await;
    assert!(matches!(wide, Err(Trouble::TooWide { .. })), "{wide:?}");
}

/// As many values as a link may bring are more than one statement takes.
pub(crate) async fn paging_over_a_link_joins_up(place: Place) {
    let at = now(&*place.registry).await;
    let mut deciding = deciding(at).on(root(1), None);
    for n in 0..150 {
        let (patient, task) = (Key::new(kind("Patient"), format!("p{n}")), Key::task(format!("t{n:03}")));
        deciding = deciding.creates(root(1), patient, json!({ "gender": "female" }));
        let body = json!({ "status": if n % 2 == 0 { "ready" } else { "draft" }, "for": to(&format!("Patient/p{n}")) });
        deciding = deciding.creates(root(1), task, body);
    }
    commit_one(&*place.registry, deciding.done()).await;
    stands(&place, &[("Task", "other", json!({ "status": "ready", "for": to("Patient/else") }))]).await;
    let of_women = chain("Task", "patient", "Patient", vec![token(kind("Patient"), "gender", "female")]);
    let query = Query { count: 7, ..task_query(vec![of_women]) };
    let mut expected: Vec<String> = (0..150).map(|n| format!("t{n:03}")).collect();
    let by_id = sorted(query.clone(), &[Sort { by: SortBy::Id, descending: false }]);
    assert_eq!(found(&*place.registry, by_id).await, expected);
    expected.reverse();
    assert_eq!(found(&*place.registry, query).await, expected, "the newest first, each once");
}

/// By index rows, by a Task's columns and by its id; and also while no index knows of them.
pub(crate) async fn what_points_to_a_resource_is_told_for_all_types_at_once(place: Place) {
    a_small_practice(&place).await;
    let event = |status: &str, of: &[&str]| json!({ "status": status, "basedOn": of.iter().map(|of| to(of)).collect::<Vec<_>>() });
    let pointing = [
        ("Observation", "first", event("final", &["ServiceRequest/for-ada"])),
        ("Observation", "second", event("preliminary", &["ServiceRequest/for-ada", "ServiceRequest/for-bob"])),
        ("Observation", "other", event("final", &["ServiceRequest/nobody"])),
        ("ServiceRequest", "child", event("active", &["ServiceRequest/for-bob"])),
    ];
    for (n, (of, id, body)) in (200..).zip(pointing) {
        create(&*place.registry, n, Key::new(kind(of), id), body).await;
    }
    let param = |of: &str, name: &str| find(kind(of), name).unwrap();
    let by = [
        param("ServiceRequest", "based-on"),
        param("Observation", "based-on"),
        param("Task", "focus"),
        param("Task", "patient"),
    ];
    let targets = |of: &[&str]| of.iter().map(|of| Key::of_reference(of).unwrap()).collect::<Vec<_>>();
    let told = async |registry: &dyn Registry, of: &[&str], limit| {
        let pointers = registry.pointing(&targets(of), &by, limit).await.unwrap();
        let told =
            pointers.into_iter().map(|at| format!("{} {} {}", at.by.name, at.from.id, at.status.unwrap_or_default()));
        told.collect::<Vec<_>>().join(", ")
    };
    let both = ["ServiceRequest/for-ada", "ServiceRequest/for-bob"];
    let all = "based-on child active, based-on second preliminary, based-on first final, \
               focus b1 ready, focus a2 completed, focus a1 in-progress";
    let registry = &*place.registry;
    assert_eq!(told(registry, &both, 10).await, all);
    assert_eq!(told(registry, &["ServiceRequest/for-ada"], 1).await, "based-on second preliminary, focus a2 completed");
    assert_eq!(told(registry, &["Patient/bob"], 10).await, "patient b1 ready");
    assert_eq!(told(registry, &["Patient/nobody"], 10).await + &told(registry, &[], 10).await, "");

    run(&place, "DELETE FROM search_token").await;
    run(&place, "UPDATE indexed SET elements = ''").await;
    let newer = place.again(options()).await;
    assert_eq!(
        told(&*newer.registry, &["ServiceRequest/for-ada"], 10).await,
        "based-on second preliminary, based-on first final, focus a2 completed, focus a1 in-progress"
    );
}
