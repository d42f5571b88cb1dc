//! The surface of the NHS e-Referral Service: what is different there from plain FHIR. The public service has it in STU3;
//! here it is in R4, with the service's own names of operations, parameters and codes.
//!
//! What every request brings is read in [`call`]; what changes something is in [`actions`], what does not in [`reading`]
//! and [`worklist`].

mod actions;
mod call;
mod reading;
mod worklist;

use hub_domain::workflows::ers::{EVENTS, OPERATIONS};

use super::doors::Says::{self, Does, Finds, Nothing, Operations};
use super::doors::{Doors, Operation, Searched};
use super::metadata;

pub(super) fn doors() -> Doors {
    let mut doors = Doors::new()
        .get("/metadata", Nothing, metadata::ers)
        .get("/ServiceRequest", Finds(&REFERRALS), reading::by_number)
        .get("/ServiceRequest/{id}", Does("read"), reading::referral)
        .put("/ServiceRequest/{id}", Does("update"), actions::change)
        .post("/ServiceRequest/{id}", operations(true), actions::begin)
        .get("/ServiceRequest/{id}/_history/{version}", Does("vread"), reading::version)
        .post("/ServiceRequest/{id}/{operation}", operations(false), actions::operate)
        .post("/Appointment", Does("create"), actions::book)
        .get("/Appointment/{id}", Does("read"), reading::appointment)
        .put("/Appointment/{id}", Does("update"), actions::cancel_appointment)
        .get("/Task", Does("search-type"), reading::tasks)
        .get("/Task/{id}", Does("read"), reading::task)
        .put("/Task/{id}", Does("update"), actions::close_by_task)
        .get("/Slot", Finds(&SLOTS), reading::slots)
        .get("/HealthcareService", Finds(&SERVICES), reading::services)
        .get("/HealthcareService/{id}", Does("read"), reading::service)
        .get("/Communication", Finds(&CONVERSATION), reading::conversation)
        .post("/Binary", Does("create"), actions::upload)
        .get("/Binary/{id}", Does("read"), reading::file);
    for (kind, _) in EVENTS {
        doors = doors.post(format!("/{kind}"), Does("create"), move |call, body| actions::report(kind, call, body));
    }
    // A letter is read by itself, too.
    doors.get("/DocumentReference/{id}", Does("read"), reading::document)
}

/// Those that begin a referral, or those on one.
fn operations(begin: bool) -> Says {
    let of_table = OPERATIONS.iter().filter(|operation| operation.begins == begin);
    let of_table = of_table.map(|operation| Operation::new(operation.name.trim_start_matches('$'), operation.about));
    let lists = worklist::NAMES.iter().filter(|_| begin);
    let lists = lists.map(|name| Operation::new(name.trim_start_matches('$'), "What waits for somebody"));
    Operations(of_table.chain(lists).collect())
}

const REFERRALS: Searched = Searched { by: &[("identifier", "token")], include: &[] };
const SLOTS: Searched = Searched {
    by: &[("status", "token"), ("schedule.actor:HealthcareService", "reference")],
    include: &["Slot:schedule"],
};
const SERVICES: Searched = Searched { by: &[("_id", "token")], include: &[] };
const CONVERSATION: Searched = Searched { by: &[("based-on", "reference")], include: &[] };
