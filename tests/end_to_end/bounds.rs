//! What would read too much is refused as such, before it has: on a hub that may look at a hundred rows.

use serde_json::{Value, json};
use tests::bodies::transaction;
use tests::{Client, Reply, World, stories};

stories![
    a_search_that_would_read_too_much_is_refused,
    what_comes_along_is_bounded,
    a_condition_that_would_read_too_much_changes_nothing,
];

/// As few as a site may set.
const ROWS_LIMIT: usize = 100;
const PATIENTS: usize = 250;
/// Entries of a Bundle, at most.
const AT_ONCE: usize = 500;

async fn stores(hub: &Client, resources: &[Value]) -> Vec<String> {
    let mut stored = Vec::new();
    for some in resources.chunks(AT_ONCE) {
        let told = hub.post("", &transaction(some)).await.is(200).body;
        for entry in told["entry"].as_array().unwrap() {
            let (path, _) = entry["response"]["location"].as_str().unwrap().split_once("/_history/").unwrap();
            stored.push(path.trim_start_matches(&hub.base).trim_start_matches('/').to_owned());
        }
    }
    stored
}

/// All men and all alike, but for the first.
fn patient(n: usize) -> Value {
    json!({
        "resourceType": "Patient",
        "identifier": [{ "system": "urn:numbers", "value": n.to_string() }],
        "name": [{ "family": format!("Alike {n}") }],
        "gender": if n == 0 { "female" } else { "male" },
        "birthDate": if n == 0 { "1950-01-01" } else { "1960-01-01" },
    })
}

/// Each patient has been weighed once, and each has had one encounter.
async fn crowd(hub: &Client) -> Vec<String> {
    let patients = stores(hub, &(0..PATIENTS).map(patient).collect::<Vec<_>>()).await;
    let weighed = |patient: &String| {
        json!({ "resourceType": "Observation", "status": "final", "code": { "text": "weight" },
            "subject": { "reference": patient }, "valueString": "much" })
    };
    stores(hub, &patients.iter().map(weighed).collect::<Vec<_>>()).await;
    let seen = |patient: &String| {
        json!({ "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" },
            "subject": { "reference": patient } })
    };
    stores(hub, &patients.iter().map(seen).collect::<Vec<_>>()).await;
    patients
}

async fn on_few_rows(world: &World) -> tests::Hub {
    world.hub_with(&[("search_rows_limit", &ROWS_LIMIT.to_string())]).await
}

#[track_caller]
fn is_too_costly(reply: Reply, search: &str) {
    let reply = reply.refuses(422, "too-costly", "");
    let helps = ["narrow", "ask for fewer"].iter().any(|hint| reply.says().contains(hint));
    assert!(helps, "{search}: what can be done is said: {}", reply.says());
}

async fn a_search_that_would_read_too_much_is_refused(world: World) {
    let hub = on_few_rows(&world).await;
    let patients = crowd(&hub).await;
    for search in [
        // None of them, or few at the end of many.
        "Patient?gender:not=male,female",
        "Patient?gender:not=male&_count=1",
        "Patient?name:contains=nobody",
        "Patient?family:contains=zz,yy&gender=male",
        "Observation?code:text=height",
        "Observation?value-string:contains=little",
        "Patient?birthdate:missing=true",
        // Both ends of a link are wide.
        "Patient?_has:Observation:subject:value-string:contains=little&gender=male",
        "Patient?_has:Observation:subject:status=final",
        "Patient?_has:Observation:subject:code:text=height",
        "Patient?_has:Observation:subject:patient.gender=male",
        "Observation?subject:Patient.gender=male",
        "Observation?patient.gender:not=female",
        "Observation?patient.name:contains=nobody",
        "Observation?subject:Patient._has:Encounter:subject:status=finished",
        // To be sorted or counted, all are looked at.
        "Patient?_sort=_id",
        "Patient?_sort=family",
        "Patient?gender=male&_sort=birthdate",
        "Patient?gender=male&_total=accurate",
        "Patient?_summary=count",
        "?_type=Encounter,Patient&_total=accurate",
    ] {
        is_too_costly(hub.get(search).await, search);
    }
    // The same where something narrow stands beside it.
    let first = &patients[0];
    let id = first.split('/').nth(1).unwrap();
    for search in [
        "Patient?gender:not=male&identifier=urn:numbers|0".to_owned(),
        "Patient?name:contains=like&identifier=urn:numbers|0".to_owned(),
        "Patient?name:contains=like&birthdate=lt1955".to_owned(),
        "Patient?_has:Observation:subject:status=final&identifier=urn:numbers|0".to_owned(),
        format!("Patient?_has:Observation:subject:status=final&_id={id}"),
        format!("Observation?subject:Patient.gender:not=male&subject={first}"),
        format!("Observation?value-string:contains=uch&subject={first}"),
        "Observation?subject:Patient.identifier=urn:numbers|0".to_owned(),
        "Patient?birthdate=1950-01-01&_sort=family&_total=accurate".to_owned(),
    ] {
        let found = hub.get(&search).await.is(200);
        assert_eq!(found.resources().len(), 1, "{search}");
    }
    // A page of what nearly all are is near at hand, and its total nobody has to know.
    for search in [
        "Patient?gender:not=female&_count=20",
        "Patient?gender=male&_total=estimate&_count=20",
        "Patient?_has:Observation:subject:status=final&gender=male&_count=20",
    ] {
        let page = hub.get(search).await.is(200);
        assert_eq!((page.resources().len(), &page.body["total"]), (20, &Value::Null), "{search}");
        assert_eq!(hub.finds(search).await.len(), PATIENTS - 1, "page by page, each within the limit: {search}");
    }
    // The hub is none the worse for it.
    assert_eq!(hub.get("/health/ready").await.is(200).body["database"], "ready");
    hub.closes().await;
}

async fn what_comes_along_is_bounded(world: World) {
    let hub = world.hub().await;
    let patient = hub.post("Patient", &patient(0)).await.is(201).reference();
    let encounter = json!({ "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" },
        "subject": { "reference": patient } });
    stores(&hub, &vec![encounter; 1_001]).await;
    let search = "Patient?gender=female&_revinclude=Encounter:subject";
    is_too_costly(hub.get(search).await, search);
    assert_eq!(hub.get("Encounter?_include=Encounter:subject&_count=200").await.is(200).resources().len(), 201);
    hub.closes().await;
}

async fn a_condition_that_would_read_too_much_changes_nothing(world: World) {
    let hub = on_few_rows(&world).await;
    crowd(&hub).await;
    let condition = "name:contains=nobody";
    let body = json!({ "resourceType": "Patient", "gender": "other" });
    is_too_costly(hub.post("Patient", &body).header("if-none-exist", condition).await, "create");
    is_too_costly(hub.put(&format!("Patient?{condition}"), &body).await, "update");
    is_too_costly(
        hub.patch(&format!("Patient?{condition}"), json!([{ "op": "remove", "path": "/name" }])).await,
        "patch",
    );
    is_too_costly(hub.delete(&format!("Patient?{condition}")).await, "delete");
    let entry =
        json!({ "resource": body, "request": { "method": "POST", "url": "Patient", "ifNoneExist": condition } });
    let location =
        json!({ "resource": { "resourceType": "Location" }, "request": { "method": "POST", "url": "Location" } });
    let both = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [location, entry] });
    is_too_costly(hub.post("", &both).await, "transaction");
    assert_eq!(hub.finds("Location").await.len(), 0, "all or nothing");
    assert_eq!(hub.finds("Patient?gender=other").await.len(), 0);
    assert_eq!(hub.finds("_history?_count=200").await.len(), 3 * PATIENTS, "nothing has a second version");
    hub.closes().await;
}
