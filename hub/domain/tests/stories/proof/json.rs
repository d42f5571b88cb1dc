//! How a plan by chance is written down.

use serde_json::{Value, json};

use crate::proof::written::{From, Tie, Timing, Written};

pub(crate) fn name(id: u32) -> String {
    format!("p{id}")
}

fn hours(value: u32) -> Value {
    json!({ "value": value, "code": "h" })
}

fn coded(system: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code }] })
}

fn offset(object: Value, low: u32, high: Option<u32>) -> Value {
    match high {
        None => with(object, "offsetDuration", hours(low)),
        Some(high) => with(object, "offsetRange", json!({ "low": hours(low), "high": hours(high) })),
    }
}

fn with(mut object: Value, element: &str, value: Value) -> Value {
    object[element] = value;
    object
}

impl Written {
    pub(crate) fn json(&self) -> Value {
        let mut whole = self.written(1);
        whole["trigger"] = json!([{ "type": "data-added", "data": [{ "type": "MedicationRequest" }] }]);
        json!({ "resourceType": "PlanDefinition", "url": "urn:test:plan", "status": "active", "action": [whole] })
    }

    fn written(&self, id: u32) -> Value {
        let said = Self::action(self, id);
        let mut action = json!({ "id": name(id) });
        match said.behaviour {
            Some(behaviour) => {
                action["selectionBehavior"] = behaviour.into();
                action["action"] = self.within(id).map(|inner| self.written(inner.id)).collect();
            }
            None => {
                let role = json!({ "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] });
                let named = said.is_named.then(|| json!({ "actorReference": { "reference": "Organization/x" } }));
                action["participant"] = [json!({ "role": role })].into_iter().chain(named).collect();
            }
        }
        let mark = |name: &str| json!({ "url": format!("urn:fhir-workflow-hub:extension:{name}") });
        let flag = |name: &str| with(mark(name), "valueBoolean", true.into());
        let named = |kind: &str, id: u32| with(mark(kind), "valueString", name(id).into());
        let undoing = self.said.iter().find(|by| by.undoes == Some(id));
        let marks: [Option<Value>; 4] = [
            said.chosen_by.map(|by| named("chosen-by", by)),
            undoing.map(|by| named("undone-by", by.id)),
            said.in_sequence.then(|| flag("in-sequence")),
            said.per_item.then(|| flag("per-item")),
        ];
        let marks: Vec<Value> = marks.into_iter().flatten().collect();
        if !marks.is_empty() {
            action["extension"] = marks.into();
        }
        if said.usual {
            action["precheckBehavior"] = "yes".into();
        }
        if said.optional {
            action["requiredBehavior"] = "could".into();
        } else if said.unless_documented {
            action["requiredBehavior"] = "must-unless-documented".into();
        }
        let conditions = [
            said.is_void.then_some(("applicability", "false")),
            said.starts.then_some(("start", "priority = 'urgent' or priority = 'asap'")),
            said.stops.then_some(("stop", "priority = 'asap'")),
        ];
        let asked = |(kind, text): &(&str, &str)| json!({ "kind": kind, "expression": { "expression": text } });
        let conditions: Vec<Value> = conditions.iter().flatten().map(asked).collect();
        if !conditions.is_empty() {
            action["condition"] = conditions.into();
        }
        if said.multiple {
            action["cardinalityBehavior"] = "multiple".into();
        }
        let relative = |element: &str, counted: Value, low: u32, high: Option<u32>| {
            offset(with(json!({}), element, counted), low, high)
        };
        match said.timing {
            None => {}
            Some(Timing { from: From::Group, low, high: None }) => action["timingDuration"] = hours(low),
            Some(Timing { from: From::Group, low, high: Some(high) }) => {
                action["timingRange"] = json!({ "low": hours(low), "high": hours(high) });
            }
            Some(Timing { from: From::Birth, low, .. }) => action["timingAge"] = hours(low),
            Some(Timing { from: From::Written, low, high }) => {
                action["timingRelativeTime"] = relative("contextPath", "authoredOn".into(), low, high);
            }
            Some(Timing { from: From::Start, low, high }) => {
                let event = coded("http://hl7.org/fhir/evidence-variable-event", "treatment-start");
                action["timingRelativeTime"] = relative("contextCode", event, low, high);
            }
        }
        if let Some(tie) = self.ties.iter().find(|tie| tie.from == id && tie.is_time) {
            let other = coded("urn:fhir-workflow-hub:action", &name(tie.to));
            let time = relative("contextCode", other, tie.low, tie.high);
            let is_start = tie.relationship == "after-start";
            action["timingRelativeTime"] = if is_start { with(time, "contextPath", "start".into()) } else { time };
        }
        if let Some((count, period)) = said.times {
            action["timingTiming"] = json!({ "repeat": { "count": count, "period": period, "periodUnit": "h" } });
        }
        let relation = |tie: &Tie| {
            let mut relation = json!({ "targetId": name(tie.to), "relationship": tie.relationship });
            if let Some(end) = tie.end {
                relation["endRelationship"] = end.into();
            }
            offset(relation, tie.low, tie.high)
        };
        let relations = self.ties.iter().filter(|tie| tie.from == id && !tie.is_time);
        let relations: Vec<Value> = relations.map(relation).collect();
        if !relations.is_empty() {
            action["relatedAction"] = relations.into();
        }
        action
    }
}
