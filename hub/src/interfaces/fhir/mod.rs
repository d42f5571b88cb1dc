//! FHIR over REST. Every route is on this screen; what a request passes on its way is in [`gatekeeper`].

mod accept;
mod answer;
mod apply;
mod bundle;
mod capacity;
mod content;
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
use axum::routing::{get, post};

use crate::service::Service;

use search::searchset;
use write::{submit, transaction, validate};

pub use answer::trouble_status;
pub use capacity::Capacity;

pub fn router(service: &Arc<Service>) -> Router<Arc<Service>> {
    let base = service.config.base.clone();
    let at_base = post(transaction::submit).get(searchset::all_by_get);
    let mut router = Router::new().route(&format!("{base}/"), at_base).nest(&base, resources());
    if let Some(base) = &service.config.r5_base {
        router = router.nest(base, r5::router());
    }
    if let Some(base) = &service.config.eps_base {
        router = router.nest(base, eps::router());
    }
    if let Some(base) = &service.config.erp_base {
        router = router.nest(base, erp::router());
    }
    if let Some(base) = &service.config.ers_base {
        router = router.nest(base, ers::router());
    }
    if let Some(base) = &service.config.psu_base {
        router = router.route(&format!("{base}/"), post(psu::update)).nest(base, psu::router());
    }
    router.fallback(gatekeeper::unknown_path).layer(middleware::from_fn_with_state(service.clone(), gatekeeper::pass))
}

/// What is below the base. An entry of a Bundle that reads goes this way too.
fn resources() -> Router<Arc<Service>> {
    let found = get(searchset::by_get).put(write::update).patch(write::patch).delete(write::delete);
    Router::new()
        .route("/metadata", get(metadata::read))
        .route("/", post(transaction::submit).get(searchset::all_by_get))
        .route("/_search", post(searchset::all_by_post))
        .route("/_history", get(read::history_of_all))
        .route("/$order-status", get(order_status::by_identifier))
        .route("/$submit", post(submit::submit))
        .route("/$process-message", post(messaging::process))
        .route("/$prepare", post(eps::prepare))
        .route("/Task/$release", post(eps::release))
        .route("/{kind}", found.post(write::create))
        .route("/{kind}/_search", post(searchset::by_post))
        .route("/{kind}/_history", get(read::history_of_type))
        .route("/{kind}/$validate", post(validate::of_type))
        .route("/{kind}/$apply", get(apply::of_type).post(apply::of_type))
        .route("/{kind}/{id}/$apply", get(apply::of_one).post(apply::of_one))
        .route("/{kind}/$order-status", get(order_status::by_identifier_of_type))
        .route("/{kind}/{id}", get(read::current).put(write::update).patch(write::patch).delete(write::delete))
        .route("/{kind}/{id}/_history", get(read::history_of_one))
        .route("/{kind}/{id}/_history/{version}", get(read::version))
        .route("/{kind}/{id}/$validate", post(validate::of_one))
        .route("/{kind}/{id}/$graph", get(drawing::of_one))
        .route("/{kind}/{id}/$order-status", get(order_status::of_one))
        .fallback(gatekeeper::unknown_path)
        .method_not_allowed_fallback(gatekeeper::method_not_allowed)
}
