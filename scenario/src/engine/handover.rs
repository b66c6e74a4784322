//! What changes while a shard runs: its segments, its load, and the populations that have begun when
//! segments change hands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::arrivals::Begin;
use super::super::frames::PlannedUsers;
use super::super::shared::{HeldBack, Kept, NEVER, NOT_SAID, PopulationState};
use super::super::stages::{self, Known};
use super::super::{Event, load, surplus};
use super::{GIVE_AHEAD_MIN_US, GIVE_AHEAD_US, Run};
use crate::inject::LoadChange;
use crate::inject::division::Segments;
use crate::inject::load::FACTOR_ONE;
use crate::shard::{LoadHeard, OutputStream, TakeOver, Yielded};
use crate::stats::frame::StageDelta;
use crate::time::{MICROS_PER_SECOND, Micros};

impl Run<'_> {
    /// Populations that had begun with whoever held the segments before go on.
    pub(super) fn resume_stages(&mut self, take_over: Option<&TakeOver>, begin: Option<Begin>) {
        let Some((take_over, begin)) = take_over.zip(begin) else { return };
        // None begins between what was known and the moment from which it is this shard's.
        self.given_until = begin.at;
        let known = Known { began_us: &take_over.stages, until_us: take_over.known_us };
        let starts = stages::begun(&self.staged, known, begin.at);
        for (population, start) in self.shared.populations.iter().zip(starts) {
            population.start_at.store(start.unwrap_or(NEVER), Ordering::Release);
        }
    }

    /// The populations that follow on others. A frame of a second says of each that begins with the
    /// next one: that is decided before, on this thread.
    pub(super) fn stages(&self) -> Vec<StageDelta> {
        let began = self.began().into_iter().zip(0..);
        began.map(|(began_us, stage)| StageDelta { stage, began_us }).collect()
    }

    pub(super) fn began(&self) -> Vec<Option<Micros>> {
        let followers = self.starts().into_iter().zip(&self.staged);
        followers.filter(|(_, staged)| !staged.after.is_empty()).map(|(start, _)| start).collect()
    }

    /// Since when each population runs, or from when on it will.
    fn starts(&self) -> Vec<Option<Micros>> {
        let at = |it: &PopulationState| it.start_at.load(Ordering::Acquire);
        self.shared.populations.iter().map(|it| Some(at(it)).filter(|at| *at != NEVER)).collect()
    }

    /// True where it says more than was known.
    pub(super) fn change_load(&mut self, changes: Vec<LoadChange>, now: Micros) -> bool {
        let before = self.shared.load_changes();
        let Some(next) = changes.get(before.len()) else { return false };
        let late_us = now.saturating_sub(next.at_us);
        let most =
            |changes: &[LoadChange]| changes.iter().map(|it| it.factor).fold(FACTOR_ONE, u32::max);
        if let Some(reserve) = &mut self.reserve {
            reserve.faster(most(&before), most(&changes));
        }
        let count = u32::try_from(changes.len()).unwrap_or(u32::MAX);
        self.shared.change_load(changes);
        (self.on_event)(Event::Load(LoadHeard { changes: count, late_us }));
        if late_us > 0 {
            let (seconds, millis) = (late_us / MICROS_PER_SECOND, late_us / 1_000 % 1_000);
            let line = format!("a change of the load was heard of {seconds}.{millis:03} s late");
            (self.on_event)(Event::Output { stream: OutputStream::Stderr, line });
        }
        true
    }

    /// Segments go to another shard. The moment lies ahead of what any thread has done.
    pub(super) fn give_away(
        &mut self,
        (to, epoch): (u32, u64),
        segments: &[u32],
        at_us: Option<u64>,
        now: Micros,
    ) {
        let agreed = at_us.map(|at| at.max(now + GIVE_AHEAD_MIN_US));
        let from = agreed.unwrap_or(now + GIVE_AHEAD_US);
        let held = self.shared.segments_at(from);
        let left = surplus::without(held.owned(), segments);
        let Ok(left) = Segments::new(held.total(), &left) else { return };
        // What is reserved stays its own, for the users that have begun.
        let Some(reserve) = &self.reserve else { return };
        let records = reserve.reserved();
        for (sequence, number) in self.shared.sequences().zip(&records) {
            sequence.keep(&left, *number);
        }
        self.shared.keep(Kept { from, segments: left, to, epoch, surplus: self.uncounted(from) });
        let stages = self.began();
        self.given_until = from;
        (self.on_event)(Event::Yielded(Yielded { to, at_us: from, records, stages }));
    }

    /// Users beyond what is left from a moment on, by population and thread: of the closed model, if
    /// the population has begun by then, the threads are to count them.
    fn uncounted(&self, from: Micros) -> Arc<[AtomicU64]> {
        let populations = self.shared.populations.iter().zip(&self.closed);
        let of = |(it, closed): (&PopulationState, &bool)| {
            let is_counted = *closed && it.start_at.load(Ordering::Acquire) < from;
            if is_counted { NOT_SAID } else { 0 }
        };
        let threads = self.shared.threads as usize;
        let each = populations.map(of).flat_map(|it| std::iter::repeat_n(it, threads));
        each.map(AtomicU64::new).collect()
    }

    /// Says how many users are still here of those whose segments were given away.
    pub(super) fn tell_surplus(&mut self, now: Micros) {
        for kept in self.shared.kept().iter().filter(|kept| kept.from <= now) {
            let users = kept.surplus(self.shared.threads);
            let word = users.and_then(|users| self.words.next(kept.to, users, now));
            if let Some(word) = word {
                (self.on_event)(Event::Surplus(word));
            }
        }
    }

    /// `of`: the shard's segments, where this is one of its processes.
    pub(super) fn hold_back(&mut self, users: Vec<u64>, of: &[u32]) {
        let total = self.shared.segments().total();
        let of = Some(of).filter(|of| !of.is_empty()).and_then(|of| Segments::new(total, of).ok());
        self.shared.hold_back(HeldBack { users: Some(users.clone()), of });
        (self.on_event)(Event::HeldBack(users));
    }

    /// What the profiles come to under the load as it is known.
    pub(super) fn planned(&self) -> Vec<PlannedUsers> {
        load::planned_users(&self.profiles, &self.starts(), &self.shared.load_changes())
    }
}
