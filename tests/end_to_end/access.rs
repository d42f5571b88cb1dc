//! Who may do what, when a site says who is believed.

use serde_json::json;
use tests::bodies::{With, laboratory, referral};
use tests::{Issuer, Program, World, stories};

stories![
    who_shows_no_good_token_is_not_let_in,
    each_role_may_do_its_part,
    a_filler_speaks_for_itself_only,
    only_an_operator_sees_what_is_parked,
    a_hub_that_others_can_reach_demands_authentication,
];

async fn who_shows_no_good_token_is_not_let_in(world: World) {
    let issuer = Issuer::at(world.folder());
    let hub = world.hub_with(&issuer.fields()).await;
    let nobody = hub.get("Task").await.refuses(401, "login", "");
    assert!(nobody.header("www-authenticate").starts_with("Bearer"));
    hub.with_token("made.up.token").get("Task").await.is(401);
    let expired = issuer.token_that_ends(-600, "Organization/surgery", &["placer"]);
    hub.with_token(expired).get("Task").await.refuses(401, "expired", "");
    hub.with_token(issuer.token("Organization/surgery", &[])).get("Task").await.refuses(403, "forbidden", "");
    hub.with_token(issuer.token("Practitioner/x", &["placer"])).get("Task").await.refuses(403, "forbidden", "");
    hub.with_token(issuer.token("Organization/surgery", &["placer"])).get("Task").await.is(200);
    hub.get("/health/ready").await.is(200);
    hub.closes().await;
}

async fn each_role_may_do_its_part(world: World) {
    let issuer = Issuer::at(world.folder());
    let hub = world.hub_with(&issuer.fields()).await;
    let placer = hub.with_token(issuer.token("Organization/surgery", &["placer"]));
    let filler = hub.with_token(issuer.token("Organization/lab-1", &["filler"]));
    let own = json!({ "requester": { "reference": "Organization/surgery" } });
    filler.post("ServiceRequest", &referral()).await.refuses(403, "forbidden", "");
    let order = placer.submits(laboratory().with(own)).await;
    let task = order.step(2);
    filler.sets(order.request(), "status", "revoked").await.refuses(403, "forbidden", "");
    filler.delete(order.request()).await.refuses(403, "forbidden", "");
    filler.post("Patient", &json!({ "resourceType": "Patient" })).await.refuses(403, "forbidden", "");

    let report = json!({
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "code": { "text": "Full blood count" },
        "basedOn": [{ "reference": order.request() }],
    });
    let report = filler.post("DiagnosticReport", &report).await.is(201).reference();
    filler.sets(&report, "status", "final").await.is(200);

    filler.sets(&task, "status", "accepted").await.is(200);
    assert_eq!(filler.reads(&task).await["owner"]["reference"], "Organization/lab-1", "whoever takes it is its owner");
    placer.sets(&task, "status", "in-progress").await.is(422);
    filler.sets(&task, "status", "in-progress").await.is(200);
    filler.sets(&task, "status", "completed").await.is(200);
    assert_eq!(placer.reads(&task).await["status"], "completed");
    hub.closes().await;
}

async fn only_an_operator_sees_what_is_parked(world: World) {
    let issuer = Issuer::at(world.folder());
    let hub = world.hub_with(&issuer.fields()).await;
    hub.get("/parked").await.is(401);
    hub.with_token(issuer.token("Organization/surgery", &["placer", "filler"])).get("/parked").await.is(403);
    hub.with_token(issuer.token("Organization/it", &["operator"])).get("/parked").await.is(200);
    hub.closes().await;
}

async fn a_filler_speaks_for_itself_only(world: World) {
    let issuer = Issuer::at(world.folder());
    let hub = world.hub_with(&issuer.fields()).await;
    let placer = hub.with_token(issuer.token("Organization/surgery", &["placer"]));
    let one = hub.with_token(issuer.token("Organization/lab-1", &["filler"]));
    let other = hub.with_token(issuer.token("Organization/lab-2", &["filler"]));
    let operator = hub.with_token(issuer.token("Organization/it", &["operator"]));
    let requester = json!({ "requester": { "reference": "Organization/surgery" } });
    let order = placer.submits(laboratory().with(requester)).await;
    let task = order.step(2);
    one.takes(&task, "Organization/lab-2").await.refuses(403, "forbidden", "");
    one.takes(&task, "Organization/lab-1").await.is(200);
    assert!(matches!(other.takes(&task, "Organization/lab-2").await.status, 403 | 409));
    assert!(matches!(other.sets(&task, "status", "in-progress").await.status, 403 | 422));
    operator.sets(&task, "status", "in-progress").await.is(200);
    hub.closes().await;
}

async fn a_hub_that_others_can_reach_demands_authentication(world: World) {
    if !Program::are_built() {
        return;
    }
    let arguments = ["serve", "--listen", "0.0.0.0:0", "--database", &world.database, "--queue", &world.queue];
    let (code, _, errors) = Program::run("hub", &arguments).await;
    assert_eq!(code, 1);
    assert!(errors.contains("listen") && errors.contains("auth.jwks"), "{errors}");
    let (code, _, errors) =
        Program::run("hub", &["serve", "--database", "mysql://x", "--set", "offers_max=many"]).await;
    assert_eq!(code, 1);
    assert!(errors.contains("database") && errors.contains("offers_max"), "all that is wrong at once: {errors}");
}
