//! Bundles of every interaction: a transaction is one change or none, a batch is many.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::bodies::{With, laboratory, referral, task};
use tests::{Hub, Reply, World, stories};

stories![
    a_transaction_does_all_interactions_in_their_order_and_answers_as_asked,
    a_transaction_is_done_whole_or_not_at_all,
    every_fault_of_every_entry_is_told_with_its_place,
    nothing_is_done_twice_to_one_resource,
    links_between_entries_lead_to_what_came_of_them,
    a_conditional_reference_leads_to_the_only_one_that_is_found,
    tasks_move_by_their_rules_also_in_a_transaction,
    what_a_get_cannot_answer_fails_its_transaction,
    a_transaction_is_answered_once,
    in_a_batch_every_entry_has_an_answer_of_its_own,
    the_resources_come_along_when_they_are_wanted,
];

fn transaction(entries: Value) -> Value {
    json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries })
}

fn batch(entries: Value) -> Value {
    json!({ "resourceType": "Bundle", "type": "batch", "entry": entries })
}

fn request(method: &str, url: &str) -> Value {
    json!({ "request": { "method": method, "url": url } })
}

fn sends(method: &str, url: &str, resource: Value) -> Value {
    request(method, url).with(json!({ "resource": resource }))
}

/// A JSON Patch as an entry of a Bundle has it.
fn json_patch(operations: &Value) -> Value {
    let data = STANDARD.encode(operations.to_string());
    json!({ "resourceType": "Binary", "contentType": "application/json-patch+json", "data": data })
}

/// A FHIRPath Patch that replaces one code.
fn fhirpath_patch(path: &str, code: &str) -> Value {
    json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": [
        { "name": "type", "valueCode": "replace" },
        { "name": "path", "valueString": path },
        { "name": "value", "valueCode": code },
    ] }] })
}

fn statuses(reply: &Reply) -> Vec<&str> {
    let entries = reply.body["entry"].as_array().unwrap();
    entries.iter().map(|entry| &entry["response"]["status"].as_str().unwrap()[..3]).collect()
}

fn patient(family: &str) -> Value {
    json!({ "resourceType": "Patient", "name": [{ "family": family }] })
}

async fn creates(hub: &Hub, resource: Value) -> String {
    let kind = resource["resourceType"].as_str().unwrap().to_owned();
    hub.post(&kind, &resource).await.is(201).reference()
}

async fn a_transaction_does_all_interactions_in_their_order_and_answers_as_asked(world: World) {
    let hub = world.hub().await;
    let gone = creates(&hub, patient("Gone")).await;
    let draft = creates(&hub, referral().with(json!({ "status": "draft" }))).await;
    let patched = creates(&hub, patient("Patched")).await;
    let by_path = creates(&hub, patient("Path").with(json!({ "gender": "male" }))).await;
    let active = hub.reads(&draft).await.with(json!({
        "status": "active", "subject": { "reference": "urn:uuid:0d9c8f5e-0000-4000-8000-000000000001" },
    }));
    let born = sends("POST", "Patient", patient("Born"))
        .with(json!({ "fullUrl": "urn:uuid:0d9c8f5e-0000-4000-8000-000000000001" }));
    let rename = json_patch(&json!([{ "op": "replace", "path": "/name/0/family", "value": "Renamed" }]));
    let reply = hub
        .post(
            "",
            &transaction(json!([
                request("GET", &patched),
                sends("PUT", &draft, active),
                request("GET", "Patient?gender=female"),
                sends("PATCH", &patched, rename),
                born,
                request("DELETE", &gone),
                sends("PATCH", &by_path, fhirpath_patch("Patient.gender", "female")),
                request("HEAD", &draft),
            ])),
        )
        .await
        .is(200);
    assert_eq!(reply.body["type"], "transaction-response");
    assert_eq!(statuses(&reply), ["200", "200", "200", "200", "201", "204", "200", "200"]);
    let entry = |n: usize| &reply.body["entry"][n];
    assert_eq!(entry(0)["resource"]["name"][0]["family"], "Renamed", "what is read is read at the end");
    assert_eq!(entry(2)["resource"]["entry"][0]["fullUrl"], format!("{}/{by_path}", hub.base));
    assert!(entry(7)["resource"].is_null() && entry(7)["response"]["etag"] == "W/\"2\"", "{}", entry(7));
    for n in [1, 3, 4, 6] {
        let told = &entry(n)["response"];
        let location = told["location"].as_str().unwrap();
        assert!(location.contains("/_history/") && told["etag"].is_string() && told["lastModified"].is_string());
        let read = hub.get(location).await.is(200);
        assert_eq!(read.header("etag"), told["etag"]);
    }
    hub.get(&gone).await.refuses(410, "deleted", "");
    let request = hub.reads(&draft).await;
    assert!(
        entry(4)["response"]["location"].as_str().unwrap().contains(request["subject"]["reference"].as_str().unwrap())
    );
    let fulfilment = format!("{}.0", draft.replace("ServiceRequest", "Task"));
    assert_eq!(hub.reads(&fulfilment).await["status"], "requested", "the draft became an order");
    let told = entry(1)["response"]["outcome"]["issue"][0]["diagnostics"].as_str().unwrap();
    assert!(told.contains(&fulfilment), "{told}");
    hub.closes().await;
}

async fn a_transaction_is_done_whole_or_not_at_all(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(referral()).await;
    let kept = creates(&hub, patient("Kept")).await;
    let skip = json_patch(&json!([{ "op": "replace", "path": "/status", "value": "completed" }]));
    let changed = hub.reads(&kept).await.with(json!({ "gender": "other" }));
    let entries = json!([
        sends("POST", "Patient", patient("Never")),
        sends("PUT", &kept, changed.clone()),
        sends("PATCH", &order.step(2), skip),
    ]);
    let no = hub.post("", &transaction(entries)).await.refuses(422, "business-rule", "Bundle.entry[2]");
    assert!(no.says().contains("Task.status"), "{}", no.says());
    assert_eq!(hub.finds("Patient").await.len(), 1);
    assert_eq!(hub.reads(&kept).await["meta"]["versionId"], "1");

    let stale =
        sends("PUT", &kept, changed).with(json!({ "request": { "method": "PUT", "url": kept, "ifMatch": "W/\"7\"" } }));
    let entries = json!([request("DELETE", &kept), sends("POST", "Patient", patient("Never"))]);
    let deleted_live = json!([sends("POST", "Patient", patient("Never")), request("DELETE", order.request())]);
    hub.post("", &transaction(json!([stale]))).await.refuses(412, "conflict", "Bundle.entry[0]");
    hub.post("", &transaction(deleted_live)).await.refuses(409, "conflict", "Bundle.entry[1]");
    assert_eq!(hub.finds("Patient").await.len(), 1);
    assert_eq!(statuses(&hub.post("", &transaction(entries)).await.is(200)), ["204", "201"]);
    hub.closes().await;
}

async fn every_fault_of_every_entry_is_told_with_its_place(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let task_now = hub.reads(&order.step(2)).await.with(json!({ "status": "completed" }));
    let urn = json!({ "reference": "urn:uuid:00000000-0000-4000-8000-00000000000f" });
    let places = |reply: &Reply| -> Vec<String> {
        let issues = reply.body["issue"].as_array().unwrap();
        issues.iter().map(|issue| issue["expression"][0].as_str().unwrap_or_default().to_owned()).collect()
    };
    let reply = hub
        .post(
            "",
            &transaction(json!([
                sends("POST", "ServiceRequest", referral().with(json!({ "subject": urn }))),
                sends("PUT", &order.step(2), task_now),
                request("DELETE", "Patient/nobody"),
                sends("POST", "Task", task().with(json!({ "focus": { "reference": "ServiceRequest/nobody" } }))),
                request("GET", "Patient/nobody"),
                sends("PUT", "Patient/nobody", patient("X").with(json!({ "id": "nobody" }))),
            ])),
        )
        .await
        .is(422);
    let told = places(&reply);
    for place in [
        "Bundle.entry[0].resource.subject.reference",
        "Bundle.entry[1].resource.status",
        "Bundle.entry[2]",
        "Bundle.entry[3].resource.focus.reference",
        "Bundle.entry[4]",
        "Bundle.entry[5]",
    ] {
        assert!(told.iter().any(|other| other == place), "{place} of {told:?}");
    }
    let reply = hub
        .post(
            "",
            &transaction(json!([
                request("OPTIONS", "Patient"),
                request("GET", "Patient?no-such=1"),
                sends("PUT", "Patient/1", patient("No id")),
                request("DELETE", "Patient"),
                sends("PATCH", "Patient/1", patient("No patch")),
                sends("POST", "Patient", patient("A"))
                    .with(json!({ "request": { "method": "POST", "url": "Patient", "ifMatch": "W/\"1\"" } })),
                request("DELETE", "Teapot/1"),
            ])),
        )
        .await
        .is(422);
    // OPTIONS is none of FHIR's methods: the gate says so, and nothing else is looked at.
    assert_eq!(places(&reply), ["Bundle.entry[0].request.method"]);
    let reply = hub
        .post(
            "",
            &transaction(json!([
                request("GET", "Patient?no-such=1"),
                sends("PUT", "Patient/1", patient("No id")),
                request("DELETE", "Patient"),
                sends("PATCH", "Patient/1", patient("No patch")),
                sends("POST", "Patient", patient("A"))
                    .with(json!({ "request": { "method": "POST", "url": "Patient", "ifMatch": "W/\"1\"" } })),
                request("DELETE", "Teapot/1"),
            ])),
        )
        .await
        .is(422);
    let mut told = places(&reply);
    told.sort();
    assert_eq!(
        told,
        [
            "Bundle.entry[0].request.url",
            "Bundle.entry[1].resource.id",
            "Bundle.entry[2].request.url",
            "Bundle.entry[3].resource",
            "Bundle.entry[4].request.ifMatch",
            "Bundle.entry[5].request.url",
        ]
    );
    assert_eq!(hub.finds("Patient").await, Vec::<Value>::new());
    hub.closes().await;
}

async fn nothing_is_done_twice_to_one_resource(world: World) {
    let hub = world.hub().await;
    let number = json!([{ "system": "urn:n", "value": "1" }]);
    let one = creates(&hub, patient("One").with(json!({ "identifier": number }))).await;
    let changed = hub.reads(&one).await.with(json!({ "gender": "other" }));
    for second in [
        request("DELETE", &one),
        sends("PUT", "Patient?identifier=urn:n|1", changed.clone()),
        sends("PATCH", &one, fhirpath_patch("Patient.active", "true")),
    ] {
        let both = json!([sends("PUT", &one, changed.clone()), second]);
        hub.post("", &transaction(both)).await.refuses(422, "duplicate", "Bundle.entry[1].request.url");
    }
    assert_eq!(hub.reads(&one).await["meta"]["versionId"], "1");
    for criteria in ["identifier=urn:n|2", "gender=female&active=true"] {
        let post = sends("POST", "Patient", patient("Two"));
        let post = post.with(json!({ "request": { "method": "POST", "url": "Patient", "ifNoneExist": criteria } }));
        let twice = hub.post("", &transaction(json!([post, post]))).await;
        twice.refuses(422, "duplicate", "Bundle.entry[1].request.ifNoneExist");
    }
    assert_eq!(hub.finds("Patient").await.len(), 1);
    hub.closes().await;
}

async fn links_between_entries_lead_to_what_came_of_them(world: World) {
    let hub = world.hub().await;
    let elsewhere = "https://elsewhere.example/fhir";
    let binary = json!({ "resourceType": "Binary", "contentType": "text/plain", "data": "eA==" });
    let document = json!({
        "resourceType": "DocumentReference", "status": "current",
        "text": { "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"urn:uuid:00000000-0000-4000-8000-0000000000b1\">letter</a></div>" },
        "subject": { "reference": "Patient/p" },
        "content": [{ "attachment": { "url": "urn:uuid:00000000-0000-4000-8000-0000000000b1" } }],
    });
    let at = |url: &str, entry: Value| entry.with(json!({ "fullUrl": url }));
    let reply = hub
        .post(
            "",
            &transaction(json!([
                at(&format!("{elsewhere}/DocumentReference/d"), sends("POST", "DocumentReference", document)),
                at("urn:uuid:00000000-0000-4000-8000-0000000000b1", sends("POST", "Binary", binary)),
                at(&format!("{elsewhere}/Patient/p"), sends("POST", "Patient", patient("P"))),
            ])),
        )
        .await
        .is(200);
    let name = |n: usize| {
        let location = reply.body["entry"][n]["response"]["location"].as_str().unwrap();
        location.strip_prefix(&format!("{}/", hub.base)).unwrap().split("/_history").next().unwrap().to_owned()
    };
    let stored = hub.reads(&name(0)).await;
    assert_eq!(stored["subject"]["reference"], name(2), "relative to where the entry says it is from");
    assert_eq!(stored["content"][0]["attachment"]["url"], name(1));
    assert!(stored["text"]["div"].as_str().unwrap().contains(&format!("<a href=\"{}\">", name(1))), "{stored}");
    hub.closes().await;
}

async fn a_conditional_reference_leads_to_the_only_one_that_is_found(world: World) {
    let hub = world.hub().await;
    let numbered = |number: &str| patient("N").with(json!({ "identifier": [{ "system": "urn:n", "value": number }] }));
    let one = creates(&hub, numbered("1")).await;
    let female = creates(&hub, numbered("2").with(json!({ "gender": "female" }))).await;
    creates(&hub, numbered("twice")).await;
    creates(&hub, numbered("twice")).await;
    let of = |query: &str| referral().with(json!({ "subject": { "reference": format!("Patient?{query}") } }));
    let post = |query: &str| sends("POST", "ServiceRequest", of(query));
    let good = json!([
        post("identifier=urn:n|1"),
        post("gender=female"),
        post("identifier=urn:n|3"),
        sends("POST", "Patient", numbered("3")),
    ]);
    hub.post("", &transaction(good)).await.is(200);
    let three = hub.finds("Patient?identifier=urn:n|3").await[0]["id"].as_str().unwrap().to_owned();
    for subject in [one, female, format!("Patient/{three}")] {
        assert_eq!(hub.finds(&format!("ServiceRequest?subject={subject}")).await.len(), 1, "{subject}");
    }
    let place = "Bundle.entry[0].resource.subject.reference";
    hub.post("", &transaction(json!([post("identifier=urn:n|4")]))).await.refuses(422, "not-found", place);
    hub.post("", &transaction(json!([post("gender=male")]))).await.refuses(422, "not-found", place);
    hub.post("", &transaction(json!([post("identifier=urn:n|twice")]))).await.refuses(422, "multiple-matches", place);
    hub.post("", &transaction(json!([post("nonsense=1")]))).await.refuses(400, "not-supported", place);
    let lone = hub.post("ServiceRequest", &of("identifier=urn:n|1")).await;
    lone.refuses(422, "not-supported", "ServiceRequest.subject.reference");
    assert_eq!(hub.finds("ServiceRequest").await.len(), 3);
    hub.closes().await;
}

async fn tasks_move_by_their_rules_also_in_a_transaction(world: World) {
    let hub = world.hub().await;
    let (first, second) = (hub.submits(laboratory()).await, hub.submits(laboratory()).await);
    let takes = |order: &tests::Order, owner: &str| {
        let claim = json!([
            { "op": "replace", "path": "/status", "value": "accepted" },
            { "op": "add", "path": "/owner", "value": { "reference": owner } },
        ]);
        sends("PATCH", &order.step(2), json_patch(&claim))
    };
    hub.takes(&second.step(2), "Organization/lab-2").await.is(200);
    let both = json!([takes(&first, "Organization/lab-1"), takes(&second, "Organization/lab-1")]);
    hub.post("", &transaction(both)).await.refuses(409, "conflict", "Bundle.entry[1]");
    assert_eq!(hub.reads(&first.step(2)).await["status"], "requested", "not one of two");

    let to = |order: &tests::Order, status: &str| sends("PATCH", &order.step(2), fhirpath_patch("Task.status", status));
    hub.post("", &transaction(json!([takes(&first, "Organization/lab-1")]))).await.is(200);
    hub.post("", &transaction(json!([to(&first, "in-progress"), to(&second, "in-progress")]))).await.is(200);
    hub.post("", &transaction(json!([to(&first, "completed"), to(&second, "completed")]))).await.is(200);
    for order in [&first, &second] {
        order.task_is("analyse", "requested").await;
        order.walked_legally().await;
    }
    let revoked = sends("PATCH", first.request(), fhirpath_patch("ServiceRequest.status", "revoked"));
    let reply = hub.post("", &transaction(json!([revoked, request("GET", &first.fulfilment)]))).await.is(200);
    assert_eq!(reply.body["entry"][1]["resource"]["status"], "cancelled");
    hub.closes().await;
}

async fn what_a_get_cannot_answer_fails_its_transaction(world: World) {
    let hub = world.hub().await;
    let post = sends("POST", "Patient", patient("Never"));
    for (url, status, place) in [
        ("Patient/nobody", 404, "Bundle.entry[1]"),
        ("Patient?no-such=1", 400, "Bundle.entry[1].request.url"),
        ("Teapot", 404, "Bundle.entry[1].request.url"),
    ] {
        let reply = hub.post("", &transaction(json!([post, request("GET", url)]))).await.is(status);
        assert_eq!(reply.body["issue"][0]["expression"][0], place, "{}", reply.text);
    }
    assert_eq!(hub.finds("Patient").await, Vec::<Value>::new());
    hub.closes().await;
}

async fn a_transaction_is_answered_once(world: World) {
    let hub = world.hub().await;
    let old = creates(&hub, patient("Old")).await;
    let entries = json!([
        sends("POST", "Patient", patient("New")),
        sends("PATCH", &old, fhirpath_patch("Patient.gender", "other")).with(json!({ "resource": {
            "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": [
                { "name": "type", "valueCode": "add" }, { "name": "path", "valueString": "Patient" },
                { "name": "name", "valueString": "gender" }, { "name": "value", "valueCode": "other" },
            ] }],
        } })),
        request("GET", &old),
    ]);
    let submit = async || hub.post("", &transaction(entries.clone())).header("idempotency-key", "k").await.is(200);
    let (first, second) = (submit().await, submit().await);
    assert_eq!(first.body, second.body);
    assert_eq!(hub.reads(&old).await["meta"]["versionId"], "2");
    assert_eq!(hub.finds("Patient").await.len(), 2);
    hub.closes().await;
}

async fn in_a_batch_every_entry_has_an_answer_of_its_own(world: World) {
    let hub = world.hub().await;
    let one = creates(&hub, patient("One")).await;
    let other = creates(&hub, patient("Other")).await;
    let changed = hub.reads(&one).await.with(json!({ "gender": "other" }));
    let conditional = |name: &str, value: &str| {
        let mut get = request("GET", &one);
        get["request"][name] = value.into();
        get
    };
    let reply = hub
        .post(
            "",
            &batch(json!([
                sends("PUT", &one, changed),
                request("DELETE", &other),
                request("GET", "Patient/nobody"),
                sends("POST", "ServiceRequest", referral().with(json!({ "status": "going" }))),
                request("GET", "Patient?_id=nobody"),
                request("DELETE", "Patient/nobody"),
                sends("PATCH", "Patient?identifier=urn:n|1", fhirpath_patch("Patient.gender", "male")),
                sends("PUT", "Patient/elsewhere", patient("Mine").with(json!({ "id": "elsewhere" }))),
                request("GET", &format!("{one}/_history/1")),
                request("GET", "metadata"),
            ])),
        )
        .await
        .is(200);
    assert_eq!(statuses(&reply), ["200", "204", "404", "422", "200", "404", "404", "405", "200", "200"]);
    assert_eq!(reply.body["type"], "batch-response");
    let outcome = |n: usize| &reply.body["entry"][n]["response"]["outcome"]["issue"][0];
    assert_eq!(outcome(3)["expression"][0], "Bundle.entry[3].resource.status");
    assert_eq!(outcome(5)["expression"][0], "Bundle.entry[5]");
    assert_eq!(reply.body["entry"][9]["resource"]["resourceType"], "CapabilityStatement");
    assert_eq!(hub.reads(&one).await["gender"], "other");
    hub.get(&other).await.is(410);

    let later = conditional("ifModifiedSince", "2999-01-01T00:00:00Z");
    let entries = json!([conditional("ifNoneMatch", "W/\"2\""), conditional("ifNoneMatch", "W/\"1\""), later]);
    let reply = hub.post("", &batch(entries)).await.is(200);
    assert_eq!(statuses(&reply), ["304", "200", "304"]);
    hub.closes().await;
}

async fn the_resources_come_along_when_they_are_wanted(world: World) {
    let hub = world.hub().await;
    let entries = json!([sends("POST", "Patient", patient("Rosa"))]);
    let plain = hub.post("", &transaction(entries.clone())).await.is(200);
    assert!(plain.body["entry"][0]["resource"].is_null());
    let post = hub.post("", &transaction(entries)).header("prefer", "return=representation");
    let full = post.await.is(200);
    assert_eq!(full.body["entry"][0]["resource"]["name"][0]["family"], "Rosa");
    assert_eq!(full.body["entry"][0]["resource"]["meta"]["versionId"], "1");
    hub.closes().await;
}
