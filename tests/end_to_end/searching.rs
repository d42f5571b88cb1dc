//! Finding Tasks and requests again.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::bodies::{With, laboratory, medication_request, referral, task};
use tests::{Client, World, stories};

stories![
    tasks_are_found_by_each_of_their_parameters,
    requests_are_found_by_each_of_their_parameters,
    names_amounts_and_what_belongs_together_are_found,
    what_matches_point_to_and_what_points_to_them_comes_along,
    what_is_unknown_is_refused_or_said_to_be_ignored,
    tasks_come_in_the_order_that_was_asked_for,
    a_search_may_be_posted,
    pages_skip_nothing_while_things_change,
    a_history_is_told_version_by_version,
    an_order_is_found_by_its_number,
];

/// The ids that a search finds.
async fn found(hub: &Client, search: &str) -> BTreeSet<String> {
    hub.finds(search).await.iter().map(|resource| resource["id"].as_str().unwrap().to_owned()).collect()
}

/// A Task with everything to search by, beside one with nothing of it.
async fn marked_task(hub: &Client, focus: &str, parent: &str) -> String {
    hub.post("Task", &task().with(json!({ "for": null, "requester": null }))).await.is(201);
    let marked = task().with(json!({
        "identifier": [{ "system": "urn:numbers", "value": "T-1" }],
        "groupIdentifier": { "system": "urn:groups", "value": "G-1" },
        "basedOn": [{ "reference": focus }],
        "partOf": [{ "reference": parent }],
        "focus": { "reference": focus },
        "for": { "reference": "Patient/marked", "identifier": { "system": "urn:patients", "value": "P-1" } },
        "encounter": { "reference": "Encounter/marked" },
        "owner": { "reference": "Organization/marked", "identifier": { "system": "urn:owners", "value": "O-1" } },
        "requester": { "reference": "Practitioner/marked" },
        "businessStatus": { "coding": [{ "system": "urn:business", "code": "waiting" }] },
        "code": { "coding": [{ "system": "urn:codes", "code": "marked" }] },
        "performerType": [{ "coding": [{ "system": "urn:types", "code": "nurse" }] }],
        "priority": "asap",
        "intent": "plan",
        "authoredOn": "2020-02-03T10:00:00Z",
        "lastModified": "2020-02-04T10:00:00Z",
    }));
    hub.post("Task", &marked).await.is(201).body["id"].as_str().unwrap().to_owned()
}

async fn tasks_are_found_by_each_of_their_parameters(world: World) {
    let hub = world.hub().await;
    let focus = hub.post("ServiceRequest", &referral().with(json!({ "intent": "plan" }))).await.is(201).reference();
    let parent = hub.post("Task", &task()).await.is(201).reference();
    let marked = marked_task(&hub, &focus, &parent).await;
    let focus_id = focus.strip_prefix("ServiceRequest/").unwrap();
    let searches = [
        format!("_id={marked}"),
        "identifier=urn:numbers|T-1".to_owned(),
        "identifier=T-1".to_owned(),
        "group-identifier=urn:groups|G-1".to_owned(),
        format!("focus={focus}"),
        format!("focus={focus_id}"),
        format!("focus:ServiceRequest={focus_id}"),
        format!("focus={}/{focus}", hub.base),
        format!("based-on={focus}"),
        format!("part-of={parent}"),
        "owner=Organization/marked".to_owned(),
        "owner:identifier=urn:owners|O-1".to_owned(),
        "requester=Practitioner/marked".to_owned(),
        "patient=Patient/marked".to_owned(),
        "patient=marked".to_owned(),
        "patient:identifier=urn:patients|P-1".to_owned(),
        "subject=Patient/marked".to_owned(),
        "encounter=Encounter/marked".to_owned(),
        "business-status=urn:business|waiting".to_owned(),
        "code=marked".to_owned(),
        "code=urn:codes|".to_owned(),
        "performer=urn:types|nurse".to_owned(),
        "priority=asap".to_owned(),
        "intent=plan".to_owned(),
        "status=requested&owner:missing=false".to_owned(),
        "status=completed,requested&priority=stat,asap".to_owned(),
        "authored-on=2020-02-03".to_owned(),
        "authored-on=ge2020-02-01&authored-on=lt2020-03".to_owned(),
        "modified=2020-02-04T10:00:00Z".to_owned(),
        "modified=lt2020-02-05".to_owned(),
    ];
    for search in searches {
        assert_eq!(found(&hub, &format!("Task?{search}")).await, BTreeSet::from([marked.clone()]), "{search}");
    }
    for nothing in
        ["identifier=other|T-1", "status=completed", "patient=Group/marked", "_lastUpdated=lt2020", "code=|marked"]
    {
        assert_eq!(found(&hub, &format!("Task?{nothing}")).await, BTreeSet::new(), "{nothing}");
    }
    assert_eq!(found(&hub, "Task?_lastUpdated=gt2020&code:missing=false").await.len(), 3);
    hub.closes().await;
}

async fn requests_are_found_by_each_of_their_parameters(world: World) {
    let hub = world.hub().await;
    hub.submits(referral().with(json!({ "requester": null, "subject": { "reference": "Patient/other" } }))).await;
    let id = |reference: &str| BTreeSet::from([reference.split('/').nth(1).unwrap().to_owned()]);
    let lab = hub.submits(laboratory().with(json!({ "priority": "stat" }))).await;
    let searches = [
        "identifier=urn:oid:1.2.826.0.1.3680043.10.2|LAB-2026-0001",
        "requisition=2026-11-20-17",
        "code=http://loinc.org|24331-1",
        "category=108252007",
        "priority=stat",
        "intent=original-order",
        "subject=Patient/rosa",
        "patient=rosa",
        "requester=Practitioner/halliday",
        "authored=2026-11-20",
        "status=active&patient=rosa",
    ];
    for search in searches {
        assert_eq!(found(&hub, &format!("ServiceRequest?{search}")).await, id(lab.request()), "{search}");
    }
    let item = medication_request().with(json!({
        "groupIdentifier": { "value": "RX-1" },
        "authoredOn": "2026-11-20",
        "dispenseRequest": { "performer": { "reference": "Organization/shop" } },
    }));
    hub.submits(medication_request().with(json!({ "status": "on-hold", "subject": { "reference": "Patient/other" } })))
        .await;
    let item = hub.submits(item).await;
    for search in
        ["group-identifier=RX-1", "authoredon=2026", "intended-dispenser=shop", "status=active", "patient=rosa"]
    {
        assert_eq!(found(&hub, &format!("MedicationRequest?{search}")).await, id(item.request()), "{search}");
    }
    hub.closes().await;
}

async fn names_amounts_and_what_belongs_together_are_found(world: World) {
    let hub = world.hub().await;
    let patient = json!({
        "resourceType": "Patient",
        "meta": { "tag": [{ "system": "urn:tags", "code": "vip" }], "profile": ["http://profiles.example/p"] },
        "name": [{ "family": "Müller, gen. Lüd", "given": ["Ada"] }],
        "identifier": [{ "type": { "coding": [{ "system": "urn:types", "code": "MR" }] }, "value": "7" }],
        "maritalStatus": { "text": "Married" },
    });
    let patient = hub.post("Patient", &patient).await.is(201).body["id"].as_str().unwrap().to_owned();
    hub.post("Patient", &json!({ "resourceType": "Patient", "name": [{ "text": "Nobody" }] })).await.is(201);
    for search in [
        "name=muller",
        "name=ADA",
        r"family:exact=M%C3%BCller\, gen. L%C3%BCd",
        "family:contains=gen.",
        "given=nobody,ada",
        "_tag=urn:tags|vip",
        "_profile=http://profiles.example/p",
        "_profile:below=http://profiles.example",
        "_profile:above=http://profiles.example/p/q",
        "identifier:of-type=urn:types|MR|7",
        "name:missing=false&family:missing=false",
    ] {
        assert_eq!(found(&hub, &format!("Patient?{search}")).await, BTreeSet::from([patient.clone()]), "{search}");
    }
    let concept =
        |code: &str, text: &str| json!({ "coding": [{ "system": "http://loinc.org", "code": code }], "text": text });
    let amount = |value: u32| json!({ "value": value, "system": "http://unitsofmeasure.org", "code": "mm[Hg]" });
    let pressure = json!({
        "resourceType": "Observation", "status": "final", "code": concept("85354-9", "Blood pressure"),
        "component": [
            { "code": concept("8480-6", "Systolic"), "valueQuantity": amount(140) },
            { "code": concept("8462-4", "Diastolic"), "valueQuantity": amount(90) },
        ],
    });
    let pressure = hub.post("Observation", &pressure).await.is(201).body["id"].as_str().unwrap().to_owned();
    let of = "component-code-value-quantity=http://loinc.org|8480-6$";
    for (search, finds) in [
        (format!("{of}gt130"), true),
        (format!("{of}140|http://unitsofmeasure.org|mm[Hg]"), true),
        (format!("{of}ap18.7|http://unitsofmeasure.org|kPa"), true),
        (format!("{of}90"), false),
        ("component-value-quantity=lt100".to_owned(), true),
        ("combo-value-quantity=ge140||mm[Hg]".to_owned(), true),
        ("combo-value-quantity=ge141".to_owned(), false),
        ("code:text=blood".to_owned(), true),
        ("code:text=pressure".to_owned(), false),
        ("_lastUpdated=ap2026".to_owned(), true),
    ] {
        let expected = if finds { BTreeSet::from([pressure.clone()]) } else { BTreeSet::new() };
        assert_eq!(found(&hub, &format!("Observation?{search}")).await, expected, "{search}");
    }
    // What is as much as another value is a value all the same.
    let weight = |value: u32, unit: &str| {
        json!({ "code": concept("1", "Weight"), "valueQuantity": { "value": value, "unit": unit,
        "system": "http://unitsofmeasure.org", "code": unit } })
    };
    let twice = json!({ "resourceType": "Observation", "status": "final", "code": concept("2", "Weights"),
        "component": [weight(1, "g"), weight(1000, "mg")] });
    let twice = hub.post("Observation", &twice).await.is(201).body["id"].as_str().unwrap().to_owned();
    for search in ["combo-value-quantity=1000", "combo-value-quantity=1", "component-value-quantity=1000||mg"] {
        assert_eq!(found(&hub, &format!("Observation?{search}")).await, BTreeSet::from([twice.clone()]), "{search}");
    }
    for (kind, wrong, name) in [
        ("Observation", "value-quantity=much", "value-quantity"),
        ("Observation", "value-quantity=5|mg", "value-quantity"),
        ("Observation", "code-value-quantity=x", "code-value-quantity"),
        ("Observation", "code-value-quantity=x$y", "code-value-quantity"),
        ("Observation", "code-value-quantity=x$5$6", "code-value-quantity"),
        ("Patient", "identifier:of-type=urn:types|MR", "identifier:of-type"),
        ("Patient", "name=", "name"),
    ] {
        hub.get(&format!("{kind}?{wrong}")).await.refuses(400, "value", name);
    }
    hub.get("Patient?name:below=a").await.refuses(400, "not-supported", "name:below");
    hub.get("Observation?code-value-quantity:missing=true").await.refuses(
        400,
        "not-supported",
        "code-value-quantity:missing",
    );
    hub.closes().await;
}

/// What a search finds, and what comes with it.
async fn found_with(hub: &Client, search: &str) -> [BTreeSet<String>; 2] {
    let page = hub.get(search).await.is(200);
    let of_mode = |mode: &str| {
        let entries = page.body["entry"].as_array().into_iter().flatten();
        let of_mode = entries.filter(|entry| entry["search"]["mode"] == mode).map(|entry| &entry["resource"]);
        let name = |resource: &Value| format!("{}/{}", resource["resourceType"], resource["id"]).replace('"', "");
        of_mode.map(name).collect()
    };
    [of_mode("match"), of_mode("include")]
}

async fn what_matches_point_to_and_what_points_to_them_comes_along(world: World) {
    let hub = world.hub().await;
    let clinic = hub.post("Organization", &json!({ "resourceType": "Organization", "name": "A clinic" })).await.is(201);
    let patient = json!({ "resourceType": "Patient", "managingOrganization": { "reference": clinic.reference() } });
    let patient = hub.post("Patient", &patient).await.is(201).reference();
    hub.submits(referral()).await;
    let order = hub.submits(laboratory().with(json!({ "subject": { "reference": patient } }))).await;
    let (request, whole) = (order.request().to_owned(), order.fulfilment.clone());
    let set = |names: &[&String]| -> BTreeSet<String> { names.iter().map(|name| (*name).clone()).collect() };
    let id = |reference: &str| reference.split('/').nth(1).unwrap().to_owned();

    let of_task = format!("Task?_id={}", id(&whole));
    assert_eq!(found_with(&hub, &format!("{of_task}&_include=Task:focus")).await, [set(&[&whole]), set(&[&request])]);
    let both = format!("{of_task}&_include=Task:focus&_include=Task:patient:Patient");
    assert_eq!(found_with(&hub, &both).await, [set(&[&whole]), set(&[&request, &patient])]);
    let other_type = format!("{of_task}&_include=Task:focus:MedicationRequest");
    assert_eq!(found_with(&hub, &other_type).await, [set(&[&whole]), set(&[])]);
    let all = format!("{of_task}&_include=Task:*&_include:iterate=Patient:organization");
    let clinic = clinic.reference();
    assert_eq!(found_with(&hub, &all).await, [set(&[&whole]), set(&[&request, &patient, &clinic])]);

    // Back: the Tasks of a request, and of a patient's requests.
    let steps: BTreeSet<String> = hub
        .finds(&format!("Task?part-of={whole}"))
        .await
        .iter()
        .map(|task| format!("Task/{}", task["id"].as_str().unwrap()))
        .collect();
    assert_eq!(steps.len(), 3);
    let of_request = format!("ServiceRequest?_id={}&_revinclude=Task:focus", id(&request));
    let [matched, came] = found_with(&hub, &of_request).await;
    assert_eq!(matched, set(&[&request]));
    assert!(came.contains(&whole));
    let whole_story = format!(
        "Patient?_id={}&_revinclude=ServiceRequest:subject&_revinclude:iterate=Task:focus&_revinclude:iterate=Task:part-of",
        id(&patient)
    );
    let [matched, came] = found_with(&hub, &whole_story).await;
    assert_eq!(matched, set(&[&patient]));
    assert!(came.is_superset(&steps) && came.contains(&request) && came.contains(&whole), "{came:?}");
    assert_eq!(hub.get(&whole_story).await.is(200).body["total"], 1, "only matches count");

    for wrong in [
        "_include=Task",
        "_include=Task:status",
        "_include=Nothing:focus",
        "_include=Task:focus:Nothing",
        "_revinclude=Task:*",
        "_include:often=Task:focus",
    ] {
        hub.get(&format!("Task?{wrong}")).await.refuses(400, "not-supported", wrong.split('=').next().unwrap());
    }
    hub.closes().await;
}

async fn what_is_unknown_is_refused_or_said_to_be_ignored(world: World) {
    let hub = world.hub().await;
    hub.submits(referral()).await;
    hub.get("Task?colour=blue").await.refuses(400, "not-supported", "colour");
    hub.get("Task?status:exact=requested").await.refuses(400, "not-supported", "status:exact");
    hub.get("Task?_sort=colour").await.refuses(400, "not-supported", "_sort");
    hub.get("Task?authored-on=tomorrow").await.refuses(400, "value", "authored-on");
    hub.get("Task?_count=many").await.refuses(400, "value", "_count");
    hub.get("Task?_page=made-up").await.refuses(400, "value", "");

    let lenient = hub.get("Task?colour=blue&_count=100").header("prefer", "handling=lenient").await.is(200);
    let resources = lenient.resources();
    assert_eq!(resources.iter().filter(|resource| resource["resourceType"] == "Task").count(), 5);
    let said = resources.iter().find(|resource| resource["resourceType"] == "OperationOutcome").unwrap();
    assert_eq!(
        (&said["issue"][0]["severity"], &said["issue"][0]["expression"][0]),
        (&json!("warning"), &json!("colour"))
    );
    assert!(!lenient.link("self").unwrap().contains("colour"), "the self link says what was understood");
    hub.closes().await;
}

async fn tasks_come_in_the_order_that_was_asked_for(world: World) {
    let hub = world.hub().await;
    for (n, priority) in ["routine", "stat", "urgent", "asap"].into_iter().enumerate() {
        let body = task().with(json!({ "priority": priority, "authoredOn": format!("2026-01-0{}", 4 - n) }));
        hub.post("Task", &body).await.is(201);
    }
    let priorities = async |search: &str| {
        let tasks = hub.finds(&format!("Task?_count=3&_sort={search}")).await;
        tasks.iter().map(|task| task["priority"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(priorities("priority").await, ["stat", "asap", "urgent", "routine"], "by urgency, not by spelling");
    assert_eq!(priorities("-priority").await, ["routine", "urgent", "asap", "stat"]);
    assert_eq!(priorities("authored-on").await, ["asap", "urgent", "stat", "routine"]);
    assert_eq!(priorities("-_lastUpdated").await, ["asap", "urgent", "stat", "routine"]);
    assert_eq!(priorities("_lastUpdated").await, ["routine", "stat", "urgent", "asap"]);
    hub.closes().await;
}

async fn a_search_may_be_posted(world: World) {
    let hub = world.hub().await;
    hub.submits(referral()).await;
    let form = "application/x-www-form-urlencoded";
    let request = hub.request(reqwest::Method::POST, "Task/_search?status=requested");
    let found = request.body(form, "part-of:missing=false&_count=100").await.is(200);
    assert_eq!(found.resources().len(), 1);
    assert_eq!(found.body["total"], json!(1));
    let json = hub.post("Task/_search", &json!({ "status": "requested" })).await;
    json.refuses(415, "not-supported", "");
    hub.closes().await;
}

async fn pages_skip_nothing_while_things_change(world: World) {
    let hub = world.hub().await;
    let mut orders = Vec::new();
    for _ in 0..6 {
        orders.push(hub.submits(laboratory()).await);
    }
    let there: BTreeSet<String> = found(&hub, "Task?_count=100").await;
    assert_eq!(there.len(), 24);
    let mut next = Some("Task?_count=5&_sort=_id".to_owned());
    let mut seen: Vec<String> = Vec::new();
    while let Some(page) = next {
        let page = hub.get(&page).await.is(200);
        seen.extend(page.resources().iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        next = page.link("next");
        // Between any two pages something comes, and something moves.
        hub.submits(laboratory()).await;
        if let Some(order) = orders.pop() {
            hub.takes(&order.step(2), "Organization/lab-1").await.is(200);
        }
    }
    let distinct: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(distinct.len(), seen.len(), "nothing twice");
    assert!(there.is_subset(&distinct), "what was there is seen: {:?}", there.difference(&distinct));
    hub.closes().await;
}

async fn a_history_is_told_version_by_version(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(referral()).await;
    let task = order.step(2);
    hub.takes(&task, "Organization/clinic-1").await.is(200);
    hub.sets(&task, "status", "in-progress").await.is(200);
    let versions = hub.finds(&format!("{task}/_history")).await;
    let statuses: Vec<&str> = versions.iter().map(|version| version["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["in-progress", "accepted", "requested"], "the newest first");
    for n in 1..=3 {
        let version = hub.get(&format!("{task}/_history/{n}")).await.is(200);
        assert_eq!(version.header("etag"), format!("W/\"{n}\""));
        assert_eq!(version.body, versions[3 - n]);
    }
    hub.get(&format!("{task}/_history/4")).await.refuses(404, "not-found", "");
    let first = &hub.get(&format!("{task}/_history")).await.body["entry"][2];
    assert_eq!((&first["request"]["method"], &first["response"]["status"]), (&json!("POST"), &json!("201 Created")));
    assert!(hub.finds("Task/_history?_count=2").await.len() > 7, "of all Tasks, page by page");
    hub.closes().await;
}

async fn an_order_is_found_by_its_number(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let task = order.step(2);
    for path in [
        "$order-status?identifier=LAB-2026-0001".to_owned(),
        "$order-status?identifier=2026-11-20-17".to_owned(),
        "ServiceRequest/$order-status?identifier=urn:oid:1.2.826.0.1.3680043.10.2|LAB-2026-0001".to_owned(),
        format!("{}/$order-status", order.request()),
        format!("{task}/$order-status"),
    ] {
        let told = hub.get(&path).await.is(200).body;
        assert_eq!(told, order.order_status().await, "{path}");
    }
    let standing = order.standing().await;
    assert_eq!((standing.status.as_str(), standing.done, standing.total), ("requested", 0, 3));
    assert_eq!(standing.waiting_for, ["Collect the specimen (requested)"]);
    assert!(standing.since.is_some());
    let call = json!({
        "resourceType": "CommunicationRequest",
        "identifier": [{ "system": "urn:calls", "value": "C-1" }],
        "status": "active",
    });
    let call = hub.post("CommunicationRequest", &call).await.is(201).reference();
    let told = hub.get("$order-status?identifier=urn:calls|C-1").await.is(200).body;
    assert!(told.to_string().contains(&call), "a request of any type is found: {told}");
    hub.get("$order-status?identifier=nobody").await.refuses(404, "not-found", "");
    hub.get("$order-status").await.refuses(400, "required", "");
    hub.submits(laboratory()).await;
    hub.get("$order-status?identifier=LAB-2026-0001").await.refuses(412, "multiple-matches", "");
    hub.closes().await;
}
