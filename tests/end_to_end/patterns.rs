//! The scripts of `docs/patterns.md`, as they stand there, beside the program that people run.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use tests::{Program, World, leave_out_for_want_of, stories};
use tokio::process::Command;

stories![
    a_placer_that_only_posts,
    what_is_posted_directly_is_reported_back,
    a_performer_polls_the_queue_server,
    a_message_is_an_order,
    whoever_submits_is_called_back,
    an_open_task_is_claimed_and_done,
    a_filler_has_a_task_of_its_own,
    the_hub_asks_one_service_after_another,
    a_worker_at_the_queue_does_what_was_posted,
    it_says_where_it_stands,
    the_placer_cancels,
    a_filler_is_asked_to_stop_and_may_refuse,
    work_pauses_and_goes_on,
    one_order_takes_the_place_of_another,
    a_filler_asks_and_the_placer_answers,
    a_filler_proposes_something_else,
    the_author_says_that_it_is_complete,
];

async fn a_placer_that_only_posts(world: World) {
    plays(&world, "a_simple_rest", &[]).await;
}

async fn what_is_posted_directly_is_reported_back(world: World) {
    plays(&world, "b_direct_post", &["--set", "require_actionable=true"]).await;
}

async fn a_performer_polls_the_queue_server(world: World) {
    plays(&world, "c_queue_server", &[]).await;
}

async fn a_message_is_an_order(world: World) {
    plays(&world, "d_message", &[]).await;
}

async fn whoever_submits_is_called_back(world: World) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let callee = format!("callbacks=http://127.0.0.1:{port}/=secret");
    let told = [("CALLBACK_PORT", port.as_str()), ("CALLBACK_TOKEN", "secret")];
    plays_with(&world, "e_submit", &["--set", &callee, "--fillers"], &told).await;
}

async fn an_open_task_is_claimed_and_done(world: World) {
    plays(&world, "f_open_task", &[]).await;
}

async fn a_filler_has_a_task_of_its_own(world: World) {
    plays(&world, "g_task_at_filler", &[]).await;
}

async fn the_hub_asks_one_service_after_another(world: World) {
    let plans = format!("plans={}/../docs/patterns/plans", env!("CARGO_MANIFEST_DIR"));
    plays(&world, "h_broker", &["--set", &plans]).await;
}

async fn a_worker_at_the_queue_does_what_was_posted(world: World) {
    plays(&world, "l_hybrid", &["--fillers"]).await;
}

async fn it_says_where_it_stands(world: World) {
    plays(&world, "status_query", &[]).await;
}

async fn the_placer_cancels(world: World) {
    plays(&world, "cancel_by_placer", &[]).await;
}

async fn a_filler_is_asked_to_stop_and_may_refuse(world: World) {
    plays(&world, "cancel_by_filler", &[]).await;
}

async fn one_order_takes_the_place_of_another(world: World) {
    plays(&world, "replace", &[]).await;
}

async fn a_filler_asks_and_the_placer_answers(world: World) {
    plays(&world, "information_request", &[]).await;
}

async fn a_filler_proposes_something_else(world: World) {
    plays(&world, "counter_proposal", &[]).await;
}

async fn work_pauses_and_goes_on(world: World) {
    plays(&world, "suspend_resume", &[]).await;
}

async fn the_author_says_that_it_is_complete(world: World) {
    plays(&world, "completed_by_author", &[]).await;
}

/// So long a script may take that waits for what others do.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a script against a hub that was started with these arguments.
async fn plays(world: &World, script: &str, arguments: &[&str]) {
    plays_with(world, script, arguments, &[]).await;
}

/// The same, with this in the script's environment.
async fn plays_with(world: &World, script: &str, arguments: &[&str], variables: &[(&str, &str)]) {
    if !Program::are_built() {
        return;
    }
    let hub = world.hub_program(arguments).await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/patterns/{script}.py"));
    let mut python = Command::new("python3");
    python.arg("-B").arg(&path).env("HUB", &hub.base).envs(variables.iter().copied()).kill_on_drop(true);
    let Ok(played) = tokio::time::timeout(PATIENCE, python.output()).await else {
        panic!("{script} takes longer than {PATIENCE:?}");
    };
    match played {
        Err(_) => leave_out_for_want_of("python", "the scripts of docs/patterns (there is no python3)"),
        Ok(played) => {
            let said = [played.stdout, played.stderr].concat();
            assert!(played.status.success(), "{script}:\n{}", String::from_utf8_lossy(&said));
        }
    }
    assert!(hub.ends().await, "the hub ends well after {script}");
}
