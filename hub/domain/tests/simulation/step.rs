//! What may happen, in terms that stay meaningful when a story is shortened: "the second open Task", never an id.

use proptest::prelude::*;
use proptest::sample::select;
use schemas::message::Act;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// One command, decided and committed.
    Do(Deed),
    /// Another hub decides `late` on what it saw before `first` was committed.
    Overtaken { late: Deed, first: Deed },
    /// Time passes; with it fires what is due, unless the clocks of all hubs stand still.
    Passes { seconds: u64, fires: bool },
    /// The database's clock is set back.
    SetBack { millis: i64 },
}

#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// A new order; with a key it may be repeated.
    Submit {
        what: What,
        performer: Option<Who>,
        keyed: bool,
    },
    /// The nth submission that had a key comes again, perhaps with another body.
    Resubmit {
        nth: usize,
        other_body: bool,
    },
    Report {
        task: Pick,
        who: Who,
        act: Act,
        number: Number,
        forged: bool,
    },
    /// The nth report comes again, as it was.
    Redeliver {
        nth: usize,
    },
    /// Over REST: a Task with another status, perhaps with an owner's name.
    Move {
        task: Pick,
        voice: Voice,
        to: &'static str,
        owner: Option<Who>,
        patch: bool,
        matched: Matched,
    },
    /// The nth request with another status.
    Change {
        nth: usize,
        voice: Voice,
        to: Asked,
    },
    /// Somebody writes a Task about a Task.
    About {
        task: Pick,
        how: About,
    },
    /// The nth resource that ever was is deleted.
    Delete {
        nth: usize,
    },
    /// The nth timer that was ever set fires: early, in time, twice, or long after.
    Fire {
        nth: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Referral,
    Laboratory,
    /// A bundle of two items.
    Prescription,
    /// A plan of this test's own: a choice, an option, a wait.
    Winding,
    /// Stored only, until it becomes active.
    Draft,
}

/// What a Task is to the one that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// Asks its owner to stop, to pause, to go on.
    Ask(&'static str),
    Question,
    /// As its filler has it.
    Twin(&'static str, Who),
}

/// Which Task: the nth of those that have not ended, or of all that ever were.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pick {
    Open(usize),
    Any(usize),
}

/// Organizations that do the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Whoever owns the Task; of a free one, A.
    Owner,
    A,
    B,
}

/// The number of a report.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Next,
    /// That of the one before.
    Same,
    /// As if one had been lost.
    Skip,
}

/// Who speaks over REST.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Voice {
    /// Nobody has to say who it is.
    Local,
    /// The placer of all orders.
    Surgery,
    /// A placer of other orders.
    Stranger,
    Filler(Who),
    Operator,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Matched {
    No,
    Current,
    Old,
}

/// What a placer makes of a request; its type knows the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Active,
    OnHold,
    Revoked,
    Completed,
    EnteredInError,
    /// The same, in other words.
    OtherWords,
}

pub(crate) fn story() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..60)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => deed().prop_map(Step::Do),
        2 => (deed(), deed()).prop_map(|(late, first)| Step::Overtaken { late, first }),
        2 => (1_u64..100, any::<bool>()).prop_map(|(seconds, fires)| Step::Passes { seconds, fires }),
        1 => (1_i64..5_000).prop_map(|millis| Step::SetBack { millis }),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    let what = select(vec![What::Referral, What::Laboratory, What::Prescription, What::Winding, What::Draft]);
    let performer = prop_oneof![3 => Just(None), 1 => Just(Some(Who::A))];
    let submit = (what, performer, any::<bool>());
    let forged = prop_oneof![15 => Just(false), 1 => Just(true)];
    let report = (pick(), who(), act(), number(), forged);
    let owner = prop_oneof![2 => Just(None), 1 => who().prop_map(Some)];
    let moved = (pick(), voice(), select(STATES.to_vec()), owner, any::<bool>(), matched());
    let change = (0_usize..6, voice(), asked());
    prop_oneof![
        3 => submit.prop_map(|(what, performer, keyed)| Deed::Submit { what, performer, keyed }),
        1 => (0_usize..3, any::<bool>()).prop_map(|(nth, other_body)| Deed::Resubmit { nth, other_body }),
        16 => report.prop_map(|(task, who, act, number, forged)| Deed::Report { task, who, act, number, forged }),
        3 => (0_usize..40).prop_map(|nth| Deed::Redeliver { nth }),
        6 => moved.prop_map(|(task, voice, to, owner, patch, matched)| Deed::Move { task, voice, to, owner, patch, matched }),
        3 => change.prop_map(|(nth, voice, to)| Deed::Change { nth, voice, to }),
        2 => (pick(), about()).prop_map(|(task, how)| Deed::About { task, how }),
        1 => (0_usize..40).prop_map(|nth| Deed::Delete { nth }),
        2 => (0_usize..20).prop_map(|nth| Deed::Fire { nth }),
    ]
}

const STATES: [&str; 12] = [
    "accepted",
    "in-progress",
    "completed",
    "ready",
    "cancelled",
    "on-hold",
    "failed",
    "rejected",
    "received",
    "requested",
    "draft",
    "entered-in-error",
];

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![6 => (0_usize..12).prop_map(Pick::Open), 1 => (0_usize..40).prop_map(Pick::Any)]
}

fn about() -> impl Strategy<Value = About> {
    prop_oneof![
        select(vec!["abort", "suspend", "resume"]).prop_map(About::Ask),
        Just(About::Question),
        (select(vec!["requested", "accepted", "rejected"]), who()).prop_map(|(status, who)| About::Twin(status, who)),
    ]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![5 => Just(Who::Owner), 1 => Just(Who::A), 1 => Just(Who::B)]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => Just(Act::Claim),
        3 => Just(Act::InProgress),
        4 => Just(Act::Completed),
        1 => Just(Act::OnHold),
        1 => Just(Act::Failed),
        1 => Just(Act::Rejected),
    ]
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![8 => Just(Number::Next), 1 => Just(Number::Same), 1 => Just(Number::Skip)]
}

fn voice() -> impl Strategy<Value = Voice> {
    prop_oneof![
        4 => Just(Voice::Local),
        3 => Just(Voice::Surgery),
        1 => Just(Voice::Stranger),
        3 => who().prop_map(Voice::Filler),
        1 => Just(Voice::Operator),
    ]
}

fn matched() -> impl Strategy<Value = Matched> {
    prop_oneof![6 => Just(Matched::No), 2 => Just(Matched::Current), 1 => Just(Matched::Old)]
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        3 => Just(Asked::Active),
        3 => Just(Asked::OnHold),
        1 => Just(Asked::Revoked),
        1 => Just(Asked::Completed),
        1 => Just(Asked::EnteredInError),
        2 => Just(Asked::OtherWords),
    ]
}
