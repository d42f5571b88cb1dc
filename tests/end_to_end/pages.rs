//! The page about plans works as it is written.

use serde_json::{Value, json};
use tests::{Program, World, stories};

stories![a_plan_is_written_looked_at_and_run_as_the_page_says];

/// The first block of a page that is fenced so.
fn fenced<'p>(page: &'p str, of: &str, with: &str) -> &'p str {
    // What stands before a fence is no block; then every other part is one.
    let blocks = page.split("```").skip(1).step_by(2);
    let mut those = blocks.filter_map(|block| block.strip_prefix(of)?.strip_prefix('\n'));
    those.find(|block| block.contains(with)).unwrap()
}

async fn a_plan_is_written_looked_at_and_run_as_the_page_says(world: World) {
    if !Program::are_built() {
        return;
    }
    let page = include_str!("../../docs/plans.md");
    let folder = tempfile::tempdir().unwrap();
    let plans = folder.path().join("plans");
    std::fs::create_dir_all(&plans).unwrap();
    let (plan, events) = (plans.join("hearing-aid.json"), folder.path().join("events.txt"));
    std::fs::write(&plan, fenced(page, "json", "urn:example:plan:hearing-aid")).unwrap();
    std::fs::write(&events, "measure done 2h\nfit done 20d\n").unwrap();
    let (plan, events) = (plan.to_str().unwrap(), events.to_str().unwrap());

    let (code, said, _) = Program::run("hub", &["plan", "check", plan]).await;
    assert_eq!((code, said.contains("2 steps, started by DeviceRequest, done by audiology")), (0, true), "{said}");
    let (_, drawn, _) = Program::run("hub", &["plan", "draw", plan]).await;
    assert_eq!(drawn.trim_end(), fenced(page, "mermaid", "Measure").trim_end());
    let arguments = ["plan", "simulate", plan, "--start", "2026-03-01", "--events", events];
    let (_, timeline, _) = Program::run("hub", &arguments).await;
    assert_eq!(timeline.trim_end(), fenced(page, "text", "overdue").trim_end());

    let hub = world.hub_with(&[("plans", plans.to_str().unwrap())]).await;
    let aid: Value = json!({
        "resourceType": "DeviceRequest", "status": "active", "intent": "order",
        "codeCodeableConcept": { "text": "Hearing aid" }, "subject": { "reference": "Patient/1" },
    });
    let order = hub.submits(aid).await;
    let mut audiology = hub.worker("audiology", "Organization/audiology-1").await;
    assert_eq!(audiology.fulfils_next().await.step, "measure");
    assert_eq!(order.statuses().await, ["in-progress", "completed", "draft"], "fitting is on offer a day later");
    drop(audiology);
    hub.closes().await;
}
