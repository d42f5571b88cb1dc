//! The states of all steps of an order, in pieces. A large order's next event touches a few steps: only their pieces are
//! copied, compared and written anew; the others are shared with what was loaded, and keep their text.

use std::iter;
use std::ops::{Index, IndexMut};
use std::sync::{Arc, OnceLock};

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::notation;
use super::run::TaskState;

/// Steps of a piece; the last one may have fewer.
const PIECE_STEPS: usize = 32;
/// More pieces no order has: what says so is damaged.
const PIECES_MAX: usize = 10_000;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Steps {
    pieces: Vec<Arc<Piece>>,
}

#[derive(Debug, Default)]
struct Piece {
    states: Vec<TaskState>,
    /// As it stands in the JSON, as long as nothing was changed.
    text: OnceLock<Box<RawValue>>,
}

impl Steps {
    pub fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE_STEPS + last.states.len())
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub fn get(&self, step: usize) -> Option<&TaskState> {
        self.pieces.get(step / PIECE_STEPS)?.states.get(step % PIECE_STEPS)
    }

    pub fn get_mut(&mut self, step: usize) -> Option<&mut TaskState> {
        let piece = Arc::make_mut(self.pieces.get_mut(step / PIECE_STEPS)?);
        piece.text.take();
        piece.states.get_mut(step % PIECE_STEPS)
    }

    pub fn iter(&self) -> impl Iterator<Item = &TaskState> {
        self.pieces.iter().flat_map(|piece| &piece.states)
    }

    /// At least as many as these; the new ones have no Task.
    pub(crate) fn grow(&mut self, steps: usize) {
        while self.len() < steps {
            let missing = steps - self.len();
            match self.pieces.last_mut().filter(|last| last.states.len() < PIECE_STEPS) {
                Some(last) => {
                    let last = Arc::make_mut(last);
                    last.text.take();
                    let room = PIECE_STEPS - last.states.len();
                    last.states.extend(iter::repeat_n(TaskState::default(), missing.min(room)));
                }
                None => self.pieces.push(Arc::default()),
            }
        }
    }

    /// The steps that are not as they were.
    pub(crate) fn changed_since(&self, before: &Self) -> Vec<usize> {
        let pieces = self.pieces.len().max(before.pieces.len());
        let is_other = |n: &usize| match (self.pieces.get(*n), before.pieces.get(*n)) {
            (Some(now), Some(then)) => !Arc::ptr_eq(now, then),
            _ => true,
        };
        let steps = (0..pieces).filter(is_other).flat_map(|n| n * PIECE_STEPS..(n + 1) * PIECE_STEPS);
        steps.filter(|step| self.get(*step) != before.get(*step)).collect()
    }
}

impl Piece {
    fn written(&self) -> Box<RawValue> {
        // A text is always JSON.
        to_raw_value(&notation::write(&self.states)).unwrap_or_default()
    }

    fn read(text: Box<RawValue>) -> Option<Self> {
        let inner = text.get().strip_prefix('"')?.strip_suffix('"')?;
        let states = match inner.contains('\\') {
            false => notation::read(inner, PIECE_STEPS),
            true => notation::read(&serde_json::from_str::<String>(text.get()).ok()?, PIECE_STEPS),
        };
        let states = states.filter(|states| !states.is_empty())?;
        Some(Self { states, text: OnceLock::from(text) })
    }
}

impl Clone for Piece {
    /// For whoever changes it.
    fn clone(&self) -> Self {
        Self { states: self.states.clone(), text: OnceLock::new() }
    }
}

impl PartialEq for Piece {
    fn eq(&self, other: &Self) -> bool {
        self.states == other.states
    }
}

impl Index<usize> for Steps {
    type Output = TaskState;

    fn index(&self, step: usize) -> &TaskState {
        &self.pieces[step / PIECE_STEPS].states[step % PIECE_STEPS]
    }
}

impl IndexMut<usize> for Steps {
    fn index_mut(&mut self, step: usize) -> &mut TaskState {
        let piece = Arc::make_mut(&mut self.pieces[step / PIECE_STEPS]);
        piece.text.take();
        &mut piece.states[step % PIECE_STEPS]
    }
}

impl FromIterator<TaskState> for Steps {
    fn from_iter<I: IntoIterator<Item = TaskState>>(states: I) -> Self {
        let mut states = states.into_iter();
        let piece = || {
            let states: Vec<TaskState> = states.by_ref().take(PIECE_STEPS).collect();
            (!states.is_empty()).then(|| Arc::new(Piece { states, text: OnceLock::new() }))
        };
        Self { pieces: iter::from_fn(piece).collect() }
    }
}

impl Serialize for Steps {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.pieces.iter().map(|piece| piece.text.get_or_init(|| piece.written())))
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Texts)
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Steps;

    fn expecting(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        to.write_str("the states of an order's steps")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Steps, A::Error> {
        let mut pieces: Vec<Arc<Piece>> = Vec::new();
        while let Some(text) = texts.next_element::<Box<RawValue>>()? {
            let is_next = pieces.last().is_none_or(|last| last.states.len() == PIECE_STEPS);
            let piece = Piece::read(text).filter(|_| is_next && pieces.len() < PIECES_MAX);
            pieces.push(Arc::new(piece.ok_or_else(|| A::Error::custom("these are no states of steps"))?));
        }
        Ok(Steps { pieces })
    }
}

#[cfg(test)]
mod tests {
    use schemas::task::TaskStatus;

    use super::*;

    fn steps(many: usize) -> Steps {
        let draft = TaskState { status: Some(TaskStatus::Draft), occurrence: 1, ..TaskState::default() };
        iter::repeat_n(draft, many).collect()
    }

    #[test]
    fn as_many_as_were_put_in_come_out_and_are_found_by_their_numbers() {
        for many in [0, 1, PIECE_STEPS - 1, PIECE_STEPS, PIECE_STEPS + 1, 5 * PIECE_STEPS] {
            let mut steps = steps(many);
            assert_eq!((steps.len(), steps.iter().count(), steps.get(many)), (many, many, None));
            let text = serde_json::to_string(&steps).unwrap();
            assert_eq!(serde_json::from_str::<Steps>(&text).unwrap(), steps);
            steps.grow(many / 2);
            assert_eq!(steps.len(), many);
            steps.grow(many + PIECE_STEPS);
            assert_eq!((steps.len(), steps.get(many)), (many + PIECE_STEPS, Some(&TaskState::default())));
        }
    }

    #[test]
    fn what_was_changed_is_told_and_written_and_nothing_else_is_copied() {
        let before = steps(4 * PIECE_STEPS);
        let text = serde_json::to_string(&before).unwrap();
        let before: Steps = serde_json::from_str(&text).unwrap();
        let mut after = before.clone();
        let step = PIECE_STEPS + 3;
        after[step].sequence = 7;
        after.get_mut(0).unwrap().open = false;
        assert_eq!(after.changed_since(&before), [step]);
        let is_shared = |n: usize| Arc::ptr_eq(&after.pieces[n], &before.pieces[n]);
        assert_eq!([0, 1, 2, 3].map(is_shared), [false, false, true, true]);
        let again: Steps = serde_json::from_str(&serde_json::to_string(&after).unwrap()).unwrap();
        assert_eq!((again[step].sequence, again == after), (7, true));
        after.grow(4 * PIECE_STEPS + 2);
        assert_eq!(after.changed_since(&before), [step, 4 * PIECE_STEPS, 4 * PIECE_STEPS + 1]);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        for text in [r#"[""]"#, r#"["B","B"]"#, r#"["B*_"]"#, r#""B""#, "[7]"] {
            assert!(serde_json::from_str::<Steps>(text).is_err(), "{text}");
        }
    }
}
