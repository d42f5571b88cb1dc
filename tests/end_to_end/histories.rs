//! What was: of one resource, of a type, of everything; and reads of what has changed since.

use std::time::Duration;

use serde_json::json;
use tests::bodies::{With, laboratory, referral};
use tests::{Hub, World, stories};

stories![
    the_history_of_everything_is_told_newest_first,
    what_was_current_at_a_time_is_told,
    what_has_not_changed_since_is_not_sent_again,
];

/// Each entry as `METHOD Type/id/version`, over all pages. Every entry has a request and a response.
async fn told(hub: &Hub, path: &str) -> Vec<String> {
    let (mut told, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let page = hub.get(&path).await.is(200);
        assert_eq!(page.body["type"], "history");
        for entry in page.body["entry"].as_array().into_iter().flatten() {
            let (request, response) = (&entry["request"], &entry["response"]);
            let name = entry["fullUrl"].as_str().unwrap().strip_prefix(&format!("{}/", hub.base)).unwrap();
            let version = response["etag"].as_str().unwrap().trim_start_matches("W/").trim_matches('"');
            assert!(request["url"].is_string() && response["status"].is_string(), "{entry}");
            assert_eq!(entry["resource"].is_null(), request["method"] == "DELETE", "{entry}");
            told.push(format!("{} {name}/{version}", request["method"].as_str().unwrap()));
        }
        next = page.link("next");
    }
    told
}

async fn the_history_of_everything_is_told_newest_first(world: World) {
    let hub = world.hub().await;
    let patient = hub.post("Patient", &json!({ "resourceType": "Patient" })).await.is(201).reference();
    let order = hub.submits(laboratory()).await;
    hub.takes(&order.step(2), "Organization/lab-1").await.is(200);
    hub.delete(&patient).await.is(204);
    for count in [1, 3, 50] {
        let all = told(&hub, &format!("_history?_count={count}")).await;
        assert_eq!(all.first().unwrap(), &format!("DELETE {patient}/2"), "{count} a page");
        assert_eq!(all.last().unwrap(), &format!("POST {patient}/1"));
        // The request, five Tasks, the claimed one and what it made of the whole, the patient twice.
        assert_eq!(all.len(), 9, "{all:?}");
        let tasks: Vec<&String> = all.iter().filter(|entry| entry.contains(" Task/")).collect();
        assert_eq!(tasks, told(&hub, &format!("Task/_history?_count={count}")).await.iter().collect::<Vec<_>>());
    }
    let last = hub.reads(&order.step(2)).await["meta"]["lastUpdated"].as_str().unwrap().to_owned();
    let since = told(&hub, &format!("_history?_since={last}")).await;
    assert_eq!(since.len(), 3, "{since:?}");
    hub.get("_history?_since=yesterday").await.refuses(400, "value", "");
    hub.get("_history?status=active").await.refuses(400, "value", "");
    hub.closes().await;
}

/// Longer than a moment by which versions are told apart.
async fn a_moment_passes() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

async fn what_was_current_at_a_time_is_told(world: World) {
    let hub = world.hub().await;
    let draft = hub.post("ServiceRequest", &referral().with(json!({ "status": "draft" }))).await.is(201);
    let request = draft.reference();
    a_moment_passes().await;
    let patient = hub.post("Patient", &json!({ "resourceType": "Patient" })).await.is(201);
    let then = patient.body["meta"]["lastUpdated"].as_str().unwrap().to_owned();
    a_moment_passes().await;
    for text in ["one", "two"] {
        hub.sets(&request, "note", json!([{ "text": text }])).await.is(200);
        a_moment_passes().await;
    }
    for path in [format!("{request}/_history"), "ServiceRequest/_history".to_owned()] {
        assert_eq!(told(&hub, &format!("{path}?_at={then}")).await, [format!("POST {request}/1")], "{path}");
    }
    let all = told(&hub, &format!("_history?_at={then}&_count=1")).await;
    assert_eq!(all, [format!("POST {}/1", patient.reference()), format!("POST {request}/1")]);
    let today = &then[..10];
    assert_eq!(told(&hub, &format!("_history?_at={today}")).await.len(), 4, "each was current at some time of the day");
    assert_eq!(told(&hub, "_history?_at=2020").await, Vec::<String>::new());
    hub.closes().await;
}

async fn what_has_not_changed_since_is_not_sent_again(world: World) {
    let hub = world.hub().await;
    let created = hub.post("Patient", &json!({ "resourceType": "Patient" })).await.is(201);
    let (reference, modified) = (created.reference(), created.header("last-modified").to_owned());
    let later = "Fri, 01 Jan 2100 00:00:00 GMT";
    let earlier = "Sat, 01 Jan 2000 00:00:00 GMT";
    // As asctime writes it, which HTTP still wants to be understood.
    let asctime = "Sat Jan  1 00:00:00 2000";
    for path in
        [reference.clone(), format!("{reference}/_history"), "Patient/_history".to_owned(), "_history".to_owned()]
    {
        let status = async |since: &str| hub.get(&path).header("if-modified-since", since).await.status;
        assert_eq!(status(&modified).await, 304, "{path}");
        assert_eq!(status(later).await, 304, "{path}");
        assert_eq!(status(earlier).await, 200, "{path}");
        assert_eq!(status(asctime).await, 200, "{path}");
        assert_eq!(status("yesterday").await, 200, "{path}: what is no date is ignored");
    }
    let both = hub.get(&reference).header("if-none-match", "W/\"7\"").header("if-modified-since", later);
    both.await.is(200);
    let unchanged = hub.get(&reference).header("if-none-match", "W/\"7\", W/\"1\"").await.is(304);
    assert_eq!((unchanged.text.as_str(), unchanged.header("etag")), ("", "W/\"1\""));
    hub.closes().await;
}
