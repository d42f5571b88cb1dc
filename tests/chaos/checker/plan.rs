//! Which Tasks an order must have: its plan, read anew from the PlanDefinition that is stored with it.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result};
use serde_json::Value;
use sqlx::PgConnection;

const WORK: &str = "urn:fhir-workflow-hub:work";
const PER_ITEM: &str = "urn:fhir-workflow-hub:extension:per-item";

/// A step that some Task stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// In the order of the document, groups counted.
    pub(super) number: u32,
    /// The id of its action.
    pub(super) action: String,
    /// It comes in any case, and the order cannot be completed without it.
    pub(super) is_must: bool,
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
    let mut walk = Walk { steps: Vec::new(), number: 0, items };
    walk.actions(plan, true, false);
    walk.steps
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

struct Walk {
    steps: Vec<Step>,
    number: u32,
    items: usize,
}

impl Walk {
    /// The actions below `parent`, which comes in any case (`is_must`) and perhaps for one item only.
    fn actions(&mut self, parent: &Value, is_must: bool, of_item: bool) {
        let chosen = parent["selectionBehavior"].as_str().unwrap_or("all");
        let is_must = is_must && ["all", "all-or-none"].contains(&chosen);
        for action in list(&parent["action"]) {
            let per_item = !of_item && is_per_item(action);
            let is_must = is_must && action["requiredBehavior"].as_str().unwrap_or("must") == "must";
            for _ in 0..if per_item { self.items } else { 1 } {
                self.number += 1;
                if list(&action["action"]).next().is_none() {
                    let name = action["id"].as_str().unwrap_or_default().to_owned();
                    self.steps.push(Step { number: self.number, action: name, is_must });
                }
                self.actions(action, is_must, of_item || per_item);
            }
        }
    }
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
}
