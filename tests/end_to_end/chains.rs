//! Finding resources by what they do not have, by what they point to, and by what points to them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::bodies::{With, laboratory, referral, task};
use tests::{Client, World, stories};

stories![
    a_value_may_be_ruled_out,
    what_a_resource_points_to_may_be_described,
    what_points_to_a_resource_may_be_described,
    a_link_that_leads_nowhere_is_told,
];

async fn finds(hub: &Client, search: &str) -> BTreeSet<String> {
    let found = hub.finds(search).await;
    let name = |resource: &Value| format!("{}/{}", resource["resourceType"], resource["id"]).replace('"', "");
    found.iter().map(name).collect()
}

fn set<const N: usize>(names: [&String; N]) -> BTreeSet<String> {
    names.into_iter().cloned().collect()
}

async fn a_value_may_be_ruled_out(world: World) {
    let hub = world.hub().await;
    let mut made = Vec::new();
    for changed in [json!({}), json!({ "status": "draft" }), json!({ "priority": "urgent", "code": null })] {
        made.push(hub.post("Task", &task().with(changed)).await.is(201).reference());
    }
    let [plain, draft, urgent] = [&made[0], &made[1], &made[2]];
    for (search, expected) in [
        ("status:not=draft", set([plain, urgent])),
        ("status:not=draft,requested", set([])),
        ("status:not=http://hl7.org/fhir/task-status|requested", set([draft])),
        ("priority:not=urgent", set([plain, draft])),
        ("business-status:not=anything", set([plain, draft, urgent])),
        ("status:not=draft&priority:not=urgent", set([plain])),
    ] {
        assert_eq!(finds(&hub, &format!("Task?{search}")).await, expected, "{search}");
    }
    hub.get("Task?focus:not=1").await.refuses(400, "not-supported", "focus:not");
    hub.closes().await;
}

struct Practice {
    patient: String,
    request: String,
    whole: String,
}

/// A patient of a surgery with an order in the laboratory, and another patient.
async fn practice(hub: &Client) -> Practice {
    let surgery = json!({ "resourceType": "Organization", "identifier": [{ "system": "urn:ods", "value": "N1" }], "active": true });
    let surgery = hub.post("Organization", &surgery).await.is(201).reference();
    let patient = json!({
        "resourceType": "Patient",
        "identifier": [{ "system": "urn:nhs", "value": "1.2" }],
        "gender": "female",
        "name": [{ "family": "Müller", "given": ["Rosa"] }],
        "birthDate": "1951-02-03",
        "managingOrganization": { "reference": surgery },
    });
    let patient = hub.post("Patient", &patient).await.is(201).reference();
    let other = json!({ "resourceType": "Patient", "gender": "male" });
    let other = hub.post("Patient", &other).await.is(201).reference();
    hub.submits(referral().with(json!({ "subject": { "reference": other } }))).await;
    let order = hub.submits(laboratory().with(json!({ "subject": { "reference": patient } }))).await;
    Practice { patient, request: order.request().to_owned(), whole: order.fulfilment.clone() }
}

async fn what_a_resource_points_to_may_be_described(world: World) {
    let hub = world.hub().await;
    let practice = practice(&hub).await;
    let (request, whole) = (&practice.request, &practice.whole);
    for search in [
        "subject:Patient.identifier=urn:nhs|1.2",
        "patient.identifier=1.2",
        "patient.gender=female",
        "patient.name=mull",
        "subject:Patient.family:exact=Müller",
        "patient.given:contains=os",
        "patient.gender:not=male",
        "patient.birthdate=lt1960",
        "patient.birthdate:missing=false",
        "subject:Patient._id=",
        "patient.organization.identifier=urn:ods|N1",
        "subject:Patient.organization:Organization.active=true",
        "patient._has:ServiceRequest:patient:code=http://loinc.org|24331-1",
    ] {
        let search = if search.ends_with("_id=") {
            format!("{search}{}", &practice.patient["Patient/".len()..])
        } else {
            search.to_owned()
        };
        assert_eq!(finds(&hub, &format!("ServiceRequest?{search}")).await, set([request]), "{search}");
    }
    for nothing in
        ["patient.identifier=3", "patient.gender=female&patient.gender=male", "patient.organization.active=false"]
    {
        assert_eq!(finds(&hub, &format!("ServiceRequest?{nothing}")).await, set([]), "{nothing}");
    }
    let of_focus = "Task?part-of:missing=true&focus:ServiceRequest.patient.gender=female";
    assert_eq!(finds(&hub, of_focus).await, set([whole]));
    // It goes with all else that a search has.
    let page = hub.get("Task?patient.gender=female&_count=2&_sort=_id&_include=Task:focus").await.is(200);
    assert_eq!(page.body["entry"][2]["search"]["mode"], "include");
    assert!(page.link("next").is_some());
    assert_eq!(finds(&hub, "Task?patient.gender=female&_count=2").await.len(), 4);
    hub.closes().await;
}

async fn what_points_to_a_resource_may_be_described(world: World) {
    let hub = world.hub().await;
    let practice = practice(&hub).await;
    let (patient, request) = (&practice.patient, &practice.request);
    let by_whole = format!("ServiceRequest?_has:Task:focus:_id={}", &practice.whole["Task/".len()..]);
    assert_eq!(finds(&hub, &by_whole).await, set([request]));
    for search in [
        "_has:ServiceRequest:patient:code=http://loinc.org|24331-1",
        "_has:ServiceRequest:subject:_has:Task:focus:code=fulfill&gender=female",
        "_has:Task:patient:focus:ServiceRequest.code=http://loinc.org|24331-1",
    ] {
        assert_eq!(finds(&hub, &format!("Patient?{search}")).await, set([patient]), "{search}");
    }
    assert_eq!(finds(&hub, "Patient?_has:Task:patient:status=failed").await, set([]));
    hub.closes().await;
}

async fn a_link_that_leads_nowhere_is_told(world: World) {
    let hub = world.hub().await;
    for (search, code, says) in [
        ("colour.name=x", "not-supported", "colour"),
        ("status.name=x", "not-supported", "status"),
        ("subject:Group.identifier=x", "not-supported", "subject:Patient"),
        ("patient:Organization.identifier=x", "not-supported", "patient:Patient"),
        ("focus.identifier=x", "not-supported", "focus:ServiceRequest"),
        ("patient.colour=x", "not-supported", "patient:Patient"),
        ("patient:Patient.colour=x", "not-supported", "at \"colour\" of Patient"),
        ("patient.organization:Organization.colour=x", "not-supported", "at \"colour\" of Organization"),
        ("patient.birthdate=yesterday", "value", "at \"birthdate\" of Patient"),
        ("part-of.part-of.part-of.part-of.part-of.status=ready", "value", "at most 4 links"),
        ("_has:Task:focus=x", "not-supported", "_has:Type:parameter"),
        ("_has:Colour:focus:status=x", "not-supported", "_has:Type:parameter"),
        ("_has:ServiceRequest:subject:status=x", "not-supported", "ServiceRequest points to a Task by: "),
        ("_has:Task:part-of:colour=x", "not-supported", "at \"colour\" of Task"),
    ] {
        let path = search.split('=').next().unwrap();
        let no = hub.get(&format!("Task?{search}")).await.refuses(400, code, path);
        assert!(no.says().contains(says), "{search}: {}", no.says());
    }
    let lenient = hub.get("Task?patient:Patient.colour=x").header("prefer", "handling=lenient").await.is(200);
    assert!(!lenient.link("self").unwrap().contains("colour"));
    hub.closes().await;
}
