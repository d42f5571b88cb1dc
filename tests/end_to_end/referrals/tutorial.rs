//! The tutorial does what it says: its commands, as they stand there, against a hub.

use tests::{World, leave_out_for_want_of, stories};

use super::{practice, state};

stories![the_commands_of_the_tutorial_do_what_it_says];

const TUTORIAL: &str = include_str!("../../../docs/api/referrals/tutorial.md");

/// The blocks that are pasted into a shell.
fn commands() -> String {
    let blocks = TUTORIAL.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.collect::<Vec<_>>().join("\n")
}

async fn the_commands_of_the_tutorial_do_what_it_says(world: World) {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        return leave_out_for_want_of("curl", "the tutorial of referrals (there is no curl)");
    }
    let hub = world.hub().await;
    let root = hub.base.strip_suffix("/fhir/R4").unwrap();
    let script = commands().replace("http://127.0.0.1:8080", root);
    let run = tokio::process::Command::new("bash").args(["-euo", "pipefail", "-c", &script]).output().await.unwrap();
    let (told, errors) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{told}\n{errors}");
    assert!(told.contains("CREATE_APPOINTMENT") && told.contains("ReferralsforReview"), "{told}");
    let referrals = hub.finds("ServiceRequest?status=completed").await;
    assert_eq!(referrals.len(), 1, "{told}");
    let id = format!("ServiceRequest/{}", referrals[0]["id"].as_str().unwrap());
    assert_eq!(state(&practice(&hub).get(&id).await.is(200).body), "COMPLETED");
    hub.closes().await;
}
