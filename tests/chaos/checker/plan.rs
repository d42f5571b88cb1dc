//! Which Tasks an order must have, and what each waits for: its plan, read anew from the PlanDefinition that is stored
//! with it.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use anyhow::{Context, Result};
use serde_json::Value;
use sqlx::PgConnection;

const WORK: &str = "urn:fhir-workflow-hub:work";
const PER_ITEM: &str = "urn:fhir-workflow-hub:extension:per-item";
const UNDONE_BY: &str = "urn:fhir-workflow-hub:extension:undone-by";
const SECOND_US: i64 = 1_000_000;

/// A step that some Task stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// In the order of the document, groups counted.
    pub(super) number: u32,
    /// The id of its action.
    pub(super) action: String,
    /// It comes in any case, and the order cannot be completed without it.
    pub(super) is_must: bool,
    /// It is on offer from the beginning, whatever may come of it.
    pub(super) is_offered: bool,
    /// Not before so long after the order has begun.
    pub(super) since_us: i64,
    pub(super) waits: Vec<Wait>,
    /// The steps, this one among them, of which all are done or none.
    pub(super) unit: Option<RangeInclusive<u32>>,
    /// The step that undoes it.
    pub(super) undone_by: Option<u32>,
}

/// "So long after the last of these has ended."
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) on: RangeInclusive<u32>,
    pub(super) low_us: i64,
}

/// All plans that orders started with, by their hash.
pub(super) struct Plans(HashMap<String, Value>);

impl Plans {
    pub(super) async fn load(database: &mut PgConnection) -> Result<Self> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT hash, body FROM plan").fetch_all(database).await?;
        let parsed = |(hash, body): (String, String)| -> Result<(String, Value)> {
            let plan = serde_json::from_str(&body).with_context(|| format!("plan {hash} is no JSON"))?;
            Ok((hash, plan))
        };
        Ok(Self(rows.into_iter().map(parsed).collect::<Result<_>>()?))
    }

    /// The steps of an order of so many requests; none when the plan is not there.
    pub(super) fn steps(&self, hash: &str, items: usize) -> Option<Vec<Step>> {
        Some(steps(self.0.get(hash)?, items))
    }
}

fn steps(plan: &Value, items: usize) -> Vec<Step> {
    let mut walk = Walk { found: Vec::new(), named: HashMap::new(), number: 0, items };
    walk.actions(plan, &Above { is_must: true, is_offered: true, ..Above::default() });
    let Walk { found, named, .. } = walk;
    // Of what is done several times nobody waits for one here.
    let named = |name: &str| named.get(name).filter(|places| places.len() == 1).map(|places| places[0].clone());
    let undoing: Vec<u32> = found.iter().filter_map(|(_, above)| Some(*named(above.undone_by?)?.start())).collect();
    let finish = |(step, above): (Step, Above)| Step {
        is_must: step.is_must && !undoing.contains(&step.number),
        is_offered: step.is_offered && !undoing.contains(&step.number),
        waits: above.waits.iter().filter_map(|(on, low_us)| Some(Wait { on: named(on)?, low_us: *low_us })).collect(),
        undone_by: above.undone_by.and_then(named).map(|places| *places.start()),
        ..step
    };
    found.iter().cloned().map(finish).collect()
}

/// Every kind of work that has a queue by these plans.
pub(super) async fn works(database: &mut PgConnection) -> Result<BTreeSet<String>> {
    let plans = Plans::load(database).await?;
    let mut works = BTreeSet::from(["general".to_owned()]);
    plans.0.values().for_each(|plan| collect_works(plan, &mut works));
    Ok(works)
}

fn collect_works(action: &Value, works: &mut BTreeSet<String>) {
    for action in list(&action["action"]) {
        let codings = list(&action["participant"]).flat_map(|participant| list(&participant["role"]["coding"]));
        let codes = codings.filter(|coding| coding["system"] == WORK).filter_map(|coding| coding["code"].as_str());
        works.extend(codes.map(str::to_owned));
        collect_works(action, works);
    }
}

/// What is said of a step further up, and of itself.
#[derive(Debug, Clone, Default)]
struct Above<'a> {
    is_must: bool,
    is_offered: bool,
    of_item: bool,
    since_us: i64,
    waits: Vec<(&'a str, i64)>,
    undone_by: Option<&'a str>,
    /// The number of the group of which all is done or none.
    unit: Option<u32>,
}

struct Walk<'a> {
    found: Vec<(Step, Above<'a>)>,
    /// From the number of an action to that of the last one below it, by its name.
    named: HashMap<&'a str, Vec<RangeInclusive<u32>>>,
    number: u32,
    items: usize,
}

impl<'a> Walk<'a> {
    fn actions(&mut self, parent: &'a Value, above: &Above<'a>) {
        let chosen = parent["selectionBehavior"].as_str().unwrap_or("all");
        let is_certain = ["all", "all-or-none"].contains(&chosen);
        let is_offered = is_certain || chosen == "one-or-more";
        for action in list(&parent["action"]) {
            let per_item = !above.of_item && is_per_item(action);
            let is_must = is_certain && action["requiredBehavior"].as_str().unwrap_or("must") == "must";
            let mut own = above.clone();
            own.is_must &= is_must;
            own.is_offered &= is_offered && list(&action["relatedAction"]).next().is_none();
            own.of_item |= per_item;
            own.waits.extend(list(&action["relatedAction"]).filter_map(wait));
            own.undone_by =
                list(&action["extension"]).find(|e| e["url"] == UNDONE_BY).and_then(|e| e["valueString"].as_str());
            for _ in 0..if per_item { self.items } else { 1 } {
                match times(action) {
                    None => self.place(action, own.clone()),
                    Some((count, every_us)) => {
                        // One stands for all of them.
                        self.number += 1;
                        for n in 0..count {
                            self.place(action, Above { since_us: own.since_us + n * every_us, ..own.clone() });
                        }
                    }
                }
            }
        }
    }

    fn place(&mut self, action: &'a Value, mut above: Above<'a>) {
        self.number += 1;
        let number = self.number;
        let name = action["id"].as_str().unwrap_or_default();
        if list(&action["action"]).next().is_none() {
            let (is_must, since_us) = (above.is_must, above.since_us);
            let is_offered = above.is_offered && since_us == 0;
            let (action, waits, unit, undone_by) = (name.to_owned(), Vec::new(), None, None);
            self.found.push((Step { number, action, is_must, is_offered, since_us, waits, unit, undone_by }, above));
        } else {
            let is_unit = action["selectionBehavior"] == "all-or-none";
            above.unit = if is_unit { Some(number) } else { above.unit };
            self.actions(action, &above);
            for (step, within) in self.found.iter_mut().filter(|(_, within)| is_unit && within.unit == Some(number)) {
                step.unit = within.unit.map(|from| from..=self.number);
            }
        }
        self.named.entry(name).or_default().push(number..=self.number);
    }
}

/// What it waits for the end of, and how long after that in microseconds.
fn wait(related: &Value) -> Option<(&str, i64)> {
    let after = ["after", "after-end"].contains(&related["relationship"].as_str()?);
    let offset = &related["offsetDuration"];
    let low_us = match offset["code"].as_str().or(offset["unit"].as_str()) {
        Some("s") => offset["value"].as_i64()? * SECOND_US,
        _ => 0,
    };
    Some((related["targetId"].as_str().or(related["actionId"].as_str())?, low_us)).filter(|_| after)
}

/// How often it is done, and how far apart.
fn times(action: &Value) -> Option<(i64, i64)> {
    let repeat = action.get("timingTiming")?.get("repeat")?;
    let is_known = repeat["periodUnit"] == "s";
    Some((repeat["count"].as_i64()?, repeat["period"].as_i64()? * SECOND_US)).filter(|_| is_known)
}

fn is_per_item(action: &Value) -> bool {
    list(&action["extension"]).any(|extension| extension["url"] == PER_ITEM && extension["valueBoolean"] == true)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_are_counted_in_the_order_of_the_document_and_once_per_item() {
        let plan = json!({ "action": [{ "id": "whole", "action": [
            { "id": "each", "extension": [{ "url": PER_ITEM, "valueBoolean": true }] },
            { "id": "either", "selectionBehavior": "exactly-one", "action": [{ "id": "a" }, { "id": "b" }] },
            { "id": "perhaps", "requiredBehavior": "could" },
            { "id": "last", "requiredBehavior": "must" },
        ]}]});
        let found: Vec<(u32, String, bool)> =
            steps(&plan, 2).into_iter().map(|step| (step.number, step.action, step.is_must)).collect();
        let expected = [
            (2, "each", true),
            (3, "each", true),
            (5, "a", false),
            (6, "b", false),
            (7, "perhaps", false),
            (8, "last", true),
        ];
        assert_eq!(found, expected.map(|(number, action, is_must)| (number, action.to_owned(), is_must)));
    }

    #[test]
    fn of_the_built_in_prescription_each_item_is_on_offer_and_none_is_a_must() {
        let plan = serde_json::from_str(include_str!("../../../schemas/plans/prescription.json")).unwrap();
        let found: Vec<(u32, bool, bool)> =
            steps(&plan, 2).iter().map(|step| (step.number, step.is_offered, step.is_must)).collect();
        assert_eq!(found, [(3, true, false), (4, true, false), (5, false, true)]);
    }

    #[test]
    fn what_a_step_waits_for_is_said_by_itself_and_by_what_it_stands_in() {
        let after = |name: &str, seconds: i64| json!([{ "targetId": name, "relationship": "after-end", "offsetDuration": { "value": seconds, "code": "s" } }]);
        let undone = json!([{ "url": UNDONE_BY, "valueString": "release" }]);
        let every = json!({ "repeat": { "count": 2, "period": 3, "periodUnit": "s" } });
        let plan = json!({ "action": [
            { "id": "first", "action": [{ "id": "a" }, { "id": "b", "relatedAction": after("a", 1) }] },
            { "id": "unit", "selectionBehavior": "all-or-none", "relatedAction": after("first", 0), "action": [
                { "id": "reserve", "extension": undone }, { "id": "confirm", "relatedAction": after("reserve", 0) },
            ]},
            { "id": "twice", "timingTiming": every },
            { "id": "release" },
        ]});
        let steps = steps(&plan, 1);
        let numbers: Vec<(u32, i64)> = steps.iter().map(|step| (step.number, step.since_us / SECOND_US)).collect();
        assert_eq!(numbers, [(2, 0), (3, 0), (5, 0), (6, 0), (8, 0), (9, 3), (10, 0)]);
        let waits = |n: usize| -> Vec<(u32, u32, i64)> {
            steps[n].waits.iter().map(|wait| (*wait.on.start(), *wait.on.end(), wait.low_us / SECOND_US)).collect()
        };
        assert_eq!((waits(1), waits(3)), (vec![(2, 2, 1)], vec![(1, 3, 0), (5, 5, 0)]));
        assert_eq!((steps[2].undone_by, steps[2].unit.clone(), steps[1].unit.clone()), (Some(10), Some(4..=6), None));
        assert!(steps[3].is_must && !steps[6].is_must);
    }
}
