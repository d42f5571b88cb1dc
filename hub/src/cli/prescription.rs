//! A prescription of the prescription service as a pharmacist thinks of it: its issues, and what has become of each item.

use std::collections::BTreeMap;

use comfy_table::{ContentArrangement, Table, presets};
use hub_domain::workflows::eps::message::{NHS_NUMBER, NUMBER};
use hub_domain::workflows::eps::table::{BUSINESS_STATUS, ITEM_STATUS};
use schemas::ids::TaskId;
use serde_json::Value;

use super::client::OrderStatus;

/// One prescription, read from its Tasks.
pub(super) struct Prescription {
    number: String,
    patient: String,
    /// The day on which it came.
    received: String,
    pub(super) issues: Vec<Issue>,
}

/// One supply.
pub(super) struct Issue {
    pub(super) code: String,
    pub(super) state: String,
    /// ODS code of who has it, or of who is nominated.
    pub(super) pharmacy: String,
    /// The day from which it may be downloaded.
    from: String,
    since: String,
    pub(super) items: Vec<Item>,
}

pub(super) struct Item {
    pub(super) name: String,
    pub(super) state: String,
}

impl Prescription {
    /// None when the order is another one.
    pub(super) fn of(order: &OrderStatus) -> Option<Self> {
        let first = order.tasks.first()?;
        if first["focus"]["identifier"]["system"] != NUMBER {
            return None;
        }
        let newest = newest(&order.tasks);
        let of_system = |task: &Value, system: &str| task["businessStatus"]["coding"][0]["system"] == system;
        let issues = newest.iter().filter(|task| of_system(task, BUSINESS_STATUS)).map(|task| {
            // An item's Task is part of one that stood for its issue.
            let is_of_it = |item: &&&Value| step(&item["partOf"][0]["reference"]) == step(&task["id"]);
            let items = newest.iter().filter(|item| of_system(item, ITEM_STATUS)).filter(is_of_it);
            Issue {
                code: text(&task["businessStatus"]["coding"][0]["code"]),
                state: text(&task["businessStatus"]["coding"][0]["display"]),
                pharmacy: text(&task["owner"]["reference"]).trim_start_matches("Organization/").to_owned(),
                from: day(&task["restriction"]["period"]["start"]),
                since: day(&task["lastModified"]),
                items: items
                    .map(|item| Item {
                        name: text(&item["description"]),
                        state: text(&item["businessStatus"]["coding"][0]["display"]),
                    })
                    .collect(),
            }
        });
        let patient = &first["for"]["identifier"];
        Some(Self {
            number: text(&first["focus"]["identifier"]["value"]),
            patient: if patient["system"] == NHS_NUMBER { text(&patient["value"]) } else { String::new() },
            received: day(&first["authoredOn"]),
            issues: issues.collect(),
        })
    }

    /// For people: a block for each issue.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["issue", "what", "state", "pharmacy", "from", "since"]);
        let of = self.issues.len();
        for (n, issue) in self.issues.iter().enumerate() {
            let number = if of > 1 { format!("{} of {of}", n + 1) } else { String::new() };
            let state = format!("{} {}", issue.code, issue.state);
            let (pharmacy, from, since) = (issue.pharmacy.clone(), issue.from.clone(), issue.since.clone());
            table.add_row([number, "the prescription".to_owned(), state, pharmacy, from, since]);
            for (place, item) in issue.items.iter().enumerate() {
                let branch = if place + 1 == issue.items.len() { "└ " } else { "├ " };
                table.add_row([String::new(), format!("{branch}{}", item.name), item.state.clone()]);
            }
        }
        format!("prescription {} for {}, received {}\n{table}", self.number, self.patient, self.received)
    }
}

/// Of each step the Task that stands for it now: whatever had to go back added one.
fn newest(tasks: &[Value]) -> Vec<&Value> {
    let mut newest: BTreeMap<u32, (u32, &Value)> = BTreeMap::new();
    for (id, task) in tasks.iter().filter_map(|task| Some((task["id"].as_str()?.parse::<TaskId>().ok()?, task))) {
        let place = newest.entry(id.step).or_insert((id.occurrence, task));
        if place.0 < id.occurrence {
            *place = (id.occurrence, task);
        }
    }
    newest.into_values().map(|(_, task)| task).collect()
}

/// Which step of its order a Task is.
fn step(reference: &Value) -> Option<u32> {
    reference.as_str()?.trim_start_matches("Task/").parse::<TaskId>().ok().map(|id| id.step)
}

fn day(value: &Value) -> String {
    text(value).chars().take(10).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
