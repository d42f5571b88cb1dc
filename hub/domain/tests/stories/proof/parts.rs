//! What an order by a plan consists of: each action as often as it is done, and what of it waits for what.

use std::iter::zip;

use crate::proof::reference::Time;
use crate::proof::written::{From, Said, Tie, Timing, Written};

pub(crate) const HOUR: Time = 3_600_000_000;
/// So often what is done again is done at most.
pub(crate) const AGAIN_LIMIT: u32 = 10;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Nth {
    Cycle(u32),
    Time(u32),
}

#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// In the order of the document, from 1.
    pub(crate) number: u32,
    /// 0: none.
    pub(crate) parent: u32,
    pub(crate) said: Said,
    /// The request that it is for.
    pub(crate) item: Option<usize>,
    /// Which of several times, of each repeated part that it stands in, itself included. Of what may be done again it is no
    /// cycle, and the other way round.
    times: Vec<Nth>,
    /// It stands for all times: they are its children.
    pub(crate) is_all: bool,
    /// It comes only when somebody asks for that.
    pub(crate) is_spare: bool,
    /// The step that it undoes.
    pub(crate) undoes: Option<u32>,
    pub(crate) chosen_by: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) items: usize,
    pub(crate) parts: Vec<Part>,
    /// For a start.
    pub(crate) waits: Vec<Wait>,
    /// What an end is counted from.
    pub(crate) ends: Vec<Wait>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event {
    Released,
    Started,
    Ended,
}

/// `who` comes after what happened to `on`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) who: u32,
    pub(crate) on: u32,
    pub(crate) event: Event,
    pub(crate) low: Time,
    pub(crate) high: Option<Time>,
}

/// Of an action that may be done several times.
fn often(said: &Said) -> Option<u32> {
    said.times.map(|(times, _)| times).or(said.multiple.then_some(AGAIN_LIMIT))
}

impl Parts {
    pub(crate) fn of(plan: &Written, items: usize) -> Self {
        let mut parts = Self { items, parts: Vec::new(), waits: Vec::new(), ends: Vec::new() };
        parts.place(plan, 1, 0, None, &[]);
        plan.ties.iter().for_each(|tie| parts.tie(tie));
        for n in 1..=parts.parts.len() as u32 {
            let by = parts.part(n).said.chosen_by.map(|by| parts.met(n, by)[0]);
            parts.parts[n as usize - 1].chosen_by = by;
            let undoing = plan.said.iter().find(|said| said.undoes == Some(parts.part(n).said.id));
            let undoing = undoing.filter(|_| !parts.part(n).is_all).map(|by| parts.met(n, by.id)[0]);
            undoing.into_iter().for_each(|by| parts.parts[by as usize - 1].undoes = Some(n));
        }
        parts
    }

    /// How many there would be of two requests.
    pub(crate) fn count(plan: &Written, id: u32, is_for_all: bool) -> usize {
        let said = plan.action(id);
        let items = if said.per_item && is_for_all { 2 } else { 1 };
        let inner: usize = plan.within(id).map(|inner| Self::count(plan, inner.id, is_for_all && items == 1)).sum();
        items * often(said).map_or(1 + inner, |times| 1 + times as usize * (1 + inner))
    }

    fn place(&mut self, plan: &Written, id: u32, parent: u32, item: Option<usize>, times: &[Nth]) {
        let said = plan.action(id);
        let items: Vec<Option<usize>> = match said.per_item && item.is_none() {
            true => (0..self.items).map(Some).collect(),
            false => vec![item],
        };
        for item in items {
            let Some(count) = often(said) else {
                self.put(plan, said.clone(), parent, item, times, false);
                continue;
            };
            let number = self.parts.len() as u32 + 1;
            let (behaviour, chosen_by) = (Some("all"), None);
            let (in_sequence, starts, stops, timing) = (false, false, false, None);
            let all = Said { behaviour, chosen_by, in_sequence, starts, stops, timing, ..said.clone() };
            self.parts.push(Part {
                number,
                parent,
                said: all,
                item,
                times: times.to_vec(),
                is_all: true,
                is_spare: false,
                undoes: None,
                chosen_by,
            });
            for n in 0..count {
                let every = said.times.map(|(_, hours)| Timing { from: From::Group, low: n * hours, high: None });
                let one = Said { timing: every.or(said.timing), ..said.clone() };
                let nth = if said.multiple { Nth::Time(n) } else { Nth::Cycle(n) };
                self.put(plan, one, number, item, &[times, &[nth]].concat(), said.multiple && n > 0);
            }
        }
    }

    fn put(&mut self, plan: &Written, said: Said, parent: u32, item: Option<usize>, times: &[Nth], is_spare: bool) {
        let (number, id) = (self.parts.len() as u32 + 1, said.id);
        let times = times.to_vec();
        let (is_all, undoes, chosen_by) = (false, None, None);
        let part = Part { number, parent, said, item, times: times.clone(), is_all, is_spare, undoes, chosen_by };
        self.parts.push(part);
        for inner in plan.within(id) {
            self.place(plan, inner.id, number, item, &times);
        }
    }

    /// What waits for the same, whichever time it is, waits for it once: all of its times come after that.
    fn tie(&mut self, tie: &Tie) {
        for from in self.parts_of(tie.from) {
            let part = self.part(from);
            let all = match part.parent {
                _ if part.is_all => Some(from),
                0 => None,
                parent => Some(parent).filter(|parent| self.part(*parent).said.id == tie.from),
            };
            let is_shared =
                |all: u32| self.children(all).all(|one| self.met(one.number, tie.to) == self.met(all, tie.to));
            let is_shared = all.is_some_and(is_shared);
            if all.is_some() && part.is_all != is_shared {
                continue;
            }
            for to in self.met(from, tie.to) {
                self.waits.extend(tie.starts(from, to));
                self.ends.extend(tie.ends(from, to));
            }
        }
    }

    fn parts_of(&self, id: u32) -> Vec<u32> {
        self.parts.iter().filter(|part| part.said.id == id).map(|part| part.number).collect()
    }

    /// The parts of an action that are meant by one: of its own item; of its own time as far as both have such, and
    /// otherwise what stands for all times.
    fn met(&self, from: u32, id: u32) -> Vec<u32> {
        let from = self.part(from);
        let is_own = |part: &&Part| part.item.is_none() || from.item.is_none() || part.item == from.item;
        let shared = |part: &Part| zip(&part.times, &from.times).take_while(|(one, other)| one == other).count();
        let mut met: Vec<&Part> = self.parts.iter().filter(|part| part.said.id == id).filter(is_own).collect();
        let most = met.iter().map(|part| shared(part)).max();
        met.retain(|part| Some(shared(part)) == most);
        let fewest = met.iter().map(|part| part.times.len()).min();
        met.retain(|part| Some(part.times.len()) == fewest);
        met.iter().map(|part| part.number).collect()
    }

    pub(crate) fn part(&self, number: u32) -> &Part {
        &self.parts[number as usize - 1]
    }

    pub(crate) fn children(&self, number: u32) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(move |part| part.parent == number)
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.said.behaviour.is_none())
    }

    /// What stands for all times of what may be done again, of which the part is a part: the nearest.
    pub(crate) fn again(&self, number: u32) -> Option<u32> {
        let is_time = |n: &u32| self.part(*n).said.multiple && !self.part(*n).is_all;
        self.line(number).find(is_time).map(|time| self.part(time).parent)
    }

    /// The part and all that it stands in.
    pub(crate) fn line(&self, number: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(number), |n| Some(self.part(*n).parent).filter(|parent| *parent != 0))
    }
}

impl Tie {
    fn wait(&self, who: u32, on: u32, event: Event) -> Wait {
        let hours = |hours: u32| Time::from(hours) * HOUR;
        Wait { who, on, event, low: hours(self.low), high: self.high.map(hours) }
    }

    fn starts(&self, from: u32, to: u32) -> impl Iterator<Item = Wait> {
        let of_start = match self.relationship {
            "after-end" | "after" | "concurrent-with-end" => Some(self.wait(from, to, Event::Ended)),
            "after-start" => Some(self.wait(from, to, Event::Started)),
            "concurrent-with-start" => Some(self.wait(from, to, Event::Released)),
            "before-start" => Some(self.wait(to, from, Event::Ended)),
            _ => None,
        };
        let of_end = (self.end == Some("before-start")).then(|| self.wait(to, from, Event::Ended));
        of_start.into_iter().chain(of_end)
    }

    fn ends(&self, from: u32, to: u32) -> impl Iterator<Item = Wait> {
        let of_start = (self.relationship == "before-end").then(|| self.wait(to, from, Event::Ended));
        let of_end = match self.end {
            Some("after-end" | "after" | "concurrent-with-end") => Some(self.wait(from, to, Event::Ended)),
            Some("after-start" | "concurrent-with-start") => Some(self.wait(from, to, Event::Started)),
            Some("before-end") => Some(self.wait(to, from, Event::Ended)),
            _ => None,
        };
        of_start.into_iter().chain(of_end)
    }
}
