//! How an answer looks: parts of resources, totals, orders, links, formats.

use serde_json::{Value, json};
use tests::bodies::{With, laboratory, task};
use tests::{Client, World, stories};

stories![
    a_resource_may_be_shown_in_part,
    a_part_is_not_taken_for_the_whole,
    matches_may_be_counted_without_being_shown,
    what_no_index_orders_is_sorted_too,
    links_lead_to_the_first_page_and_to_the_next,
    whoever_takes_json_is_answered_in_json,
    answers_break_lines_for_people_and_name_their_version,
    several_types_are_searched_at_once,
];

fn names(resource: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = resource.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn is_marked(resource: &Value) -> bool {
    let tags = resource["meta"]["tag"].as_array();
    tags.is_some_and(|tags| tags.iter().any(|tag| tag["code"] == "SUBSETTED"))
}

async fn annotated(hub: &Client) -> String {
    let body = task().with(json!({
        "text": { "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Call</div>" },
        "note": [{ "text": "twice" }],
        "priority": "urgent",
        "meta": { "tag": [{ "system": "urn:tags", "code": "mine" }] },
    }));
    hub.post("Task", &body).await.is(201).reference()
}

async fn a_resource_may_be_shown_in_part(world: World) {
    let hub = world.hub().await;
    let task = annotated(&hub).await;
    let id = &task["Task/".len()..];
    let whole = hub.reads(&task).await;
    for (look, there, gone) in [
        ("_summary=true", vec!["code", "for", "id", "intent", "status"], vec!["note", "text", "priority"]),
        ("_summary=text", vec!["id", "intent", "status", "text"], vec!["code", "note", "for"]),
        ("_summary=data", vec!["code", "note", "priority"], vec!["text"]),
        ("_elements=note,priority", vec!["id", "intent", "note", "priority", "status"], vec!["code", "for", "text"]),
    ] {
        let in_search = hub.get(&format!("Task?_id={id}&{look}")).await.is(200).resources().remove(0);
        for path in [format!("{task}?{look}"), format!("{task}/_history/1?{look}")] {
            let read = hub.get(&path).await.is(200);
            assert_eq!(read.body, in_search, "{path}");
            assert_eq!(read.header("etag"), "W/\"1\"");
        }
        let history = hub.get(&format!("{task}/_history?{look}")).await.is(200);
        assert_eq!(history.resources(), std::slice::from_ref(&in_search), "{look}");
        assert!(history.link("self").unwrap().contains(look.split(',').next().unwrap()));
        let names = names(&in_search);
        assert!(there.iter().all(|name| names.contains(name)), "{look}: {names:?}");
        assert!(gone.iter().all(|name| !names.contains(name)), "{look}: {names:?}");
        assert!(is_marked(&in_search), "{look}");
        assert_eq!(in_search["meta"]["tag"][0]["code"], "mine");
        for name in there {
            assert_eq!(in_search[name], whole[name], "what is there is as it was");
        }
    }
    assert_eq!(hub.get(&format!("{task}?_summary=false")).await.is(200).body, whole);
    assert!(!is_marked(&whole));

    // What comes with a match is whole where only elements of matches are named.
    let order = hub.submits(laboratory()).await;
    let search = format!("Task?_id={}&_include=Task:focus", &order.fulfilment["Task/".len()..]);
    let [of_match, included] = &hub.get(&format!("{search}&_elements=status")).await.is(200).resources()[..] else {
        panic!()
    };
    assert!(is_marked(of_match) && !is_marked(included));
    assert!(hub.get(&format!("{search}&_summary=true")).await.is(200).resources().iter().all(is_marked));

    for (wrong, path) in [
        ("_summary=some", "_summary"),
        ("_elements=colour", "_elements"),
        ("_elements=", "_elements"),
        ("_summary=true&_elements=status", "_elements"),
    ] {
        hub.get(&format!("Task?{wrong}")).await.refuses(400, "value", path);
        hub.get(&format!("{task}?{wrong}")).await.refuses(400, "value", path);
    }
    hub.get(&format!("{task}?_summary=count")).await.refuses(400, "value", "_summary");
    hub.get(&format!("{search}&_summary=text")).await.refuses(400, "value", "_summary");
    hub.closes().await;
}

async fn a_part_is_not_taken_for_the_whole(world: World) {
    let hub = world.hub().await;
    let task = annotated(&hub).await;
    let part = hub.get(&format!("{task}?_elements=priority")).await.is(200).body;
    let no = hub.put(&task, &part.with(json!({ "priority": "stat" }))).await;
    let no = no.refuses(422, "business-rule", "Task.meta.tag[1]");
    assert!(no.says().contains("SUBSETTED"));
    let whole = hub.reads(&task).await;
    assert_eq!((&whole["priority"], &whole["meta"]["versionId"]), (&json!("urgent"), &json!("1")));
    hub.put(&task, &whole.with(json!({ "priority": "stat" }))).await.is(200);
    hub.closes().await;
}

async fn matches_may_be_counted_without_being_shown(world: World) {
    let hub = world.hub().await;
    for n in 0..7 {
        let status = if n < 5 { "requested" } else { "draft" };
        hub.post("Task", &task().with(json!({ "status": status }))).await.is(201);
    }
    for count in ["_count=0", "_summary=count", "_summary=count&_total=none", "_count=0&_total=estimate"] {
        let counted = hub.get(&format!("Task?status=requested&{count}")).await.is(200);
        assert_eq!(counted.body["total"], 5, "{count}");
        assert!(counted.body["entry"].is_null() && counted.link("next").is_none());
    }
    let total = async |search: &str| hub.get(&format!("Task?{search}")).await.is(200).body["total"].clone();
    assert_eq!(total("_count=3").await, Value::Null, "nobody has counted");
    assert_eq!(total("_count=3&_total=accurate").await, 7);
    assert_eq!(total("_count=3&_total=estimate").await, 7);
    assert_eq!(total("_count=20").await, 7, "all that there is");
    assert_eq!(total("_count=20&_total=none").await, Value::Null);
    let second = hub.get("Task?_count=3&_total=accurate").await.link("next").unwrap();
    assert_eq!(hub.get(&second).await.is(200).body["total"], 7, "on each page");
    hub.get("Task?_total=some").await.refuses(400, "value", "_total");
    hub.closes().await;
}

async fn what_no_index_orders_is_sorted_too(world: World) {
    let hub = world.hub().await;
    for (family, born) in [("c", Some("1980-05")), ("a", None), ("b", Some("1970"))] {
        let mut patient = json!({
            "resourceType": "Patient",
            "identifier": [{ "system": "urn:n", "value": family }],
            "name": [{ "family": family.to_uppercase() }],
        });
        if let Some(born) = born {
            patient["birthDate"] = json!(born);
        }
        hub.post("Patient", &patient).await.is(201);
    }
    let order = async |sort: &str| {
        let found = hub.finds(&format!("Patient?_count=2&_sort={sort}")).await;
        found.iter().map(|patient| patient["identifier"][0]["value"].as_str().unwrap().to_owned()).collect::<String>()
    };
    assert_eq!(order("birthdate").await, "bca");
    assert_eq!(order("-birthdate").await, "cba");
    assert_eq!(order("identifier").await, "abc");
    assert_eq!(order("-identifier").await, "cba");
    assert_eq!(order("-family").await, "cba");
    assert_eq!(order("gender,birthdate").await, "bca");
    let no = hub.get("Patient?_sort=organization").await.refuses(400, "not-supported", "_sort");
    assert!(no.says().contains("birthdate"));
    hub.get("Patient?_sort=_id,_id,_id,_id,_id,_id,_id,_id,_id").await.refuses(400, "value", "_sort");
    hub.closes().await;
}

async fn links_lead_to_the_first_page_and_to_the_next(world: World) {
    let hub = world.hub().await;
    for _ in 0..5 {
        hub.post("Task", &task()).await.is(201);
    }
    let ids = |page: &tests::Reply| page.resources().iter().map(|task| task["id"].clone()).collect::<Vec<_>>();
    let first = hub.get("Task?_count=2&_elements=status&status=requested").await.is(200);
    let second = hub.get(&first.link("next").unwrap()).await.is(200);
    let again = hub.get(&second.link("self").unwrap()).await.is(200);
    assert_eq!(ids(&again), ids(&second));
    assert_eq!(second.link("first"), first.link("self"));
    assert_eq!(ids(&hub.get(&second.link("first").unwrap()).await.is(200)), ids(&first));
    let last = hub.get(&second.link("next").unwrap()).await.is(200);
    assert_eq!((ids(&last).len(), last.link("next")), (1, None));
    assert!(is_marked(&last.resources()[0]), "each page has the same look");
    hub.closes().await;
}

async fn whoever_takes_json_is_answered_in_json(world: World) {
    let hub = world.hub().await;
    let task = annotated(&hub).await;
    let json = "application/fhir+json; charset=utf-8";
    for accept in
        ["*/*", "application/json", "application/fhir+xml;q=0.9, application/fhir+json; fhirVersion=4.0;q=0.5"]
    {
        assert_eq!(hub.get(&task).header("accept", accept).await.is(200).header("content-type"), json, "{accept}");
    }
    for format in ["json", "application/json", "application/fhir%2Bjson", "application/fhir+json"] {
        let read = hub.get(&format!("{task}?_format={format}")).header("accept", "application/fhir+xml").await.is(200);
        assert_eq!(read.header("content-type"), json);
    }
    for accept in
        ["application/fhir+xml", "text/turtle", "application/fhir+json;q=0", "application/fhir+json; fhirVersion=3.0"]
    {
        hub.get(&task).header("accept", accept).await.refuses(406, "not-supported", "");
    }
    for format in ["xml", "text/xml", "application/fhir+xml", "ttl", "html"] {
        let no = hub.get(&format!("{task}?_format={format}")).await.refuses(406, "not-supported", "");
        assert!(no.says().contains("XML"), "{}", no.says());
    }
    let form = "application/x-www-form-urlencoded";
    let posted = hub.request(reqwest::Method::POST, "Task/_search").body(form, "_format=xml").await;
    posted.refuses(406, "not-supported", "");
    let xml = hub.request(reqwest::Method::POST, "Task").body("application/fhir+xml", "<Task/>").await;
    assert!(xml.refuses(415, "not-supported", "").says().contains("XML"));
    let other = "application/fhir+json; fhirVersion=5.0";
    hub.request(reqwest::Method::POST, "Task").body(other, "{}").await.refuses(415, "not-supported", "");
    hub.closes().await;
}

async fn answers_break_lines_for_people_and_name_their_version(world: World) {
    let hub = world.hub().await;
    let task = annotated(&hub).await;
    let (plain, pretty) = (hub.get(&task).await.is(200), hub.get(&format!("{task}?_pretty=true")).await.is(200));
    assert!(!plain.text.contains('\n') && pretty.text.starts_with("{\n  \"resourceType\": \"Task\",\n"));
    assert_eq!(plain.body, pretty.body);
    assert!(hub.get("Task?_pretty=true").await.is(200).text.contains("\n  \"entry\": [\n    {\n"));
    assert!(hub.get("Task/unknown?_pretty=true").await.is(404).text.contains("\n  \"issue\": ["));
    let version = format!("{}/{task}/_history/1", hub.base);
    assert_eq!(plain.header("content-location"), version);
    let head = hub.request(reqwest::Method::HEAD, &task).await.is(200);
    assert_eq!((head.text.as_str(), head.header("etag"), head.header("content-location")), ("", "W/\"1\"", &*version));
    assert_eq!(head.header("content-length"), plain.text.len().to_string());
    let changed = hub.sets(&task, "priority", "stat").await.is(200);
    assert_eq!(changed.header("content-location"), format!("{}/{task}/_history/2", hub.base));
    hub.closes().await;
}

async fn several_types_are_searched_at_once(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let all = hub.get("?_type=ServiceRequest,Task&_count=50").await.is(200);
    let kinds: Vec<String> = all.resources().iter().map(|found| found["resourceType"].to_string()).collect();
    assert_eq!(
        kinds,
        ["\"ServiceRequest\"", "\"Task\"", "\"Task\"", "\"Task\"", "\"Task\""],
        "one type after the other"
    );
    assert_eq!(all.body["total"], 5);
    // Page by page the same.
    let mut paged = Vec::new();
    let mut next = Some("?_type=ServiceRequest,Task&_count=1&_total=accurate".to_owned());
    while let Some(page) = next {
        let page = hub.get(&page).await.is(200);
        assert_eq!(page.body["total"], 5);
        paged.extend(page.resources());
        next = page.link("next");
    }
    assert_eq!(paged, all.resources());
    let form = "application/x-www-form-urlencoded";
    let posted = hub.request(reqwest::Method::POST, "_search").body(form, "_type=Task&status=requested").await.is(200);
    assert_eq!(posted.resources()[0]["id"], order.step(2)["Task/".len()..]);
    let urgent = hub.get("?_type=ServiceRequest,Task&priority=routine&_elements=status").await.is(200);
    assert!(urgent.resources().iter().all(is_marked));
    for (wrong, code, path) in [
        ("status=requested", "required", "_type"),
        ("_type=Colour", "value", "_type"),
        ("_type=Task,ServiceRequest&focus=x", "not-supported", "focus"),
        ("_type=Task,ServiceRequest&_sort=status", "not-supported", "_sort"),
        ("_type=Task,ServiceRequest&_lastUpdated=then", "value", "_lastUpdated"),
    ] {
        let no = hub.get(&format!("?{wrong}")).await.refuses(400, code, path);
        assert_eq!(no.body["issue"].as_array().unwrap().len(), 1, "told once: {}", no.text);
    }
    hub.get("?_type=Task,ServiceRequest&_page=9").await.refuses(400, "value", "");
    hub.get("Task?_type=Patient").await.refuses(400, "not-supported", "_type");
    hub.closes().await;
}
