//! The services do what their names say: a killed one comes back with its data, a dropped one leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::{TcpStream, ToSocketAddrs};
use std::process::{Command, Output, Stdio};

use services::{Postgres, RabbitMq};

fn psql(url: &str, statement: &str) -> String {
    let Output { status, stdout, stderr } = Command::new("psql").args([url, "-Atqc", statement]).output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap().trim().to_owned()
}

/// Whether something listens at a URL's host and port.
fn listens(url: &str) -> bool {
    let address = url.rsplit('@').next().unwrap().split('/').next().unwrap();
    TcpStream::connect(address.to_socket_addrs().unwrap().next().unwrap()).is_ok()
}

#[test]
fn a_killed_postgres_comes_back_with_its_data() {
    let mut postgres = Postgres::start();
    let url = postgres.create_database("orders");
    psql(&url, "create table t (n int); insert into t values (7)");
    assert_eq!(psql(&url, "show fsync"), "on");
    postgres.kill();
    assert!(!listens(&url));
    postgres.restart();
    assert_eq!(psql(&url, "select n from t"), "7");
    drop(postgres);
    assert!(!listens(&url));
}

#[test]
fn a_rabbitmq_can_be_killed_and_restarted_and_reset() {
    let mut rabbitmq = RabbitMq::start();
    let url = rabbitmq.url();
    assert!(listens(&url));
    rabbitmq.kill();
    assert!(!listens(&url));
    rabbitmq.restart();
    assert!(listens(&url));
    rabbitmq.reset();
    assert!(listens(&url));
    drop(rabbitmq);
    assert!(!listens(&url));
}

#[test]
fn run_passes_on_urls_and_the_exit_code() {
    let script = "test \"$HUB_TEST_AMQP\" = amqp://given && psql \"$HUB_TEST_POSTGRES\" -Atqc 'select 1' && exit 7";
    let mut run = Command::new(env!("CARGO_BIN_EXE_services"));
    run.args(["run", "--", "sh", "-c", script]).env("HUB_TEST_AMQP", "amqp://given").env_remove("HUB_TEST_POSTGRES");
    assert_eq!(run.stdout(Stdio::null()).status().unwrap().code(), Some(7));
}
