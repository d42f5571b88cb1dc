//! What is no plan: every fault is told, with its place.

use crate::plans::{after, step};
use hub_domain::plan::check::{ACTIONS_LIMIT, DEPTH_LIMIT};
use hub_domain::workflow::Offered;
use serde_json::{Value, json};

/// `path: text` of every fault of a plan with these actions.
fn faults_of(kind: &str, actions: &Value) -> Vec<String> {
    let plan = json!({ "resourceType": kind, "name": "p", "url": "urn:p", "action": actions });
    let told = Offered::read(&plan.to_string()).err().unwrap_or_default();
    told.into_iter().map(|issue| format!("{}: {}", issue.path, issue.text)).collect()
}

/// The only fault.
fn fault(actions: Value) -> String {
    let faults = faults_of("PlanDefinition", &actions);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].clone()
}

#[track_caller]
fn is_told(actions: Value, place: &str, words: &str) {
    let fault = fault(actions);
    assert!(fault.starts_with(&format!("{place}: ")) && fault.contains(words), "{fault}");
}

/// A step with an element.
fn with(name: &str, value: Value) -> Value {
    json!([step("a", json!({ name: value }))])
}

fn related(rest: Value) -> Value {
    let mut relation = json!({ "targetId": "b", "relationship": "after-end" });
    relation.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    json!([step("a", json!({ "relatedAction": [relation] })), step("b", json!({}))])
}

#[test]
fn ids_are_unique_and_lead_somewhere() {
    is_told(json!([step("a", json!({})), step("a", json!({}))]), "action[1]", "already that of action[0]");
    is_told(json!([step("a", after("nothing"))]), "action[0].relatedAction[0]", "there is no action nothing");
    is_told(json!([step("a", after("a"))]), "action[0].relatedAction[0]", "related to itself");
    let both = step("b", json!({ "linkId": "a" }));
    is_told(json!([step("a", json!({})), both]), "action[1]", "already that of action[0]");
}

#[test]
fn an_action_is_a_group_or_a_step() {
    is_told(json!([{ "id": "nobody" }]), "PlanDefinition.action[0].participant", "who does it");
    is_told(json!([]), "PlanDefinition.action", "at least one action");
    let both = json!([{ "id": "g", "definitionCanonical": "urn:x", "action": [step("a", json!({}))] }]);
    is_told(both, "PlanDefinition.action[0]", "not both");
    let orchestrated = |action: Value| faults_of("RequestOrchestration", &json!([action]));
    let asks = json!({ "reference": "#1" });
    assert_eq!(orchestrated(json!({ "resource": asks })), Vec::<String>::new());
    assert!(orchestrated(step("a", json!({})))[0].contains("this has none"));
    assert!(orchestrated(json!({ "resource": asks, "action": [{ "resource": asks }] }))[0].contains("not both"));
    assert!(faults_of("RequestGroup", &json!([{ "id": "a" }]))[0].starts_with("RequestGroup.action[0]: "));
    is_told(with("definitionCanonical", json!("urn:p|7")), "action[0]", "a part of itself");
}

#[test]
fn behaviours_are_known_and_do_not_contradict() {
    for (name, value) in
        [("selectionBehavior", "some"), ("requiredBehavior", "perhaps"), ("cardinalityBehavior", "twice")]
    {
        is_told(with(name, json!(value)), &format!("PlanDefinition.action[0].{name}"), "unknown");
    }
    is_told(with("selectionBehavior", json!("any")), "PlanDefinition.action[0].selectionBehavior", "nothing to choose");
    let mut often = with("cardinalityBehavior", json!("multiple"));
    assert!(faults_of("PlanDefinition", &often).is_empty());
    often[0]["timingTiming"] = json!({ "event": ["2026-01-01"] });
    is_told(often, "PlanDefinition.action[0].cardinalityBehavior", "not both");
    let must = |id: &str| step(id, json!({ "requiredBehavior": "must" }));
    let could = step("c", json!({ "requiredBehavior": "could" }));
    let choice = json!([{ "id": "g", "selectionBehavior": "at-most-one", "action": [must("a"), must("b"), could] }]);
    is_told(choice, "action[0]", "more are demanded");
    let choice = |actions: Value| json!([{ "id": "g", "selectionBehavior": "exactly-one", "action": actions }]);
    is_told(choice(json!([must("a"), must("b")])), "action[0]", "more are demanded");
    let said = choice(json!([must("a"), step("b", json!({}))]));
    assert_eq!(faults_of("PlanDefinition", &said), [] as [&str; 0], "of the other nothing is said");
    let marked = json!([{ "url": "urn:fhir-workflow-hub:extension:in-sequence", "valueBoolean": true }]);
    let sequence = json!([{ "id": "g", "extension": marked, "action": [step("a", json!({}))] }]);
    is_told(sequence, "PlanDefinition.action[0].selectionBehavior", "only a choice is offered in sequence");
}

#[test]
fn a_cycle_is_told_with_its_way() {
    is_told(
        json!([step("a", after("c")), step("b", after("a")), step("c", after("b"))]),
        "action[0]",
        "a -> c -> b -> a",
    );
    let mut group = json!({ "id": "g", "action": [step("a", json!({})), step("b", json!({}))] });
    group["relatedAction"] = after("c")["relatedAction"].clone();
    is_told(json!([group, step("c", after("b"))]), "action[1]", "c -> b -> c");
    let before = json!({ "relatedAction": [{ "targetId": "b", "relationship": "before-start" }] });
    is_told(
        json!([
            step("a", before.clone()),
            step(
                "b",
                json!({ "relatedAction": [
        { "targetId": "a", "relationship": "before-start" }
    ] })
            )
        ]),
        "action[0]",
        "cycle",
    );
}

#[test]
fn a_branch_in_sequence_waits_for_those_before_it() {
    let marked = json!([{ "url": "urn:fhir-workflow-hub:extension:in-sequence", "valueBoolean": true }]);
    let plan = |first: &str, then: &str| {
        let choice = json!({
            "id": "choice",
            "extension": marked,
            "selectionBehavior": "one-or-more",
            "action": [step("a", after(first)), step("b", json!({}))],
        });
        json!([choice, step("c", after(then))])
    };
    is_told(plan("c", "b"), "action[0].action[0]", "a -> c -> b -> a");
    is_told(plan("b", "a"), "action[0].action[0]", "a waits for b, but only one of both is ever done");
}

#[test]
fn nothing_waits_for_what_cannot_happen() {
    let choice = |second: Value| {
        json!([{
            "id": "g",
            "selectionBehavior": "exactly-one",
            "action": [step("a", json!({})), { "id": "h", "action": [step("b", second), step("c", json!({}))] }],
        }])
    };
    is_told(choice(after("a")), "action[0].action[1].action[0]", "b waits for a, but only one of both is ever done");
    assert!(faults_of("PlanDefinition", &choice(after("c"))).is_empty(), "within one branch it may wait");
    let inside = json!([{ "id": "g", "action": [step("a", after("g"))] }]);
    is_told(inside, "action[0].action[0]", "a and g are related, but one of them is a part of the other");
    let mut outside = json!([{ "id": "g", "action": [step("a", json!({}))] }]);
    outside[0]["relatedAction"] = after("a")["relatedAction"].clone();
    is_told(outside, "action[0]", "g and a are related");
}

#[test]
fn nothing_has_to_be_late() {
    let hours = |value: i64| json!({ "value": value, "code": "h" });
    let after =
        |id: &str, low: i64| json!({ "targetId": id, "relationship": "after-end", "offsetDuration": hours(low) });
    let within = |id: &str, when: &str, high: i64| json!({ "targetId": id, "relationship": when, "offsetRange": { "high": hours(high) } });
    let plan = |b: Value, low: i64, last: Value| {
        let mut b = b;
        b["relatedAction"] = json!([after("a", low)]);
        json!([
            step("a", json!({})),
            b,
            step("c", json!({ "relatedAction": [{ "targetId": "b", "relationship": "after" }, last] }))
        ])
    };
    let b = || step("b", json!({}));
    is_told(
        plan(b(), 5, within("a", "after-end", 2)),
        "action[2]",
        "c would have to be late: by what else it waits for it comes 5 h after a",
    );
    is_told(plan(b(), 5, within("a", "after-start", 2)), "action[2]", "5 h after a");
    let mut end = within("a", "after", 2);
    end["endRelationship"] = "after-end".into();
    is_told(plan(b(), 5, end), "action[2]", "5 h after a");
    // The first of b's own steps is in time, its last is not.
    let group =
        json!({ "id": "b", "action": [step("x", json!({})), step("y", json!({ "relatedAction": [after("x", 4)] }))] });
    is_told(plan(group.clone(), 1, within("x", "after-end", 3)), "action[2]", "4 h after x");
    // What it counts from has come when it counts, whatever that is.
    for open in [json!({}), json!({ "requiredBehavior": "could" })] {
        let both = json!({ "relatedAction": [after("a", 3), within("a", "after-end", 2)] });
        is_told(json!([step("a", open), step("b", both)]), "action[1]", "b would have to be late");
    }
    // What may fail, be left out or be chosen keeps nobody for sure.
    for open in [
        json!({ "requiredBehavior": "could" }),
        json!({ "requiredBehavior": "must-unless-documented" }),
        json!({ "condition": [{ "kind": "applicability", "expression": { "expression": "true" } }] }),
        json!({ "extension": [{ "url": "urn:fhir-workflow-hub:extension:per-item", "valueBoolean": true }] }),
    ] {
        let plan = plan(step("b", open), 5, within("a", "after-end", 2));
        assert_eq!(faults_of("PlanDefinition", &plan), [] as [&str; 0], "{plan}");
    }
    let mut chosen = group;
    chosen["selectionBehavior"] = "one-or-more".into();
    let known = [plan(b(), 2, within("a", "after-end", 2)), plan(chosen, 1, within("x", "after-end", 3))];
    for plan in known {
        assert_eq!(faults_of("PlanDefinition", &plan), [] as [&str; 0], "{plan}");
    }
    // It starts when somebody starts it: who counts from that may come in time.
    let released = json!({ "targetId": "a", "relationship": "concurrent-with-start", "offsetDuration": hours(5) });
    let plan =
        json!([step("a", json!({})), step("b", json!({ "relatedAction": [released, within("a", "after-start", 2)] }))]);
    assert_eq!(faults_of("PlanDefinition", &plan), [] as [&str; 0]);
}

#[test]
fn times_are_times() {
    let place = "PlanDefinition.action[0].relatedAction[0]";
    let hours = |value: i64| json!({ "value": value, "code": "h" });
    for offset in [hours(-1), json!({ "value": 1, "code": "mg" }), json!({ "value": 1 }), json!({ "code": "h" })] {
        is_told(related(json!({ "offsetDuration": offset })), &format!("{place}.offsetDuration"), "UCUM");
    }
    for range in [json!({}), json!({ "low": hours(2), "high": hours(1) }), json!({ "low": { "value": 1 } })] {
        is_told(related(json!({ "offsetRange": range })), &format!("{place}.offsetRange"), "in this order");
    }
    is_told(related(json!({ "relationship": "near" })), &format!("{place}.relationship"), "unknown");
    is_told(related(json!({ "endRelationship": "near" })), &format!("{place}.endRelationship"), "unknown");
    for (name, value) in [
        ("timingDateTime", json!("soon")),
        ("timingPeriod", json!({ "start": "2026-02-02", "end": "2026-02-01" })),
        ("timingDuration", hours(-1)),
        ("timingRange", json!({ "low": hours(2), "high": hours(1) })),
        ("timingAge", json!({ "value": -4, "code": "a" })),
        ("timingTiming", json!({ "repeat": { "count": 2 } })),
        ("timingTiming", json!({ "repeat": { "period": 1, "periodUnit": "d" } })),
        ("timingRelativeTime", json!([{}])),
    ] {
        let fault = fault(with(name, value));
        assert!(fault.starts_with(&format!("PlanDefinition.action[0].{name}: ")), "{fault}");
    }
}

#[test]
fn conditions_are_fhirpath() {
    let place = "PlanDefinition.action[0].condition[0]";
    let condition =
        |kind: &str, expression: Value| with("condition", json!([{ "kind": kind, "expression": expression }]));
    let text = json!({ "expression": "code.exists()" });
    assert!(faults_of("PlanDefinition", &condition("start", text.clone())).is_empty());
    is_told(condition("middle", text), &format!("{place}.kind"), "applicability, start or stop");
    is_told(condition("start", json!({})), &format!("{place}.expression"), "no expression");
    let cql = json!({ "language": "text/cql", "expression": "Is Pregnant" });
    is_told(condition("start", cql), &format!("{place}.expression.language"), "text/fhirpath");
    let broken = json!({ "expression": "code.where(" });
    is_told(condition("stop", broken), &format!("{place}.expression.expression"), "no FHIRPath");
    let long = json!({ "expression": "true or ".repeat(2_000) + "true" });
    is_told(condition("stop", long), &format!("{place}.expression.expression"), "at most 10000 bytes");
}

#[test]
fn what_has_no_actions_is_no_plan() {
    let activity = json!({ "resourceType": "ActivityDefinition", "status": "active", "kind": "ServiceRequest" });
    let faults = schemas::plan::Plan::parse(activity.as_object().unwrap()).unwrap_err();
    assert_eq!(faults[0].path, "resourceType");
    assert!(faults[0].text.ends_with("this is a ActivityDefinition"), "{}", faults[0].text);
}

#[test]
fn conditions_mention_what_is_known() {
    let asking = |expression: &str| {
        let said = json!({ "language": "text/fhirpath", "expression": expression });
        json!([step("a", json!({ "condition": [{ "kind": "start", "expression": said }] }))])
    };
    let place = "PlanDefinition.action[0].condition[0].expression.expression";
    for unknown in ["%nobody.exists()", "status = 'active' and (code | %patient).where(%inputs.exists()).exists()"] {
        is_told(asking(unknown), place, "is not known; there are FHIR's own variables, and %subject, %encounter");
    }
    let known =
        "%tasks.exists() and %context.id = %resource.id and %`vs-x`.exists() and %subject[%ucum.length()].empty()";
    assert_eq!(faults_of("PlanDefinition", &asking(known)), [] as [&str; 0]);
}

#[test]
fn goals_are_those_of_the_plan() {
    is_told(with("goalId", json!(["walk"])), "PlanDefinition.action[0].goalId[0]", "no such goal");
}

#[test]
fn what_is_too_large_is_refused() {
    let many: Vec<Value> = (0..=ACTIONS_LIMIT).map(|n| step(&format!("s{n}"), json!({}))).collect();
    is_told(json!(many), "action", "at most 2000 actions");
    let mut deep = step("leaf", json!({}));
    for n in 0..DEPTH_LIMIT {
        deep = json!({ "id": format!("g{n}"), "action": [deep] });
    }
    assert!(fault(json!([deep])).contains("nested deeper than 32"));
    let repeat = json!({ "repeat": { "count": 1_000, "period": 1, "periodUnit": "d" } });
    let often = json!({ "id": "g", "timingTiming": repeat, "action": [
        step("a", json!({ "timingTiming": repeat })),
    ] });
    is_told(json!([often]), "action[0].action", "at most 2000 actions, counted as often as each is done");
    let relations: Vec<Value> = (0..10_001).map(|_| json!({ "targetId": "b", "relationship": "after-end" })).collect();
    let related = json!([step("a", json!({ "relatedAction": relations })), step("b", json!({}))]);
    is_told(related, "action[0]", "at most 10000 relations");
}

#[test]
fn every_fault_is_told() {
    let faults = faults_of("PlanDefinition", &json!([step("a", after("x")), step("a", after("y"))]));
    assert_eq!(faults.len(), 3, "{faults:?}");
    // Also when it could not be read as a whole.
    let timed = step("b", json!({ "timingDateTime": "soon", "relatedAction": after("x")["relatedAction"] }));
    let faults = faults_of("PlanDefinition", &json!([{ "id": "nobody" }, timed, step("b", json!({}))]));
    assert_eq!(faults.len(), 4, "{faults:?}");
}

#[test]
fn a_step_of_a_unit_is_undone_by_a_step() {
    let marked = |id: &str, by: &str| {
        let mark = json!([{ "url": "urn:fhir-workflow-hub:extension:undone-by", "valueString": by }]);
        step(id, json!({ "extension": mark }))
    };
    let unit = |action: Value| json!({ "id": "unit", "selectionBehavior": "all-or-none", "action": [action] });
    let plan = |undoing: Value| json!([unit(marked("a", "b")), undoing]);
    assert!(faults_of("PlanDefinition", &plan(step("b", json!({})))).is_empty());
    is_told(plan(step("b", after("unit"))), "action[1]", "b undoes a: a step, which nothing else moves");
    is_told(plan(step("b", json!({ "timingDateTime": "2026-01-01" }))), "action[1]", "b undoes a: a step");
    is_told(plan(json!({ "id": "b", "action": [step("c", json!({}))] })), "action[1]", "b undoes a: a step");
    is_told(json!([unit(marked("a", "a"))]), "action[0].action[0]", "a undoes a: a step");
    is_told(json!([marked("a", "b"), step("b", json!({}))]), "action[1]", "a is never undone");
    let both =
        json!({ "id": "unit", "selectionBehavior": "all-or-none", "action": [marked("a", "c"), marked("b", "c")] });
    is_told(json!([both, step("c", json!({}))]), "action[1]", "c undoes two actions");
    let lost = json!([unit(marked("a", "nothing"))]);
    is_told(lost, "action[0].action[0].extension", "there is no action nothing");
    let mark = json!([{ "url": "urn:fhir-workflow-hub:extension:undone-by" }]);
    is_told(with("extension", mark), "PlanDefinition.action[0].extension", "a valueString");
}

#[test]
fn who_undoes_or_chooses_is_one_for_each_time() {
    let extension =
        |name: &str, by: &str| json!([{ "url": format!("urn:fhir-workflow-hub:extension:{name}"), "valueString": by }]);
    let per_item = json!({ "url": "urn:fhir-workflow-hub:extension:per-item", "valueBoolean": true });
    let twice = json!({ "repeat": { "count": 2, "period": 1, "periodUnit": "d" } });
    let undone = step("a", json!({ "extension": extension("undone-by", "b") }));
    let unit = json!({ "id": "unit", "selectionBehavior": "all-or-none", "action": [undone, step("c", json!({}))] });
    let mut often = unit.clone();
    often["timingTiming"] = twice.clone();
    is_told(json!([often, step("b", json!({}))]), "action[0].action[0]", "b undoes a, and is not done as often");
    let mut often = unit.clone();
    often["extension"] = json!([per_item]);
    is_told(json!([often, step("b", json!({}))]), "action[0].action[0]", "b undoes a, and is not done as often");
    let both = json!({ "id": "both", "timingTiming": twice, "action": [unit, step("b", json!({}))] });
    assert_eq!(faults_of("PlanDefinition", &json!([both])), [] as [&str; 0], "each time has its own");

    let branches = json!([step("x", json!({})), step("y", json!({}))]);
    let extension = extension("chosen-by", "ask");
    let choice = json!({ "id": "which", "selectionBehavior": "any", "extension": extension, "action": branches });
    is_told(json!([step("ask", json!({ "extension": [per_item] })), choice]), "action[1]", "one step does that");
}
