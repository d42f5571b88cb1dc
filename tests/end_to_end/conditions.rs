//! Interactions on what is found, where an id is not known; and ids of the callers' own.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::bodies::{With, referral, task};
use tests::{Hub, Reply, World, stories};

stories![
    an_update_by_condition_changes_the_only_one_or_creates_it,
    a_patch_and_a_deletion_by_condition_want_the_only_one,
    a_creation_unless_something_is_found_by_any_criteria,
    of_thirty_two_equal_updates_by_condition_one_creates,
    what_cannot_be_a_condition_is_refused,
    a_task_that_is_found_moves_by_its_rules,
    ids_of_callers_are_taken_only_where_a_site_wants_them,
    an_order_may_have_an_id_of_its_placer,
];

fn patient(number: &str) -> Value {
    json!({ "resourceType": "Patient", "identifier": [{ "system": "urn:n", "value": number }] })
}

async fn an_update_by_condition_changes_the_only_one_or_creates_it(world: World) {
    let hub = world.hub().await;
    let by_number = "Patient?identifier=urn:n|1";
    let created = hub.put(by_number, &patient("1")).await.is(201);
    assert!(created.header("location").contains(&created.reference()));
    let changed = hub.put(by_number, &patient("1").with(json!({ "gender": "female" }))).await.is(200);
    assert_eq!((changed.reference(), changed.header("etag")), (created.reference(), "W/\"2\""));

    let by_gender = "Patient?gender=female&active:missing=true";
    let found = hub.put(by_gender, &patient("1").with(json!({ "active": true }))).await.is(200);
    assert_eq!((found.reference(), found.header("etag")), (created.reference(), "W/\"3\""));
    let other = hub.put(by_gender, &patient("2")).await.is(201);
    assert_ne!(other.reference(), created.reference(), "it is active now, and is not found");

    let id = json!({ "id": other.reference().strip_prefix("Patient/").unwrap() });
    hub.put(by_number, &patient("1").with(id.clone())).await.refuses(400, "invalid", "Patient.id");
    hub.put("Patient?identifier=urn:n|2", &patient("2").with(id.clone())).await.is(200);
    hub.put("Patient?identifier=urn:n|3", &patient("3").with(id)).await.refuses(409, "conflict", "Patient.id");
    hub.put("Patient?identifier=urn:n|3", &patient("3").with(json!({ "id": "mine" }))).await.refuses(
        405,
        "not-supported",
        "",
    );
    let stale = hub.put(by_number, &patient("1")).header("if-match", "W/\"1\"").await;
    stale.refuses(412, "conflict", "");
    let nothing = hub.put("Patient?identifier=urn:n|4", &patient("4")).header("if-match", "W/\"1\"").await;
    nothing.refuses(412, "conflict", "");
    hub.post("Patient", &patient("1")).await.is(201);
    hub.put(by_number, &patient("1")).await.refuses(412, "multiple-matches", "");
    assert_eq!(hub.finds("Patient").await.len(), 3);
    hub.closes().await;
}

async fn a_patch_and_a_deletion_by_condition_want_the_only_one(world: World) {
    let hub = world.hub().await;
    let rename = json!([{ "op": "add", "path": "/gender", "value": "other" }]);
    for by in ["Patient?identifier=urn:n|1", "Patient?active=true"] {
        hub.patch(by, rename.clone()).await.refuses(404, "not-found", "");
        hub.delete(by).await.is(204);
        let body = patient("1").with(json!({ "active": true }));
        let one = hub.post("Patient", &body).await.is(201).reference();
        assert_eq!(hub.patch(by, rename.clone()).await.is(200).reference(), one);
        assert_eq!(hub.reads(&one).await["gender"], "other");
        let two = hub.post("Patient", &body).await.is(201).reference();
        hub.patch(by, rename.clone()).await.refuses(412, "multiple-matches", "");
        hub.delete(by).await.refuses(412, "multiple-matches", "");
        hub.delete(&two).await.is(204);
        hub.delete(by).header("if-match", "W/\"1\"").await.refuses(412, "conflict", "");
        hub.delete(by).await.is(204);
        hub.get(&one).await.is(410);
    }
    hub.closes().await;
}

async fn a_creation_unless_something_is_found_by_any_criteria(world: World) {
    let hub = world.hub().await;
    let body = patient("1").with(json!({ "gender": "female", "birthDate": "1970-05-04" }));
    let create = async |_| {
        let criteria = "gender=female&birthdate=1970-05-04";
        hub.post("Patient", &body).header("if-none-exist", criteria).await
    };
    let replies = join_all((0..32).map(create)).await;
    assert_eq!(counted(&replies), (1, 31));
    assert_eq!(hub.finds("Patient").await.len(), 1);

    let one = hub.finds("Patient").await.remove(0);
    let (reference, grown) =
        (format!("Patient/{}", one["id"].as_str().unwrap()), one.with(json!({ "gender": "other" })));
    hub.put(&reference, &grown).await.is(200);
    create(0).await.is(201);
    create(0).await.is(200);
    hub.post("Patient", &body).await.is(201);
    create(0).await.refuses(412, "multiple-matches", "");
    hub.closes().await;
}

/// How many were created, how many were found; none was anything else.
fn counted(replies: &[Reply]) -> (usize, usize) {
    let of = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!(
        of(201) + of(200),
        replies.len(),
        "{:?}",
        replies.iter().map(|r| (r.status, &r.text)).collect::<Vec<_>>()
    );
    (of(201), of(200))
}

async fn of_thirty_two_equal_updates_by_condition_one_creates(world: World) {
    let hub = world.hub().await;
    // What they find is changed by each, but not so that it would be found no more.
    for (by, number) in [("identifier=urn:n|1", "1"), ("gender=female&active=true", "2")] {
        let body = patient(number).with(json!({ "gender": "female", "active": true }));
        let update = async |n: usize| {
            let body = body.clone().with(json!({ "name": [{ "text": format!("name {n}") }] }));
            hub.put(&format!("Patient?{by}"), &body).await
        };
        let replies = join_all((0..32).map(update)).await;
        assert_eq!(counted(&replies), (1, 31), "{by}");
        let found = hub.finds(&format!("Patient?{by}")).await;
        assert_eq!(found.len(), 1, "{by}");
        let versions: BTreeSet<&str> = replies.iter().map(|reply| reply.header("etag")).collect();
        assert_eq!(versions.len(), 32, "each wrote a version of its own: {versions:?}");
        hub.delete(&format!("Patient/{}", found[0]["id"].as_str().unwrap())).await.is(204);
    }
    hub.closes().await;
}

async fn what_cannot_be_a_condition_is_refused(world: World) {
    let hub = world.hub().await;
    hub.delete("Patient").await.refuses(400, "required", "");
    hub.put("Patient?_format=json", &patient("1")).await.refuses(400, "required", "");
    hub.put("Patient?nonsense=1", &patient("1")).await.refuses(400, "not-supported", "nonsense");
    hub.put("Patient?active=true&_sort=_id", &patient("1")).await.refuses(400, "not-supported", "_sort");
    hub.put("Patient?birthdate=yesterday", &patient("1")).await.refuses(400, "value", "birthdate");
    hub.put("Teapot?identifier=urn:n|1", &patient("1")).await.refuses(404, "not-supported", "");
    let post = hub.post("Patient", &patient("1")).header("if-none-exist", "_include=Patient:organization").await;
    post.refuses(400, "not-supported", "_include");
    assert_eq!(hub.finds("Patient").await, Vec::<Value>::new());
    hub.closes().await;
}

async fn a_task_that_is_found_moves_by_its_rules(world: World) {
    let hub = world.hub().await;
    let numbered = task().with(json!({ "identifier": [{ "system": "urn:n", "value": "1" }] }));
    let open = hub.put("Task?identifier=urn:n|1", &numbered).await.is(201);
    let mut worker = hub.worker("general", "Organization/anybody").await;
    assert_eq!(worker.takes_task().await, open.reference(), "it is queued like any other");
    let skipped = open.body.clone().with(json!({ "status": "completed" }));
    hub.put("Task?identifier=urn:n|1", &skipped).await.refuses(422, "business-rule", "Task.status");
    let claim = json!([
        { "op": "replace", "path": "/status", "value": "accepted" },
        { "op": "add", "path": "/owner", "value": { "reference": "Organization/anybody" } },
    ]);
    hub.patch("Task?status=requested", claim.clone()).await.is(200);
    hub.patch("Task?status=requested", claim).await.refuses(404, "not-found", "");
    hub.delete("Task?status=accepted").await.refuses(409, "conflict", "");
    hub.closes().await;
}

async fn by_client(hub: &Hub, reference: &str, body: Value) -> Reply {
    hub.put(reference, &body.with(json!({ "id": reference.split('/').nth(1).unwrap() }))).await
}

async fn ids_of_callers_are_taken_only_where_a_site_wants_them(world: World) {
    let hub = world.hub_with(&[("update_create", "true"), ("references", "strict")]).await;
    let offered = hub.get("metadata").await.is(200).body["rest"][0].clone();
    let patients = offered["resource"].as_array().unwrap().iter().find(|one| one["type"] == "Patient").unwrap();
    assert_eq!(patients["updateCreate"], true);
    for (name, value) in [
        ("conditionalCreate", json!(true)),
        ("conditionalUpdate", json!(true)),
        ("conditionalDelete", json!("single")),
        ("conditionalRead", json!("full-support")),
    ] {
        assert_eq!(patients[name], value, "{name}");
    }
    assert!(offered["interaction"].as_array().unwrap().contains(&json!({ "code": "history-system" })));
    let created = by_client(&hub, "Patient/mine", patient("1")).await.is(201);
    assert_eq!((created.reference(), created.header("etag")), ("Patient/mine".into(), "W/\"1\""));
    by_client(&hub, "Patient/mine", patient("2")).await.is(200);
    let several = join_all((0..16).map(|_| by_client(&hub, "Patient/everybodys", patient("3")))).await;
    assert_eq!(counted(&several), (1, 15));
    assert_eq!(
        hub.finds("Patient/everybodys/_history").await.len(),
        1,
        "an update that changes nothing writes nothing"
    );
    hub.delete("Patient/mine").await.is(204);
    by_client(&hub, "Patient/mine", patient("1")).await.refuses(410, "deleted", "");
    let stale = hub.put("Patient/new", &patient("1").with(json!({ "id": "new" }))).header("if-match", "W/\"1\"").await;
    stale.refuses(412, "conflict", "");
    let own = json!({ "requester": null, "for": null });
    let ours = "Task/00000000-0000-4000-8000-000000000001.2";
    by_client(&hub, ours, task().with(own)).await.refuses(422, "business-rule", "Task.id");
    let by_condition = patient("9").with(json!({ "id": "nine" }));
    assert_eq!(hub.put("Patient?identifier=urn:n|9", &by_condition).await.is(201).reference(), "Patient/nine");

    // Entries that name each other by the ids that they will have.
    let put = |reference: &str, body: Value| {
        let body = body.with(json!({ "id": reference.split('/').nth(1).unwrap() }));
        json!({ "resource": body, "request": { "method": "PUT", "url": reference } })
    };
    let draft =
        referral().with(json!({ "status": "draft", "requester": null, "subject": { "reference": "Patient/b" } }));
    let entries = json!([put("ServiceRequest/a", draft), put("Patient/b", patient("b"))]);
    let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries });
    hub.post("", &bundle).await.is(200);
    assert_eq!(hub.reads("ServiceRequest/a").await["subject"]["reference"], "Patient/b");
    hub.closes().await;
}

async fn an_order_may_have_an_id_of_its_placer(world: World) {
    let hub = world.hub_with(&[("update_create", "true")]).await;
    for id in ["referral-1", "00000000-0000-4000-8000-0000000000aa"] {
        let reference = format!("ServiceRequest/{id}");
        let reply = by_client(&hub, &reference, referral()).await.is(201);
        let order = hub.order_of(&reply);
        order.is("requested").await;
        assert_eq!(hub.finds(&format!("Task?focus={reference}")).await.len(), 5);
        assert_eq!(hub.finds(&format!("Task?based-on={reference}")).await.len(), 5);
        let status = hub.get(&format!("{reference}/$order-status")).await.is(200);
        assert!(status.text.contains(&order.fulfilment), "{}", status.text);
        hub.sets(&reference, "status", "revoked").await.is(200);
        order.is("cancelled").await;
        order.walked_legally().await;
    }
    hub.closes().await;
}
