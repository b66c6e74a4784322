//! What requests with an idempotency key gave: a client that does not know whether its first try was
//! carried out sends it again, and it is carried out once (Raft paper, section 8).
//!
//! A key belongs to the project that its command is about, or to the cluster. It is remembered for
//! [`limits::IDEMPOTENCY_MS`], and no more than [`limits::IDEMPOTENCY_KEYS_PER_PROJECT_MAX`] of one
//! project; refusals are not, as they changed nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::{Command, Proposal};
use super::file::FileCommand;
use super::job::{JobCommand, spec};
use super::outcome::{Outcome, Rejection};
use super::project::ProjectCommand;
use super::{Ledger, limits};
use crate::codec;
use crate::types::{ProjectName, UnixMs};

/// Project → its keys; none: those of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyTable(BTreeMap<Option<ProjectName>, Arc<Keys>>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Keys {
    by_key: BTreeMap<Arc<str>, Known>,
    /// The order in which they are forgotten.
    by_age: BTreeSet<(UnixMs, Arc<str>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    at: UnixMs,
    /// BLAKE3 of what was asked for.
    request: [u8; 32],
    outcome: Outcome,
}

impl KeyTable {
    fn get(&self, scope: &Option<ProjectName>, key: &str, now: UnixMs) -> Option<&Known> {
        let known = self.0.get(scope)?.by_key.get(key)?;
        (known.at.saturating_add(limits::IDEMPOTENCY_MS) >= now).then_some(known)
    }

    /// Remembers `key`, and forgets those that are too old or too many.
    fn insert(&mut self, scope: Option<ProjectName>, key: &str, known: Known) {
        let now = known.at;
        let keys = Arc::make_mut(self.0.entry(scope).or_default());
        let key: Arc<str> = key.into();
        if let Some(old) = keys.by_key.insert(Arc::clone(&key), known) {
            keys.by_age.remove(&(old.at, Arc::clone(&key)));
        }
        keys.by_age.insert((now, key));
        while let Some((at, _)) = keys.by_age.first() {
            let too_old = at.saturating_add(limits::IDEMPOTENCY_MS) < now;
            if !too_old && keys.by_age.len() <= limits::IDEMPOTENCY_KEYS_PER_PROJECT_MAX {
                break;
            }
            if let Some((_, key)) = keys.by_age.pop_first() {
                keys.by_key.remove(&key);
            }
        }
    }

    pub(super) fn forget_project(&mut self, project: &ProjectName) {
        self.0.remove(&Some(project.clone()));
    }
}

impl Ledger {
    /// What this request gave when it was carried out before.
    ///
    /// # Errors
    /// When the key was used for another one.
    pub(super) fn replayed(&self, proposal: &Proposal) -> Result<Option<Outcome>, Rejection> {
        let Some(key) = &proposal.by.idempotency_key else { return Ok(None) };
        limits::text("the idempotency key", key, limits::IDEMPOTENCY_KEY_BYTES_MAX)?;
        let scope = self.scope(&proposal.command);
        let Some(known) = self.keys.get(&scope, key, proposal.at) else { return Ok(None) };
        if known.request != request(&proposal.command) {
            return Err(Rejection::IdempotencyMismatch);
        }
        Ok(Some(known.outcome.clone().again()))
    }

    pub(super) fn remember(&mut self, proposal: &Proposal, outcome: &Outcome) {
        let Some(key) = &proposal.by.idempotency_key else { return };
        let (at, request) = (proposal.at, request(&proposal.command));
        let known = Known { at, request, outcome: outcome.clone() };
        self.keys.insert(self.scope(&proposal.command), key, known);
    }

    /// Whether a request with this key was carried out in this project: for those who would judge by
    /// the state before they ask again.
    #[must_use]
    pub fn has_done(&self, project: &ProjectName, key: &str) -> bool {
        self.keys.get(&Some(project.clone()), key, 0).is_some()
    }

    fn scope(&self, command: &Command) -> Option<ProjectName> {
        match command {
            Command::File(
                FileCommand::Put { project, .. } | FileCommand::Delete { project, .. },
            )
            | Command::Job(JobCommand::Submit { project, .. }) => Some(project.clone()),
            Command::Job(JobCommand::Abort { id, .. } | JobCommand::Load { id, .. }) => {
                self.jobs.get(id).map(|job| job.project.clone())
            }
            Command::Project(ProjectCommand::Create { .. } | ProjectCommand::Delete { .. })
            | Command::Member(_)
            | Command::Job(_) => None,
        }
    }
}

/// What was asked for, without what a gateway adds on each attempt.
fn request(command: &Command) -> [u8; 32] {
    let mut asked = command.clone();
    match &mut asked {
        Command::File(FileCommand::Put { holders, .. }) => holders.clear(),
        Command::Job(JobCommand::Submit { id, spec, .. }) => {
            id.0.clear();
            *spec = spec::asked(spec);
        }
        _ => {}
    }
    // What cannot be written never came through the log.
    let bytes = codec::encode(codec::kind::PROPOSAL, &asked).unwrap_or_default();
    blake3::hash(&bytes).into()
}
