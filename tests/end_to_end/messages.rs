//! The message `fulfill`: an order as FHIR messaging brings it.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::bodies::referral;
use tests::{Client, Reply, World, stories};

stories![
    a_message_becomes_an_order,
    a_message_that_comes_again_is_answered_as_the_first_was,
    without_an_id_a_message_is_as_good_as_its_key,
    what_is_wrong_with_a_message_is_told,
];

/// `ids`: of the Bundle (`identifier`, `id`), and of the header (`header`).
fn message(ids: Value) -> Value {
    let url = "urn:uuid:0a6c2d80-6f5e-4d0c-9c54-1c8a7ad0a111";
    let mut header = json!({
        "resourceType": "MessageHeader",
        "eventCoding": { "system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill" },
        "source": { "endpoint": "http://placer.example" },
        "focus": [{ "reference": url }],
    });
    let mut bundle = json!({ "resourceType": "Bundle", "type": "message" });
    for (name, id) in ids.as_object().unwrap() {
        match name.as_str() {
            "header" => header["id"] = id.clone(),
            "identifier" => bundle["identifier"] = json!({ "system": "urn:ietf:rfc:3986", "value": id }),
            _ => bundle["id"] = id.clone(),
        }
    }
    bundle["entry"] = json!([
        { "fullUrl": "urn:uuid:0a6c2d80-6f5e-4d0c-9c54-1c8a7ad0a222", "resource": header },
        { "fullUrl": url, "resource": referral() },
    ]);
    bundle
}

/// The same, of something else.
fn another(mut message: Value) -> Value {
    message["entry"][1]["resource"]["note"] = json!([{ "text": "something else" }]);
    message
}

async fn sends(hub: &Client, message: &Value) -> Reply {
    hub.post("$process-message", message).await
}

/// The fulfilment Task of an answer, and what the answer is an answer to.
fn answered(reply: &Reply) -> (&Value, &str) {
    let header = &reply.body["entry"][0]["resource"];
    assert_eq!(header["response"]["code"], "ok", "{}", reply.text);
    assert_eq!(header["focus"][0]["reference"], reply.body["entry"][1]["fullUrl"]);
    (&reply.body["entry"][1]["resource"], header["response"]["identifier"].as_str().unwrap())
}

async fn a_message_becomes_an_order(world: World) {
    let hub = world.hub().await;
    let reply = sends(&hub, &message(json!({ "header": "m-1", "id": "b-1" }))).await.is(200);
    let (task, to) = answered(&reply);
    assert_eq!((task["status"].as_str(), &task["code"]["coding"][0]["code"]), (Some("requested"), &json!("fulfill")));
    assert_eq!(to, "m-1");
    let request = hub.finds("ServiceRequest").await[0]["id"].clone();
    assert_eq!(task["focus"]["reference"], format!("ServiceRequest/{}", request.as_str().unwrap()));
    // Answers of FHIR name a message by an id; a URN is none.
    let uuid = "0A6C2D80-6F5E-4D0C-9C54-1C8A7AD0A333";
    let reply = sends(&hub, &message(json!({ "identifier": format!("urn:uuid:{uuid}") }))).await.is(200);
    assert_eq!(answered(&reply).1, uuid);
    hub.closes().await;
}

async fn a_message_that_comes_again_is_answered_as_the_first_was(world: World) {
    let hub = world.hub().await;
    // What it is known by, and an id that then says nothing.
    let known = [
        ("Bundle.identifier", json!({ "identifier": "urn:uuid:0a6c2d80-6f5e-4d0c-9c54-1c8a7ad0a444", "id": "b" })),
        ("Bundle.id", json!({ "id": "b", "header": "m" })),
        ("MessageHeader.id", json!({ "header": "b" })),
    ];
    for (n, (place, ids)) in known.into_iter().enumerate() {
        let first = message(ids);
        let all = join_all((0..8).map(|_| async { sends(&hub, &first).await.is(200) })).await;
        assert!(all.iter().all(|reply| reply.text == all[0].text), "{place}: also while the first is under way");
        // What becomes of the order afterwards is not told by the first answer.
        let request = answered(&all[0]).0["focus"]["reference"].as_str().unwrap().to_owned();
        hub.patch(&request, json!([{ "op": "replace", "path": "/status", "value": "revoked" }])).await.is(200);
        assert_eq!(sends(&hub, &first).await.is(200).text, all[0].text, "{place}");
        let reply = sends(&hub, &another(first)).await.refuses(422, "business-rule", "");
        assert_eq!(reply.says(), format!("this {place} was used before, with another body"));
        assert_eq!(hub.finds("ServiceRequest").await.len(), n + 1, "{place}: one order");
    }
    // An old message in a new Bundle is a new one, and so is an id in other letters that is no UUID.
    for ids in [json!({ "id": "b-2", "header": "m" }), json!({ "id": "B", "header": "m" })] {
        sends(&hub, &message(ids)).await.is(200);
    }
    let in_capitals = json!({ "identifier": "urn:uuid:0A6C2D80-6F5E-4D0C-9C54-1C8A7AD0A444", "id": "b" });
    sends(&hub, &message(in_capitals)).await.refuses(422, "business-rule", "");
    assert_eq!(hub.finds("ServiceRequest").await.len(), 5);
    hub.closes().await;
}

async fn without_an_id_a_message_is_as_good_as_its_key(world: World) {
    let hub = world.hub().await;
    let nameless = message(json!({}));
    let send = async |key: &str| hub.post("$process-message", &nameless).header("idempotency-key", key).await.is(200);
    let first = send("k").await;
    assert_eq!(send("k").await.text, first.text);
    assert_ne!(send("l").await.text, first.text);
    let plain = sends(&hub, &nameless).await.is(200);
    assert_ne!(sends(&hub, &nameless).await.is(200).text, plain.text);
    assert_eq!(hub.finds("ServiceRequest").await.len(), 4);
    hub.closes().await;
}

async fn what_is_wrong_with_a_message_is_told(world: World) {
    let hub = world.hub().await;
    let wrong = |change: fn(&mut Value)| {
        let mut message = message(json!({ "id": "b" }));
        change(&mut message);
        message
    };
    let bad = [
        (wrong(|m| m["entry"][0]["resource"]["focus"] = Value::Null), "required", "Bundle.entry[0].resource.focus"),
        (
            wrong(|m| m["entry"][0]["resource"]["focus"][0]["reference"] = "ServiceRequest/elsewhere".into()),
            "value",
            "Bundle.entry[0].resource.focus[0]",
        ),
        (
            wrong(|m| m["entry"][1]["resource"]["status"] = "waiting".into()),
            "code-invalid",
            "Bundle.entry[1].resource.status",
        ),
    ];
    for (message, code, path) in bad {
        sends(&hub, &message).await.refuses(422, code, path);
    }
    for kind in ["ServiceRequest", "Task"] {
        assert_eq!(hub.finds(kind).await.len(), 0, "nothing is half done: {kind}");
    }
    // What was refused may be mended under the same id.
    sends(&hub, &message(json!({ "id": "b" }))).await.is(200);
    hub.closes().await;
}
