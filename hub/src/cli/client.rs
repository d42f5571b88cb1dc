//! The hub's own client, for what speaks to a hub that runs: the public interfaces and nothing else.

use anyhow::{Context, bail};
use reqwest::StatusCode;
use serde_json::Value;

pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// Where an order stands, as `$order-status` tells it.
pub(super) struct OrderStatus {
    pub(super) status: String,
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) waiting_for: Vec<String>,
    /// The fulfilment Task first.
    pub(super) tasks: Vec<Value>,
    pub(super) raw: Value,
}

impl Client {
    pub(super) fn new(base: &str, token: Option<String>) -> anyhow::Result<Self> {
        hub_telemetry::install_tls_provider();
        let http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(30)).build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token })
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Submits a resource, or a Bundle to the base; the answer's body.
    pub(super) async fn submit(&self, body: &str) -> anyhow::Result<Value> {
        let kind: Value = serde_json::from_str(body)?;
        let kind = kind["resourceType"].as_str().unwrap_or_default();
        let url = if kind == "Bundle" { self.base.clone() } else { format!("{}/{kind}", self.base) };
        self.post(url, body).await
    }

    /// Sends a message; the answer's body.
    pub(super) async fn process(&self, message: &str) -> anyhow::Result<Value> {
        self.post(format!("{}/$process-message", self.base), message).await
    }

    async fn post(&self, url: String, body: &str) -> anyhow::Result<Value> {
        let request = self.http.post(url).header("content-type", "application/fhir+json").body(body.to_owned());
        let response = self.authorized(request).send().await?;
        let status = response.status();
        let answer: Value = response.json().await?;
        if !status.is_success() {
            bail!("the hub answered {status}: {answer}");
        }
        Ok(answer)
    }

    /// One of the hub's own, plain JSON interfaces.
    pub(super) async fn ask(&self, method: reqwest::Method, path: &str) -> anyhow::Result<Value> {
        let request = self.authorized(self.http.request(method, format!("{}/{path}", self.base)));
        let response = request.send().await.with_context(|| format!("no hub answers at {}", self.base))?;
        let status = response.status();
        let text = response.text().await?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if !status.is_success() {
            bail!("{status}: {}", body["error"].as_str().unwrap_or("no reason was given"));
        }
        Ok(body)
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<(StatusCode, Value)> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let url = format!("{}/{path}?{query}", self.base);
        let request = self.http.get(url.trim_end_matches('?')).header("accept", "application/fhir+json");
        let response =
            self.authorized(request).send().await.with_context(|| format!("no hub answers at {}", self.base))?;
        let status = response.status();
        let body = response.json().await.with_context(|| format!("{status}, and the body is not JSON"))?;
        Ok((status, body))
    }

    /// By `Type/id`, by an id alone, or by `[system|]identifier`.
    pub(super) async fn order_status(&self, name: &str) -> anyhow::Result<OrderStatus> {
        let paths = match name.split_once('/') {
            Some((kind, id)) if kind.starts_with(char::is_uppercase) => vec![format!("{kind}/{id}/$order-status")],
            _ if schemas::ids::is_id(name) => {
                ["Task", "ServiceRequest", "MedicationRequest"].map(|k| format!("{k}/{name}/$order-status")).to_vec()
            }
            _ => Vec::new(),
        };
        for path in paths {
            let (status, body) = self.get(&path, &[]).await?;
            if status.is_success() {
                return Ok(read(body));
            }
        }
        let (status, body) = self.get("$order-status", &[("identifier", name)]).await?;
        if status.is_success() {
            return Ok(read(body));
        }
        bail!("{}", body["issue"][0]["diagnostics"].as_str().unwrap_or("the hub does not know it"))
    }
}

fn read(raw: Value) -> OrderStatus {
    let parameters: Vec<&Value> = raw["parameter"].as_array().into_iter().flatten().collect();
    let all = |name: &str| parameters.iter().copied().filter(|p| p["name"] == name).collect::<Vec<_>>();
    let number = |name: &str| all(name).first().and_then(|p| p["valueUnsignedInt"].as_u64()).unwrap_or_default();
    let entries = all("result").first().and_then(|p| p["resource"]["entry"].as_array()).cloned().unwrap_or_default();
    OrderStatus {
        status: all("status").first().and_then(|p| p["valueCode"].as_str()).unwrap_or("unknown").to_owned(),
        done: number("done"),
        total: number("total"),
        waiting_for: all("waitingFor").iter().filter_map(|p| p["valueString"].as_str()).map(str::to_owned).collect(),
        tasks: entries.into_iter().map(|mut entry| entry["resource"].take()).collect(),
        raw: raw.clone(),
    }
}
