//! Waiting without guessing: ask until it is so, and give up with a sentence.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Longer than anything takes, even where four stories share two processors with a broker.
const DEADLINE: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// Asks until there is an answer.
///
/// # Panics
/// With `what`, when there is none in time.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {} s: {what}", DEADLINE.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Asks until the answer fits, and tells the last one when it never does.
pub async fn until<T: Debug>(what: &str, mut ask: impl AsyncFnMut() -> T, fits: impl Fn(&T) -> bool) -> T {
    let begun = Instant::now();
    loop {
        let answer = ask().await;
        if fits(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {} s: {what}; last seen: {answer:#?}", DEADLINE.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
