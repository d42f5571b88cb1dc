//! The REST interface as a caller sees it.

use std::future::IntoFuture;
use std::pin::Pin;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::order::Order;
use crate::record;
use crate::wait::eventually;

const FHIR: &str = "application/fhir+json";
const PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Somebody who calls a hub. A clone is the same caller.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// `http://127.0.0.1:1234/fhir/R4`
    pub base: String,
    token: Option<String>,
}

impl Client {
    pub fn new(base: impl Into<String>) -> Self {
        hub_telemetry::install_tls_provider();
        Self { http: reqwest::Client::new(), base: base.into(), token: None }
    }

    /// The same hub, called with a bearer token.
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: &Value) -> Request {
        self.request(Method::POST, path).body(FHIR, body.to_string())
    }

    /// Posts what may be no JSON at all.
    pub fn post_text(&self, path: &str, body: impl Into<String>) -> Request {
        self.request(Method::POST, path).body(FHIR, body)
    }

    pub fn put(&self, path: &str, body: &Value) -> Request {
        self.request(Method::PUT, path).body(FHIR, body.to_string())
    }

    pub fn patch(&self, path: &str, operations: Value) -> Request {
        self.request(Method::PATCH, path).body(PATCH, operations.to_string())
    }

    /// By a Parameters resource.
    pub fn fhirpath_patch(&self, path: &str, parameters: &Value) -> Request {
        self.request(Method::PATCH, path).body(FHIR, parameters.to_string())
    }

    /// By the elements that become others.
    pub fn merge_patch(&self, path: &str, elements: &Value) -> Request {
        self.request(Method::PATCH, path).body(MERGE_PATCH, elements.to_string())
    }

    pub fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path)
    }

    /// A path below the base; one that begins with `http` is taken as it is, one with `/` is below the server's root.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let root = self.base.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let url = match path {
            _ if path.starts_with("http") => path.to_owned(),
            _ if path.starts_with('/') => format!("{root}{path}"),
            "" => self.base.clone(),
            _ => format!("{}/{path}", self.base),
        };
        let request = self.http.request(method, url);
        Request(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    /// Submits a request, or a Bundle with several, which must be accepted.
    pub async fn submits(&self, order: Value) -> Order {
        let path = if order["resourceType"] == "Bundle" { "" } else { order["resourceType"].as_str().unwrap() };
        let reply = self.post(path, &order).await;
        assert!(matches!(reply.status, 200 | 201), "{reply:?}");
        self.order_of(&reply)
    }

    /// The order that this reply tells of.
    pub fn order_of(&self, reply: &Reply) -> Order {
        Order::of(self, reply)
    }

    /// The resource as it is now.
    pub async fn reads(&self, reference: &str) -> Value {
        self.get(reference).await.is(200).body
    }

    /// Sets one element and leaves the others.
    pub async fn sets(&self, reference: &str, element: &str, value: impl Into<Value>) -> Reply {
        let value: Value = value.into();
        self.patch(reference, json!([{ "op": "add", "path": format!("/{element}"), "value": value }])).await
    }

    /// Claims an open Task for this owner.
    pub async fn takes(&self, task: &str, owner: &str) -> Reply {
        let claim = json!([
            { "op": "add", "path": "/status", "value": "accepted" },
            { "op": "add", "path": "/owner", "value": { "reference": owner } },
        ]);
        self.patch(task, claim).await
    }

    /// Waits for a message that was parked: all that is told of it, its body too.
    pub async fn finds_parked(&self) -> Value {
        let list = async || self.get("/parked").await.is(200).body["parked"].as_array().unwrap().first().cloned();
        let parked = eventually("a message is parked", list).await;
        self.get(&format!("/parked/{}", parked["id"])).await.is(200).body
    }

    /// All that a search finds, page by page.
    pub async fn finds(&self, search: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut next = Some(search.to_owned());
        while let Some(path) = next {
            let page = self.get(&path).await.is(200);
            found.extend(page.resources());
            next = page.link("next");
        }
        found
    }
}

/// A request on its way: await it for the reply.
pub struct Request(reqwest::RequestBuilder);

impl Request {
    pub fn header(self, name: &str, value: impl AsRef<str>) -> Self {
        Self(self.0.header(name, value.as_ref()))
    }

    pub fn body(self, media: &str, body: impl Into<String>) -> Self {
        Self(self.0.header("content-type", media).body(body.into()))
    }

    /// The reply, or nothing when there is nobody to give one.
    pub async fn attempt(self) -> Option<Reply> {
        let response = self.0.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let asked = response.url().to_string();
        let text = response.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let reply = Reply { status, headers, text, body };
        record::write(&asked, &reply);
        Some(reply)
    }
}

impl IntoFuture for Request {
    type Output = Reply;
    type IntoFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { self.attempt().await.expect("the hub answers") })
    }
}

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// Null when the text is no JSON.
    pub body: Value,
}

impl Reply {
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// A no, told as an OperationOutcome with this code and path in its first issue (an empty path: none).
    #[track_caller]
    pub fn refuses(self, status: u16, code: &str, path: &str) -> Self {
        let issue = &self.body["issue"][0];
        let told = issue["expression"][0].as_str().unwrap_or_default();
        let (is, should_be) = ((self.status, issue["code"].as_str().unwrap_or_default(), told), (status, code, path));
        assert_eq!(is, should_be, "{}", self.text);
        assert!(!issue["diagnostics"].as_str().unwrap_or_default().is_empty(), "says why: {}", self.text);
        self
    }

    /// The words of the first issue.
    pub fn says(&self) -> &str {
        self.body["issue"][0]["diagnostics"].as_str().unwrap_or_default()
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `Type/id` of the resource in the reply.
    pub fn reference(&self) -> String {
        let part = |name: &str| self.body[name].as_str().unwrap_or_default();
        format!("{}/{}", part("resourceType"), part("id"))
    }

    /// The resources of a Bundle.
    pub fn resources(&self) -> Vec<Value> {
        let entries = self.body["entry"].as_array().cloned().unwrap_or_default();
        entries.into_iter().map(|mut entry| entry["resource"].take()).collect()
    }

    /// The URL of a link of a Bundle.
    pub fn link(&self, relation: &str) -> Option<String> {
        let links = self.body["link"].as_array()?;
        let link = links.iter().find(|link| link["relation"] == relation)?;
        link["url"].as_str().map(str::to_owned)
    }
}
