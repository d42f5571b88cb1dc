//! A dispenser wants to be paid.

use schemas::resource::{Key, Kind};
use uuid::Uuid;

use super::answer::information;
use super::record::Issue;
use super::table::{Event, State};
use super::{codes, find, keep, message, no};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::workflows::Answer;

pub(super) fn take_claim(draft: &mut Draft, claim: &message::Claim) -> Result<Answer, Stop> {
    let (root, mut record) = find(draft, &claim.number)?;
    let now = draft.now();
    let held = |issue: &Issue| issue.is_held_by(&claim.by);
    let n = match &claim.replaces {
        Some(replaced) => {
            let claimed =
                |issue: &Issue| issue.claim.as_deref() == Some(replaced) && issue.state.is_open_to(Event::AmendClaim);
            record
                .issues
                .iter()
                .position(|issue| held(issue) && claimed(issue))
                .ok_or_else(|| codes::CLAIM_AMEND.refusal())?
        }
        None => {
            let open = |issue: &Issue| issue.state.may(Event::Claim, State::Claimed);
            match record.issues.iter().position(|issue| open(issue) && held(issue)) {
                Some(n) => n,
                None if record.issues.iter().any(open) => return Err(codes::ANOTHER_DISPENSER.refusal().into()),
                None => return Err(codes::CLAIM_NOT_DISPENSED.refusal().into()),
            }
        }
    };
    // Each is kept, by its id.
    let has = |issue: &Issue| issue.claim.iter().chain(&issue.claims_before).any(|id| *id == claim.id);
    if record.issues.iter().any(has) {
        let text = "another claim for this prescription has this identifier; who amends one gives it a new one";
        return Err(no(codes::INVALID_VALUE.at("Claim.identifier", text)));
    }
    let issue = &mut record.issues[n];
    let before = issue.claim.replace(claim.id.clone());
    issue.claims_before.extend(before);
    let event = if claim.replaces.is_some() { Event::AmendClaim } else { Event::Claim };
    issue.moves(event, State::Claimed, now, Some(&claim.by));
    draft.create(root, claim_key(root, &claim.id), claim.body.clone());
    keep(draft, root, record, None)?;
    Ok(information(""))
}

pub(super) fn claim_key(root: Uuid, id: &str) -> Key {
    Key { kind: Kind::CLAIM, id: Uuid::new_v5(&root, format!("claim {id}").as_bytes()).to_string() }
}
