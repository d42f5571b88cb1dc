//! Plans that are drawn, and lived through without an order.

use std::path::PathBuf;

use crate::plans::{after, step};
use hub_domain::plan::drawing::{Drawing, span};
use hub_domain::plan::graph::Graph;
use hub_domain::plan::simulate::{What, script, simulate};
use hub_domain::workflow::Offered;
use schemas::time::Timestamp;
use serde_json::{Value, json};

fn graph(kind: &str, actions: Value) -> Graph {
    let plan = json!({ "resourceType": kind, "name": "p", "action": actions });
    Graph::bind(&Offered::read(&plan.to_string()).unwrap().plan, 1)
}

/// A line for each thing that happens: how long after the start, to which step, what.
fn timeline(graph: &Graph, events: &str, start: &str) -> Vec<String> {
    let start = Timestamp::range(start).unwrap().0;
    let after = |at: Timestamp| span(at.0 - start.0);
    let told = |what: What| match what {
        What::Offered(None) => "on offer".to_owned(),
        What::Offered(Some(until)) => format!("on offer until {}", after(until)),
        What::Cancelled(why) => why.to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let happenings = simulate(graph, &script(events).unwrap(), start);
    let name = |node| graph.name(node).unwrap_or("order".to_owned());
    happenings.iter().map(|it| format!("{}: {} {}", after(it.at), name(it.node), told(it.what))).collect()
}

fn lines(graph: &Graph, events: &str) -> Vec<String> {
    timeline(graph, events, "2026-01-01")
}

fn hours(value: u32) -> Value {
    json!({ "value": value, "code": "h" })
}

#[test]
fn a_timeline_says_what_would_run_when() {
    let mut then = step("then", after("first"));
    then["relatedAction"][0]["offsetRange"] = json!({ "low": hours(1), "high": hours(3) });
    let graph = graph("PlanDefinition", json!([step("first", json!({})), then]));
    assert_eq!(
        lines(&graph, "first done 90min # as usual\n\nthen done 1d"),
        [
            "0 s: first on offer",
            "0 s: first begun",
            "1 h 30 min: first done",
            "2 h 30 min: then on offer until 4 h 30 min",
            "2 h 30 min: then begun",
            "4 h 30 min: then overdue",
            "1 d 2 h 30 min: then done",
            "1 d 2 h 30 min: order done",
        ]
    );
    assert_eq!(
        lines(&graph, "first fails 1h"),
        ["0 s: first on offer", "0 s: first begun", "1 h: first failed", "1 h: then plan-failed", "1 h: order failed"]
    );
    assert_eq!(lines(&graph, "first ignored"), ["0 s: first on offer", "0 s: first waiting", "0 s: then waiting"]);
}

#[test]
fn of_a_choice_the_first_takes_it_unless_nobody_does_that() {
    let choice = json!([{
        "id": "choice",
        "selectionBehavior": "exactly-one",
        "action": [step("a", json!({})), step("b", json!({}))],
    }]);
    let graph = graph("PlanDefinition", choice);
    let first = ["0 s: a on offer", "0 s: b on offer", "0 s: a begun", "0 s: b not-selected", "0 s: a done"];
    assert_eq!(lines(&graph, "")[..5], first);
    assert_eq!(lines(&graph, "a ignored").last().unwrap(), "0 s: order done");
}

#[test]
fn a_script_has_a_line_for_each_step() {
    assert_eq!(script("a done 5min\nb fails\n# nothing\nc ignored").unwrap().len(), 3);
    assert_eq!(
        script("a done 5\nb\nc does it\nd done 5min more\ne done 9223372036854775807wk"),
        Err(vec![1, 2, 3, 4, 5])
    );
}

#[test]
fn a_plan_is_drawn() {
    let group = json!({ "id": "g", "title": "Both \"of\" <them>", "selectionBehavior": "all-or-none", "action": [
        step("a", json!({ "requiredBehavior": "could" })),
        step("b", json!({ "relatedAction": [{ "targetId": "a", "relationship": "after-start", "offsetDuration": hours(2) }] })),
    ] });
    let mut last = step("c", after("g"));
    last["relatedAction"][0]["endRelationship"] = "after-end".into();
    last["relatedAction"][0]["offsetRange"] = json!({ "high": hours(26) });
    let graph = graph("PlanDefinition", json!([group, last]));
    let drawing = Drawing::of(&graph);
    assert_eq!(
        drawing.mermaid(),
        "flowchart TD\n  \
           subgraph a1[\"Both #34;of#34; #60;them#62; (all-or-none)\"]\n    \
             a2[\"a (could)\"]\n    \
             a3[\"b\"]\n  \
           end\n  \
           a4[\"c\"]\n  \
           a2 -->|\"start + 2 h\"| a3\n  \
           a1 -->|\"end, at most 1 d 2 h\"| a4\n  \
           a1 -.->|\"end, at most 1 d 2 h\"| a4\n"
    );
    let svg = drawing.svg();
    let read = counted(&svg);
    assert_eq!(read, (4, 3), "a box for each action, an arrow for each wait");
    assert!(svg.contains("Both &quot;of&quot; &lt;them&gt;  (all-or-none)"));
    let json = drawing.json();
    assert_eq!(
        json["actions"][1],
        json!({ "number": 2, "id": "a", "title": "a", "partOf": 1, "behaviour": ["could"] })
    );
    assert_eq!(json["waits"][0], json!({ "from": 2, "to": 3, "after": "start", "notBeforeSeconds": 7200 }));
    assert_eq!(json["waits"][2]["ofItsEnd"], true);
}

#[test]
fn what_has_no_title_is_called_by_what_describes_it() {
    let long = "Gemcitabine 1250 mg/m² over 30 minutes, after the fluids and what is given against nausea";
    let graph = graph(
        "PlanDefinition",
        json!([
            step("a", json!({ "description": "Take blood", "textEquivalent": "Blood" })),
            step("b", json!({ "textEquivalent": long })),
        ]),
    );
    let drawing = Drawing::of(&graph);
    let shown = "Gemcitabine 1250 mg/m² over 30 minutes, after the fluids and…";
    assert_eq!(drawing.mermaid(), format!("flowchart TD\n  a1[\"Take blood\"]\n  a2[\"{shown}\"]\n"));
    assert!(drawing.svg().contains(&format!(">{shown}<")));
    assert_eq!(drawing.json()["actions"][1]["title"], long);
}

/// How many boxes and arrows a picture has.
fn counted(svg: &str) -> (usize, usize) {
    (svg.matches("<rect").count(), svg.matches("marker-end").count())
}

/// The published examples, beside the project unless `HUB_SHARED` names their parent.
fn example(name: &str) -> Option<String> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("HUB_SHARED").map_or_else(beside, PathBuf::from);
    std::fs::read_to_string(folder.join("examples").join(name)).ok()
}

#[test]
fn the_examples_of_fhir_run_from_their_start_to_their_end() {
    for name in ["r5/RequestOrchestration-example.json", "r4/RequestGroup-example.json"] {
        let Some(text) = example(name) else { continue };
        let graph = Graph::bind(&Offered::read(&text).unwrap().plan, 1);
        assert_eq!(
            timeline(&graph, "medication-action-1 done 30min", "2017-03-06T18:00:00Z"),
            [
                "1 h: medication-action-1 on offer",
                "1 h: medication-action-1 begun",
                "1 h 30 min: medication-action-1 done",
                "2 h 30 min: medication-action-2 on offer",
                "2 h 30 min: medication-action-2 begun",
                "2 h 30 min: medication-action-2 done",
                "2 h 30 min: order done",
            ]
        );
    }
}

#[test]
fn chemotherapy_runs_in_its_cycles_and_on_its_days() {
    for name in ["r5/RequestOrchestration-kdn5-example.json", "r4/RequestGroup-kdn5-example.json"] {
        let Some(text) = example(name) else { continue };
        let graph = Graph::bind(&Offered::read(&text).unwrap().plan, 1);
        let offers: Vec<String> =
            timeline(&graph, "", "2017-03-06").into_iter().filter(|line| line.ends_with("on offer")).collect();
        let mut expected = Vec::new();
        for cycle in 1..=6 {
            let first = (cycle - 1) * 21;
            let after = if first == 0 { "0 s".to_owned() } else { format!("{first} d") };
            // Both on the first day, the second with the first; the first once more on the eighth.
            expected.push(format!("{after}: action-1 [{cycle}.1] on offer"));
            expected.push(format!("{after}: action-2 [{cycle}.1] on offer"));
            expected.push(format!("{} d: action-1 [{cycle}.8] on offer", first + 7));
        }
        assert_eq!(offers, expected);
        assert_eq!(timeline(&graph, "", "2017-03-06").last().unwrap(), "112 d: order done");
    }
}

#[test]
fn the_definitions_among_the_examples_are_plans_or_say_why_not() {
    const EXPECTED: [(&str, &str); 11] = [
        ("r4/PlanDefinition-options-example.json", ""),
        ("r5/PlanDefinition-options-example.json", ""),
        ("r4/PlanDefinition-KDN5.json", ""),
        ("r5/PlanDefinition-KDN5.json", ""),
        ("r4/PlanDefinition-chlamydia-screening-intervention.json", "text/fhirpath"),
        ("r4/PlanDefinition-exclusive-breastfeeding-intervention-01.json", "text/fhirpath"),
        ("r4/PlanDefinition-exclusive-breastfeeding-intervention-03.json", "text/fhirpath"),
        ("r4/PlanDefinition-opioidcds-05.json", "text/fhirpath"),
        ("r4/PlanDefinition-opioidcds-07.json", "text/fhirpath"),
        ("r4/PlanDefinition-opioidcds-11.json", "text/fhirpath"),
        ("r4/PlanDefinition-zika-virus-intervention-initial.json", "text/fhirpath"),
    ];
    for (name, why) in EXPECTED {
        let Some(text) = example(name) else { continue };
        match Offered::read(&text) {
            Ok(_) => assert_eq!(why, "", "{name} is a plan"),
            Err(faults) => {
                let is_why = |fault: &schemas::outcome::Issue| !why.is_empty() && fault.text.contains(why);
                assert!(faults.iter().any(is_why), "{name}: {faults:?}");
            }
        }
    }
}

#[test]
fn the_pictures_of_the_pages_are_those_of_their_plans() {
    let pages = [include_str!("../../../../docs/plans.md"), include_str!("../../../../docs/plans/pictures.md")];
    let mut drawn = 0;
    for page in pages {
        let mut plan = None;
        // What stands before a fence is no block; then every other part is one.
        for fenced in page.split("```").skip(1).step_by(2) {
            if let Some(text) = fenced.strip_prefix("json\n") {
                plan = Some(Offered::read(text).unwrap().plan);
            } else if let Some(picture) = fenced.strip_prefix("mermaid\n") {
                let graph = Graph::bind(plan.as_ref().unwrap(), 1);
                assert_eq!(Drawing::of(&graph).mermaid(), picture);
                drawn += 1;
            }
        }
    }
    assert_eq!(drawn, 14);
}
