//! The surface of the NHS e-Referral Service: what is different there from plain FHIR. The public service has it in STU3;
//! here it is in R4, with the service's own names of operations, parameters and codes.
//!
//! What every request brings is read in [`call`]; what changes something is in [`actions`], what does not in [`reading`]
//! and [`worklist`].

mod actions;
mod call;
mod reading;
mod worklist;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use hub_domain::workflows::ers::EVENTS;

use super::{gatekeeper, metadata};
use crate::service::Service;

pub(super) fn router() -> Router<Arc<Service>> {
    let mut router = Router::new()
        .route("/metadata", get(metadata::ers))
        .route("/ServiceRequest", get(reading::by_number))
        .route("/ServiceRequest/{id}", get(reading::referral).post(actions::begin).put(actions::change))
        .route("/ServiceRequest/{id}/_history/{version}", get(reading::version))
        .route("/ServiceRequest/{id}/{operation}", post(actions::operate))
        .route("/Appointment", post(actions::book))
        .route("/Appointment/{id}", get(reading::appointment).put(actions::cancel_appointment))
        .route("/Task", get(reading::tasks))
        .route("/Task/{id}", get(reading::task).put(actions::close_by_task))
        .route("/Slot", get(reading::slots))
        .route("/HealthcareService", get(reading::services))
        .route("/HealthcareService/{id}", get(reading::service))
        .route("/Communication", get(reading::conversation))
        .route("/Binary", post(actions::upload))
        .route("/Binary/{id}", get(reading::file));
    for (kind, _) in EVENTS {
        let path = format!("/{kind}");
        router = router.route(&path, post(move |call, body| actions::report(kind, call, body)));
    }
    router
        .route("/DocumentReference/{id}", get(reading::document))
        .fallback(gatekeeper::unknown_path)
        .method_not_allowed_fallback(gatekeeper::method_not_allowed)
}
