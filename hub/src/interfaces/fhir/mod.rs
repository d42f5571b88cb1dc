//! FHIR over REST. Every route is on this screen; what a request passes on its way is in [`gatekeeper`].

mod accept;
mod answer;
mod apply;
mod bundle;
mod capacity;
mod content;
mod doors;
mod drawing;
mod eps;
mod erp;
mod ers;
mod gatekeeper;
mod look;
mod messaging;
mod metadata;
mod order_status;
mod pretty;
mod psu;
mod r5;
mod read;
mod search;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use hub_domain::workflows::EVENTS;

use crate::service::Service;

use doors::Says::{Does, Nothing, OnFound};
use doors::{Doors, Operation};
use search::searchset;
use write::{submit, transaction, validate};

pub use answer::trouble_status;
pub use capacity::Capacity;

pub fn router(service: &Arc<Service>) -> Router<Arc<Service>> {
    let config = &service.config;
    let others = [
        (&config.r5_base, r5::doors as fn() -> Doors),
        (&config.eps_base, eps::doors),
        (&config.erp_base, erp::doors),
        (&config.ers_base, ers::doors),
        (&config.psu_base, psu::doors),
    ];
    let others = others.into_iter().filter_map(|(base, doors)| Some(doors().at(base.as_deref()?)));
    let router = others.fold(doors().at(&config.base), Router::merge);
    router.fallback(gatekeeper::unknown_path).layer(middleware::from_fn_with_state(service.clone(), gatekeeper::pass))
}

/// What is below the base. An entry of a Bundle that reads goes this way too.
fn resources() -> Router<Arc<Service>> {
    doors().router()
}

/// The doors of the base, each with the word by which `/metadata` tells of it.
fn doors() -> Doors {
    Doors::new()
        .get("/metadata", Nothing, metadata::read)
        .post("/", Does("transaction batch"), transaction::submit)
        .get("/", Does("search-system"), searchset::all_by_get)
        .post("/_search", Does("search-system"), searchset::all_by_post)
        .get("/_history", Does("history-system"), read::history_of_all)
        .get("/$order-status", order_status(), order_status::by_identifier)
        .post("/$submit", submit(), submit::submit)
        .post("/$process-message", process_message(&[messaging::order::EVENT]), messaging::process)
        .post("/$prepare", eps::preparing(), eps::prepare)
        .post("/Task/$release", eps::releasing(), eps::release)
        .post("/{kind}", Does("create"), write::create)
        .get("/{kind}", Does("search-type"), searchset::by_get)
        .put("/{kind}", OnFound("update"), write::update)
        .patch("/{kind}", OnFound("patch"), write::patch)
        .delete("/{kind}", OnFound("delete"), write::delete)
        .post("/{kind}/_search", Does("search-type"), searchset::by_post)
        .get("/{kind}/_history", Does("history-type"), read::history_of_type)
        .get("/{kind}/{id}", Does("read"), read::current)
        .put("/{kind}/{id}", Does("update"), write::update)
        .patch("/{kind}/{id}", Does("patch"), write::patch)
        .delete("/{kind}/{id}", Does("delete"), write::delete)
        .get("/{kind}/{id}/_history", Does("history-instance"), read::history_of_one)
        .get("/{kind}/{id}/_history/{version}", Does("vread"), read::version)
        .post("/{kind}/$validate", validate(), validate::of_type)
        .post("/{kind}/{id}/$validate", validate(), validate::of_one)
        .get("/{kind}/$order-status", order_status(), order_status::by_identifier_of_type)
        .get("/{kind}/{id}/$order-status", order_status(), order_status::of_one)
        .get("/{kind}/$apply", apply(), apply::of_type)
        .post("/{kind}/$apply", apply(), apply::of_type)
        .get("/{kind}/{id}/$apply", apply(), apply::of_one)
        .post("/{kind}/{id}/$apply", apply(), apply::of_one)
        .get("/{kind}/{id}/$graph", graph(), drawing::of_one)
}

fn order_status() -> Operation {
    Operation::new("order-status", "Where an order stands, by ?identifier=, or all that share a number by ?group=")
}

fn submit() -> Operation {
    Operation::new("submit", "A request, and who is called back when its order has ended")
}

/// Of the events that workflows have, and these.
fn process_message(others: &[&str]) -> Operation {
    let events: Vec<&str> = others.iter().copied().chain(EVENTS.iter().map(|event| event.code)).collect();
    let about = format!("Events: {}", events.join(", "));
    Operation::new("process-message", about)
        .published("http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message")
}

fn validate() -> Operation {
    Operation::new("validate", "What would be said to a resource")
        .published("http://hl7.org/fhir/OperationDefinition/Resource-validate")
}

fn apply() -> Operation {
    Operation::new("apply", "What a definition comes to for a subject")
        .published("http://hl7.org/fhir/OperationDefinition/{kind}-apply")
        .of(&apply::KINDS)
}

fn graph() -> Operation {
    Operation::new("graph", "What waits for what, ?as=json, mermaid or svg").of(&drawing::KINDS)
}
