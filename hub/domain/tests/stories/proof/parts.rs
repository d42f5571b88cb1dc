//! A plan by chance: what it is made of, and how it is written down.

use hub_domain::workflow::Offered;
use serde_json::{Value, json};

/// Bytes that decide; when they are used up, the smallest is chosen.
pub(crate) struct Chance<'a>(pub(crate) std::slice::Iter<'a, u8>);

impl Chance<'_> {
    /// Less than `most`.
    pub(crate) fn of(&mut self, most: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % most
    }

    pub(crate) fn one_in(&mut self, many: usize) -> bool {
        self.of(many) + 1 == many
    }

    pub(crate) fn is_left(&self) -> bool {
        !self.0.as_slice().is_empty()
    }
}

/// The behaviours of groups, by their codes.
const BEHAVIOURS: [&str; 6] = ["all", "all-or-none", "exactly-one", "at-most-one", "one-or-more", "any"];
const RELATIONSHIPS: [&str; 7] =
    ["after-end", "after-start", "concurrent-with-start", "concurrent-with-end", "before-start", "before-end", "after"];

#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) number: u32,
    pub(crate) parent: u32,
    /// Of a group.
    pub(crate) behaviour: Option<&'static str>,
    pub(crate) in_sequence: bool,
    pub(crate) usual: bool,
    pub(crate) optional: bool,
    pub(crate) applies: bool,
    /// So many hours after its group may begin, and a deadline.
    pub(crate) timing: Option<(u32, Option<u32>)>,
    /// The step that it undoes.
    pub(crate) undoes: Option<u32>,
    /// It begins only while its request is not routine.
    pub(crate) starts: bool,
    /// It stops once its request is wanted as soon as possible.
    pub(crate) stops: bool,
    /// Of a choice, the step that chooses.
    pub(crate) chosen_by: Option<u32>,
}

#[derive(Debug, Clone)]
pub(crate) struct Tie {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) relationship: &'static str,
    pub(crate) end: Option<&'static str>,
    /// Hours.
    pub(crate) low: u32,
    pub(crate) high: Option<u32>,
}

#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// In the order of the document. The first one is a group of all.
    pub(crate) parts: Vec<Part>,
    pub(crate) ties: Vec<Tie>,
}

impl Parts {
    /// Relations that would make it no plan are left out.
    pub(crate) fn by(chance: &mut Chance) -> Self {
        let mut plan = Self { parts: Vec::new(), ties: Vec::new() };
        plan.grow(chance, 0, 0, Some("all"));
        plan.undo(chance);
        plan.ask(chance);
        plan.choose(chance);
        for _ in 0..chance.of(6) {
            let any = |chance: &mut Chance| chance.of(plan.parts.len()) as u32 + 1;
            let tie = Tie {
                from: any(chance),
                to: any(chance),
                relationship: RELATIONSHIPS[chance.of(RELATIONSHIPS.len())],
                end: chance.one_in(6).then(|| RELATIONSHIPS[chance.of(RELATIONSHIPS.len())]),
                low: chance.of(4) as u32,
                high: chance.one_in(3).then(|| 4 + chance.of(4) as u32),
            };
            plan.ties.push(tie);
            if Offered::read(&plan.json().to_string()).is_err() {
                plan.ties.pop();
            }
        }
        plan
    }

    fn grow(&mut self, chance: &mut Chance, parent: u32, depth: usize, behaviour: Option<&'static str>) {
        let number = self.parts.len() as u32 + 1;
        // Of a choice of one, nothing is said to be more optional than the rest.
        let is_branch = parent > 0 && matches!(self.part(parent).behaviour, Some("exactly-one" | "at-most-one"));
        self.parts.push(Part {
            number,
            parent,
            behaviour,
            in_sequence: behaviour.is_some_and(|b| b.contains("one")) && !is_unit(behaviour) && chance.one_in(3),
            usual: chance.one_in(4),
            optional: number > 1 && !is_branch && chance.one_in(4),
            applies: number == 1 || !chance.one_in(8),
            timing: chance.one_in(6).then(|| (chance.of(3) as u32, chance.one_in(2).then_some(5))),
            undoes: None,
            starts: false,
            stops: false,
            chosen_by: None,
        });
        if behaviour.is_some() {
            for _ in 0..1 + chance.of(3) {
                let is_group = depth < 2 && chance.one_in(3);
                let behaviour = is_group.then(|| BEHAVIOURS[chance.of(BEHAVIOURS.len())]);
                self.grow(chance, number, depth + 1, behaviour);
            }
        }
    }

    /// Some steps of units have another one that undoes them.
    fn undo(&mut self, chance: &mut Chance) {
        let is_unit = |part: &Part| {
            std::iter::successors(Some(part), |part| self.parts.get(part.parent.checked_sub(1)? as usize))
                .any(|above| is_unit(above.behaviour))
        };
        let steps: Vec<u32> = self.steps().filter(|step| is_unit(step)).map(|step| step.number).collect();
        for undone in steps {
            if !chance.one_in(3) {
                self.parts.push(Part {
                    number: self.parts.len() as u32 + 1,
                    parent: 1,
                    behaviour: None,
                    in_sequence: false,
                    usual: false,
                    optional: false,
                    applies: true,
                    timing: None,
                    undoes: Some(undone),
                    starts: false,
                    stops: false,
                    chosen_by: None,
                });
            }
        }
    }

    /// Among the branches of some choices a step chooses.
    fn choose(&mut self, chance: &mut Chance) {
        let steps: Vec<u32> = self.steps().map(|step| step.number).collect();
        for n in 0..self.parts.len() {
            let part = &self.parts[n];
            let is_choice = !part.in_sequence && !matches!(part.behaviour, None | Some("all" | "all-or-none"));
            if is_choice && chance.one_in(3) {
                self.parts[n].chosen_by = Some(steps[chance.of(steps.len())]);
                if Offered::read(&self.json().to_string()).is_err() {
                    self.parts[n].chosen_by = None;
                }
            }
        }
    }

    /// Some parts begin, or stop, by a condition. Who stops in a unit may still end what is to be undone: that is another
    /// story.
    fn ask(&mut self, chance: &mut Chance) {
        let is_within = |plan: &Self, number: u32, above: u32| {
            std::iter::successors(Some(number), |n| plan.parts.get(n.checked_sub(1)? as usize).map(|part| part.parent))
                .any(|n| n == above)
        };
        for number in 2..=self.parts.len() as u32 {
            let units = self.parts.iter().filter(|part| is_unit(part.behaviour)).map(|part| part.number);
            let meets = |unit: u32| is_within(self, number, unit) || is_within(self, unit, number);
            let is_free = !units.into_iter().any(meets);
            let (starts, stops) = (chance.one_in(6), chance.one_in(8) && is_free);
            let part = &mut self.parts[number as usize - 1];
            if part.undoes.is_none() {
                (part.starts, part.stops) = (starts, stops);
            }
        }
    }

    pub(crate) fn part(&self, number: u32) -> &Part {
        &self.parts[number as usize - 1]
    }

    pub(crate) fn children(&self, number: u32) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(move |part| part.parent == number)
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.behaviour.is_none())
    }

    pub(crate) fn json(&self) -> Value {
        let mut whole = self.action(1);
        whole["trigger"] = json!([{ "type": "data-added", "data": [{ "type": "ServiceRequest" }] }]);
        json!({ "resourceType": "PlanDefinition", "url": "urn:test:plan", "status": "active", "action": [whole] })
    }

    fn action(&self, number: u32) -> Value {
        let part = self.part(number);
        let name = |number: u32| format!("p{number}");
        let mut action = json!({ "id": name(number) });
        let hours = |value: u32| json!({ "value": value, "code": "h" });
        match part.behaviour {
            Some(behaviour) => {
                action["selectionBehavior"] = behaviour.into();
                action["action"] = self.children(number).map(|child| self.action(child.number)).collect();
            }
            None => {
                let role = json!({ "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] });
                action["participant"] = json!([{ "role": role }]);
            }
        }
        let mark = |name: &str| format!("urn:fhir-workflow-hub:extension:{name}");
        if let Some(by) = part.chosen_by {
            action["extension"] = json!([{ "url": mark("chosen-by"), "valueString": name(by) }]);
        }
        if part.in_sequence {
            action["extension"] = json!([{ "url": mark("in-sequence"), "valueBoolean": true }]);
        }
        if let Some(by) = self.parts.iter().find(|by| by.undoes == Some(number)) {
            action["extension"] = json!([{ "url": mark("undone-by"), "valueString": name(by.number) }]);
        }
        if part.usual {
            action["precheckBehavior"] = "yes".into();
        }
        if part.optional {
            action["requiredBehavior"] = "could".into();
        }
        let conditions = [
            (!part.applies).then_some(("applicability", "false")),
            part.starts.then_some(("start", "priority = 'urgent' or priority = 'asap'")),
            part.stops.then_some(("stop", "priority = 'asap'")),
        ];
        let asked = |(kind, text): &(&str, &str)| json!({ "kind": kind, "expression": { "expression": text } });
        let conditions: Vec<Value> = conditions.iter().flatten().map(asked).collect();
        if !conditions.is_empty() {
            action["condition"] = conditions.into();
        }
        match part.timing {
            None => {}
            Some((low, None)) => action["timingDuration"] = hours(low),
            Some((low, Some(high))) => action["timingRange"] = json!({ "low": hours(low), "high": hours(high) }),
        }
        let relation = |tie: &Tie| {
            let mut relation = json!({ "targetId": name(tie.to), "relationship": tie.relationship });
            if let Some(end) = tie.end {
                relation["endRelationship"] = end.into();
            }
            match tie.high {
                None => relation["offsetDuration"] = hours(tie.low),
                Some(high) => relation["offsetRange"] = json!({ "low": hours(tie.low), "high": hours(high) }),
            }
            relation
        };
        let relations: Vec<Value> = self.ties.iter().filter(|tie| tie.from == number).map(relation).collect();
        if !relations.is_empty() {
            action["relatedAction"] = relations.into();
        }
        action
    }
}

fn is_unit(behaviour: Option<&str>) -> bool {
    behaviour == Some("all-or-none")
}
