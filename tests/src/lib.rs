//! The words that end-to-end stories are told in.
//!
//! A story is an async function that takes a [`World`]: a place with a database, a queue and nothing in them. It opens
//! a hub there, submits orders, lets fillers work, kills what it likes, and says what must hold. [`stories!`] makes of
//! each function a test on every combination of database and queue.
//!
//! Nothing sleeps for a guess: what takes time is asked for until it is so, and a deadline says when it never will be.
//!
//! To tell another story: write it into the file of `end_to_end/` that fits, and add its name to the list at the top.

#![expect(clippy::unwrap_used, reason = "this is part of tests: what goes wrong ends the test")]

pub mod bodies;
mod broker;
mod by_hand;
mod hub;
mod order;
mod parts;
mod plot;
pub mod prescription;
mod program;
mod programs;
mod proxy;
mod record;
pub mod referral;
mod rest;
mod shim;
mod tokens;
mod wait;
mod walk;
mod world;

pub use by_hand::{ByHand, Job, Report};
pub use hub::Hub;
pub use order::{Order, Standing};
pub use parts::{Database, Parts, Queue, leave_out_for_want_of, say_once};
pub use plot::{Across, Line, Panel, plot};
pub use program::{Program, python_with_pika};
pub use programs::Programs;
pub use proxy::{Proxy, Wire};
pub use rest::{Client, Reply, Request};
pub use shim::Shim;
pub use tokens::Issuer;
pub use wait::{eventually, until};
pub use walk::walks_legally;
pub use world::{World, tell, tell_beside, with};

/// Makes a test of each story on each combination of database and queue.
#[macro_export]
macro_rules! stories {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            use $crate::{Parts, tell};

            #[test]
            fn on_sqlite_and_embedded() {
                tell(Parts::SQLITE_EMBEDDED, super::$name);
            }

            #[test]
            fn on_sqlite_and_rabbitmq() {
                tell(Parts::SQLITE_RABBITMQ, super::$name);
            }

            #[test]
            fn on_postgres_and_embedded() {
                tell(Parts::POSTGRES_EMBEDDED, super::$name);
            }

            #[test]
            fn on_postgres_and_rabbitmq() {
                tell(Parts::POSTGRES_RABBITMQ, super::$name);
            }
        }
    )+ };
}
