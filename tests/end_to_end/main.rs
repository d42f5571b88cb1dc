//! Stories over the whole system: what comes in by REST goes out by queue, is worked on, and comes back.
//!
//! Each runs on all four combinations of database and queue; see `tests::stories`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod actions;
mod anything;
mod backups;
mod bad_input;
mod bounds;
mod chains;
mod changes;
mod claims;
mod clocks;
mod conditions;
mod crash_points;
mod crashes;
mod disks;
mod doctor;
mod erezept;
mod erezept_payloads;
mod fencing;
mod foreign;
mod fulfilment;
mod histories;
mod looks;
mod messages;
mod offers;
mod orchestrations;
mod outages;
mod overload;
mod pages;
mod patterns;
mod payloads;
mod plans;
mod prescription_payloads;
mod prescriptions;
mod processes;
mod referral_payloads;
mod referrals;
mod repeats;
mod reports;
mod retention;
mod retries;
mod searching;
mod traces;
mod transactions;
mod upgrades;
mod validating;
