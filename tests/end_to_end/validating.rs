//! `$validate`: what would be said, and nothing done.

use serde_json::{Value, json};
use tests::bodies::{With, laboratory, referral, task};
use tests::{Issuer, Reply, World, stories};

stories![
    a_resource_is_held_against_fhir_and_not_stored,
    an_interaction_is_decided_and_not_done,
    who_may_not_do_it_is_told_so,
];

fn asks(mode: &str, resource: Option<Value>) -> Value {
    let mut parameters = vec![json!({ "name": "mode", "valueCode": mode })];
    parameters.extend(resource.map(|resource| json!({ "name": "resource", "resource": resource })));
    json!({ "resourceType": "Parameters", "parameter": parameters })
}

/// The severity, the code and the place of each issue.
fn issues(reply: &Reply) -> Vec<String> {
    let told = |issue: &Value| {
        let text = |name: &str| issue[name].as_str().unwrap().to_owned();
        let place = issue["expression"][0].as_str().unwrap_or("-");
        format!("{} {} {place}", text("severity"), text("code"))
    };
    reply.body["issue"].as_array().unwrap().iter().map(told).collect()
}

const GOOD: &str = "information informational -";

async fn a_resource_is_held_against_fhir_and_not_stored(world: World) {
    let hub = world.hub().await;
    let good = hub.post("ServiceRequest/$validate", &referral()).await.is(200);
    assert_eq!(issues(&good), [GOOD]);
    let bad = referral().with(json!({ "status": "going", "colour": "blue" }));
    let mut told = issues(&hub.post("ServiceRequest/$validate", &bad).await.is(200));
    told.sort();
    assert_eq!(told, ["error code-invalid ServiceRequest.status", "error structure ServiceRequest.colour"]);
    let within = hub.post("ServiceRequest/$validate", &asks("create", Some(bad))).await.is(200);
    assert!(issues(&within).contains(&"error code-invalid Parameters.parameter[1].resource.status".to_owned()));
    let other = hub.post("Task/$validate", &referral()).await.is(200);
    assert!(issues(&other)[0].starts_with("error"), "{}", other.text);
    let none = hub.post("Task/$validate", &asks("create", None)).await.is(200);
    assert_eq!(issues(&none), ["error required resource"]);
    hub.post("Task/$validate", &asks("improve", Some(task()))).await.refuses(400, "code-invalid", "mode");
    hub.post_text("Task/$validate", "no json").await.refuses(400, "structure", "");

    let profile = "ServiceRequest/$validate?profile=https://profiles.example/Referral";
    assert_eq!(issues(&hub.post(profile, &referral()).await.is(200)), ["warning not-supported profile", GOOD]);
    let own = "ServiceRequest/$validate?profile=http://hl7.org/fhir/StructureDefinition/ServiceRequest";
    assert_eq!(issues(&hub.post(own, &referral()).await.is(200)), [GOOD]);
    assert_eq!(hub.finds("ServiceRequest").await, Vec::<Value>::new());
    hub.closes().await;
}

async fn an_interaction_is_decided_and_not_done(world: World) {
    let hub = world.hub().await;
    let nowhere = task().with(json!({ "focus": { "reference": "ServiceRequest/nobody" } }));
    let create = hub.post("Task/$validate", &asks("create", Some(nowhere))).await.is(200);
    assert_eq!(issues(&create), ["error not-found Parameters.parameter[1].resource.focus.reference"]);
    let good = hub.post("ServiceRequest/$validate", &asks("create", Some(referral()))).await.is(200);
    assert_eq!(issues(&good), [GOOD]);
    assert_eq!(hub.finds("Task").await, Vec::<Value>::new(), "nothing began");

    let order = hub.submits(laboratory()).await;
    let step = order.step(2);
    let path = format!("{step}/$validate");
    let now = hub.reads(&step).await;
    let owner = json!({ "reference": "Organization/lab-1" });
    let taken = now.clone().with(json!({ "status": "accepted", "owner": owner }));
    assert_eq!(issues(&hub.post(&path, &asks("update", Some(taken))).await.is(200)), [GOOD]);
    let skipped = now.clone().with(json!({ "status": "completed" }));
    let update = hub.post(&path, &asks("update", Some(skipped.clone()))).await.is(200);
    assert_eq!(issues(&update), ["error business-rule Parameters.parameter[1].resource.status"]);
    let of_type = hub.post("Task/$validate?mode=update", &skipped).await.is(200);
    assert_eq!(issues(&of_type), ["error business-rule Task.status"]);
    let other = now.clone().with(json!({ "id": "other" }));
    let other = hub.post(&path, &asks("update", Some(other))).await.is(200);
    assert_eq!(issues(&other), ["error invalid Parameters.parameter[1].resource.id"]);
    assert_eq!(hub.reads(&step).await, now);

    let live = hub.post(&format!("{}/$validate", order.request()), &asks("delete", None)).await.is(200);
    assert_eq!(issues(&live), ["error conflict -"]);
    let patient = hub.post("Patient", &json!({ "resourceType": "Patient" })).await.is(201).reference();
    assert_eq!(issues(&hub.post(&format!("{patient}/$validate"), &asks("delete", None)).await.is(200)), [GOOD]);
    hub.get(&patient).await.is(200);
    let nobody = hub.post("Patient/nobody/$validate", &asks("delete", None)).await.is(200);
    assert_eq!(issues(&nobody), ["error not-found -"]);
    hub.closes().await;
}

async fn who_may_not_do_it_is_told_so(world: World) {
    let issuer = Issuer::at(world.folder());
    let hub = world.hub_with(&issuer.fields()).await;
    let filler = hub.with_token(issuer.token("Organization/lab-1", &["filler"]));
    let create = filler.post("ServiceRequest/$validate", &asks("create", Some(referral()))).await.is(200);
    assert_eq!(issues(&create), ["error forbidden -"]);
    assert_eq!(issues(&filler.post("ServiceRequest/$validate", &referral()).await.is(200)), [GOOD]);
    hub.post("ServiceRequest/$validate", &referral()).await.is(401);

    // A filler's transaction does what a filler may, and no more.
    let placer = hub.with_token(issuer.token("Organization/surgery", &["placer"]));
    let order =
        placer.submits(laboratory().with(json!({ "requester": { "reference": "Organization/surgery" } }))).await;
    let taken = filler.reads(&order.step(2)).await.with(json!({ "status": "accepted" }));
    let put = json!({ "resource": taken, "request": { "method": "PUT", "url": order.step(2) } });
    let post = json!({ "resource": referral(), "request": { "method": "POST", "url": "ServiceRequest" } });
    let bundle = |entries: Value| json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries });
    let both = filler.post("", &bundle(json!([put, post]))).await;
    both.refuses(403, "forbidden", "Bundle.entry[1]");
    filler.post("", &bundle(json!([put]))).await.is(200);
    assert_eq!(filler.reads(&order.step(2)).await["owner"]["reference"], "Organization/lab-1");
    hub.closes().await;
}
