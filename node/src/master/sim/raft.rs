//! Consensus as the master sees it: one log, one leader at a time. A leader's commands are applied
//! in the order in which it proposed them, each some time later; its answer may be lost, or come
//! long before the command is applied. With the leader, what was not yet applied is cut off at any
//! place; what stays is applied before anything of the next leader.

use std::collections::VecDeque;

use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Command, Proposal};
use onrush_raft::ledger::outcome::Outcome;
use rand::Rng;
use rand::rngs::StdRng;

use super::faults::Faults;

/// When a proposal without an answer is given up.
const GIVE_UP_MS: u64 = 3_000;

/// Entries that a new leader may not have applied yet, though they are committed.
pub(super) const BEHIND_MAX: usize = 12;

/// Which proposal of which master an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    pub(super) term: u64,
    pub(super) number: u64,
}

#[derive(Debug)]
pub(super) struct Answer {
    due: u64,
    pub(super) ticket: Ticket,
    /// None: refused, or what became of it is not known.
    pub(super) outcome: Option<Outcome>,
}

struct Entry {
    due: u64,
    command: Command,
    /// None where the answer is lost.
    ticket: Option<Ticket>,
}

pub(super) struct Raft {
    pub(super) ledger: Ledger,
    index: u64,
    log: VecDeque<Entry>,
    answers: Vec<Answer>,
    last_due: u64,
    pub(super) leads: Option<u64>,
    /// As it was after each of the last entries, oldest first.
    past: VecDeque<Ledger>,
}

impl Raft {
    pub(super) fn new() -> Self {
        Self {
            ledger: Ledger::open_single(),
            index: 10,
            log: VecDeque::new(),
            answers: Vec::new(),
            last_due: 0,
            leads: None,
            past: VecDeque::new(),
        }
    }

    /// The ledger of a node that is so many entries behind.
    pub(super) fn behind(&self, entries: usize) -> Ledger {
        let at = self.past.len().checked_sub(entries).and_then(|at| self.past.get(at));
        at.unwrap_or(&self.ledger).clone()
    }

    pub(super) fn apply(&mut self, unix_ms: u64, command: Command) -> Option<Outcome> {
        self.index += 1;
        self.past.push_back(self.ledger.clone());
        if self.past.len() > BEHIND_MAX {
            self.past.pop_front();
        }
        let proposal = Proposal { at: unix_ms, by: "sim".into(), command };
        self.ledger.apply(self.index, &proposal).ok()
    }

    pub(super) fn propose(
        &mut self,
        now: u64,
        ticket: Ticket,
        command: Command,
        faults: &Faults,
        rng: &mut StdRng,
    ) {
        let unknown = Answer { due: now + GIVE_UP_MS, ticket, outcome: None };
        if self.leads != Some(ticket.term) || rng.random_bool(faults.lost_proposal) {
            self.answers.push(unknown);
            return;
        }
        let late = if rng.random_bool(faults.late_proposal) { 4_000 } else { 0 };
        self.last_due = self.last_due.max(now + rng.random_range(1..60) + late);
        let lost = late > 0 || rng.random_bool(faults.lost_answer);
        if lost {
            self.answers.push(unknown);
        }
        let repeated = rng.random_bool(faults.repeated_proposal);
        let (due, answered) = (self.last_due, (!lost).then_some(ticket));
        self.log.push_back(Entry { due, command: command.clone(), ticket: answered });
        if repeated {
            self.log.push_back(Entry { due, command, ticket: None });
        }
    }

    /// Applies what is due while there is a leader.
    pub(super) fn commit(&mut self, now: u64, unix_ms: u64) {
        while self.leads.is_some() && self.log.front().is_some_and(|entry| entry.due <= now) {
            let Some(entry) = self.log.pop_front() else { break };
            let outcome = self.apply(unix_ms, entry.command);
            self.answers.extend(entry.ticket.map(|ticket| Answer { due: now, ticket, outcome }));
        }
    }

    pub(super) fn answers(&mut self, now: u64) -> Vec<Answer> {
        let (due, later) =
            std::mem::take(&mut self.answers).into_iter().partition(|a: &Answer| a.due <= now);
        self.answers = later;
        due
    }

    pub(super) fn leader_falls(&mut self, now: u64, rng: &mut StdRng) {
        self.leads = None;
        let kept = rng.random_range(0..=self.log.len());
        for entry in &mut self.log {
            let unknown = |ticket| Answer { due: now + GIVE_UP_MS, ticket, outcome: None };
            self.answers.extend(entry.ticket.take().map(unknown));
        }
        self.log.truncate(kept);
    }

    /// What the leader of before left is applied before the next one leads.
    pub(super) fn leader_rises(&mut self, term: u64, unix_ms: u64) {
        while let Some(entry) = self.log.pop_front() {
            self.apply(unix_ms, entry.command);
        }
        self.last_due = 0;
        self.leads = Some(term);
    }
}
