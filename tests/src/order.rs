//! An order that was submitted, and where it stands.

use serde_json::Value;

use crate::rest::{Client, Reply};
use crate::wait::{eventually, until};
use crate::walk::walks_legally;

/// An order, seen through the REST interface.
#[derive(Clone)]
pub struct Order {
    client: Client,
    /// `Type/id` of each of its requests.
    pub requests: Vec<String>,
    /// `Task/<id>` of its fulfilment Task.
    pub fulfilment: String,
}

/// What `$order-status` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub status: String,
    pub done: u64,
    pub total: u64,
    pub waiting_for: Vec<String>,
    pub since: Option<String>,
}

impl Order {
    /// From the reply to a POST of one request, or of a transaction.
    pub(crate) fn of(client: &Client, reply: &Reply) -> Self {
        let (requests, fulfilment) = match reply.body["resourceType"].as_str() {
            Some("Bundle") => of_transaction(client, &reply.body),
            _ => (vec![reply.reference()], linked(client, reply.header("link"))),
        };
        Self { client: client.clone(), requests, fulfilment }
    }

    /// The same order, asked of another hub (or of the same one, which has started again).
    pub fn at(&self, client: &Client) -> Self {
        Self { client: client.clone(), ..self.clone() }
    }

    pub fn request(&self) -> &str {
        &self.requests[0]
    }

    /// `Task/<id>` of the nth step of the plan, its first offer.
    pub fn step(&self, n: u32) -> String {
        format!("{}{n}", self.fulfilment.strip_suffix('0').unwrap())
    }

    /// Waits until the whole is at this status.
    pub async fn is(&self, status: &str) -> Value {
        let what = format!("{} is {status}", self.fulfilment);
        let see = async || self.all().await;
        let all = until(&what, see, |all| all[0].ends_with(&format!(" {status}"))).await;
        assert!(!all.is_empty());
        self.client.reads(&self.fulfilment).await
    }

    /// Each Task as `id description status`, for whoever reads why a story failed.
    async fn all(&self) -> Vec<String> {
        let text = |task: &Value, name: &str| task[name].as_str().unwrap_or("the whole").to_owned();
        let tasks = self.tasks().await;
        tasks.iter().map(|task| [text(task, "id"), text(task, "description"), text(task, "status")].join(" ")).collect()
    }

    pub async fn standing(&self) -> Standing {
        standing(&self.order_status().await)
    }

    pub async fn order_status(&self) -> Value {
        self.client.get(&format!("{}/$order-status", self.fulfilment)).await.is(200).body
    }

    /// The fulfilment Task, then the others in the order of the plan.
    pub async fn tasks(&self) -> Vec<Value> {
        let told = self.order_status().await;
        let result = parameter(&told, "result").next().unwrap();
        let entries = result["resource"]["entry"].as_array().unwrap();
        entries.iter().map(|entry| entry["resource"].clone()).collect()
    }

    /// All offers of a step, the first one first.
    pub async fn offers(&self, step: &str) -> Vec<Value> {
        self.tasks().await.into_iter().filter(|task| task["code"]["coding"][0]["code"] == step).collect()
    }

    /// The newest Task of a step of the plan, such as `triage`.
    pub async fn task(&self, step: &str) -> Value {
        self.offers(step).await.pop().unwrap_or_else(|| panic!("{} has no step {step}", self.fulfilment))
    }

    /// Waits until the newest Task of a step is at this status.
    pub async fn task_is(&self, step: &str, status: &str) -> Value {
        let what = format!("{step} is {status}");
        until(&what, async || self.task(step).await, |task| task["status"] == status).await
    }

    /// Waits for the Task that asks the owner of another one for something: `abort`, `suspend`, `resume`, `change`.
    pub async fn asks_to(&self, code: &str) -> Value {
        eventually(&format!("a Task that asks to {code}"), async || self.offers(code).await.pop()).await
    }

    /// The statuses of all Tasks, the fulfilment Task's first.
    pub async fn statuses(&self) -> Vec<String> {
        self.tasks().await.iter().map(|task| task["status"].as_str().unwrap().to_owned()).collect()
    }

    /// Checks the history of every Task against the table of legal transitions.
    pub async fn walked_legally(&self) {
        for task in self.tasks().await {
            let reference = format!("Task/{}", task["id"].as_str().unwrap());
            walks_legally(&self.client, &reference).await;
        }
    }
}

pub(crate) fn standing(told: &Value) -> Standing {
    let number = |name| parameter(told, name).next().unwrap()["valueUnsignedInt"].as_u64().unwrap();
    let texts = |name, value: &str| parameter(told, name).map(|p| p[value].as_str().unwrap().to_owned()).collect();
    let waiting_for: Vec<String> = texts("waitingFor", "valueString");
    Standing {
        status: parameter(told, "status").next().unwrap()["valueCode"].as_str().unwrap().to_owned(),
        done: number("done"),
        total: number("total"),
        waiting_for,
        since: parameter(told, "since").next().map(|p| p["valueDateTime"].as_str().unwrap().to_owned()),
    }
}

fn parameter<'v>(told: &'v Value, name: &'v str) -> impl Iterator<Item = &'v Value> {
    told["parameter"].as_array().unwrap().iter().filter(move |parameter| parameter["name"] == name)
}

/// `<http://.../Task/x>; rel="related"; ...`
fn linked(client: &Client, link: &str) -> String {
    let url = link.split_once('>').map_or("", |(url, _)| url.trim_start_matches('<'));
    url.strip_prefix(&format!("{}/", client.base)).unwrap_or_default().to_owned()
}

/// The requests of a transaction's response, and the fulfilment Task that its outcomes name.
fn of_transaction(client: &Client, bundle: &Value) -> (Vec<String>, String) {
    let (mut requests, mut fulfilment) = (Vec::new(), String::new());
    for entry in bundle["entry"].as_array().unwrap() {
        let response = &entry["response"];
        if let Some(said) = response["outcome"]["issue"][0]["diagnostics"].as_str() {
            let location = response["location"].as_str().unwrap();
            let local = location.strip_prefix(&format!("{}/", client.base)).unwrap();
            requests.push(local.split("/_history/").next().unwrap().to_owned());
            fulfilment = said.rsplit_once(&format!("{}/", client.base)).unwrap().1.to_owned();
        }
    }
    (requests, fulfilment)
}
