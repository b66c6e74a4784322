//! The faults: one entry each, in a file by what they break. An entry says what it does and what must
//! hold; striking gives back what heals it.

mod clock;
mod disk;
mod members;
mod network;
mod process;

pub(super) use network::isolate;

use super::account::Holds;
use super::schedule::{Kind, Strike, Takes};
use super::world::World;

/// Undoes a fault.
pub type Heal = Box<dyn FnOnce(&mut World) -> anyhow::Result<()>>;

/// What a fault needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// At least so many nodes.
    Nodes(usize),
    /// A host and a disk of each node's own.
    Hosts,
    Delays,
    KillsConnections,
    /// Wall clocks that can be changed.
    Clocks,
    /// An odd number of nodes, so that one more is a standby.
    OddNodes,
    /// `onrush cluster` has this subcommand.
    Subcommand(&'static str),
}

/// An entry.
pub struct Fault {
    pub name: &'static str,
    pub what: &'static str,
    pub needs: Needs,
    pub takes: Takes,
    /// It lasts one of these, in milliseconds.
    pub lasts_ms: &'static [u64],
    /// What must hold of the job after it lasted so long.
    pub holds: fn(u64) -> Holds,
    /// What it takes of the load is made up for within this, by then somebody has taken over.
    pub made_up_within_ms: u64,
    pub strike: fn(&mut World, &Strike) -> anyhow::Result<Heal>,
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Fault {
    /// What a schedule must know.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind { name: self.name, takes: self.takes, lasts_ms: self.lasts_ms }
    }

    /// Whether it can be made here.
    #[must_use]
    pub fn can_be_made(&self, world: &World) -> bool {
        let nodes = world.cluster.nodes.len();
        match self.needs {
            Needs::Nothing => true,
            Needs::Nodes(count) => nodes >= count,
            Needs::Hosts => world.net.has_hosts(),
            Needs::Delays => world.net.delays,
            Needs::KillsConnections => world.net.kills_connections,
            Needs::Clocks => world.clocks,
            Needs::OddNodes => nodes % 2 == 1,
            Needs::Subcommand(name) => {
                let has = |line: &str| line.split_whitespace().next() == Some(name);
                world.cluster_help.lines().any(has)
            }
        }
    }
}

/// A lease lives for seven seconds, and a connection has to be made anew: what ends before this must
/// not be noticed.
const NOTICED_AFTER_MS: u64 = 5_000;

/// An election, where the master was struck, and the preparation of a shard on a busy machine.
const TAKING_OVER_MS: u64 = 8_000;
/// The others know at once: the process is gone, or says what it cannot do.
const CERTAIN_AT_ONCE_MS: u64 = TAKING_OVER_MS;
/// The others know when lease and margin are over, which a new master counts from its beginning.
const CERTAIN_BY_LEASE_MS: u64 = 9_000 + TAKING_OVER_MS;
/// A process hangs when it has been silent for so long.
const CERTAIN_BY_SILENCE_MS: u64 = 10_000 + TAKING_OVER_MS;

/// Nothing is lost if it is over before the lease is, and made up for if not.
fn by_the_lease(lasts_ms: u64) -> Holds {
    if lasts_ms <= NOTICED_AFTER_MS { Holds::Untouched } else { Holds::MadeUp }
}

/// All of them.
pub fn registry() -> impl Iterator<Item = &'static Fault> {
    let all: [&'static [Fault]; 5] =
        [&process::FAULTS, &network::FAULTS, &members::FAULTS, &disk::FAULTS, &clock::FAULTS];
    all.into_iter().flatten()
}

/// The entry of a name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Fault> {
    registry().find(|fault| fault.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own_and_says_what_it_does() {
        let names: std::collections::BTreeSet<&str> = registry().map(|fault| fault.name).collect();
        assert_eq!(names.len(), registry().count());
        for fault in registry() {
            assert!(fault.what.len() > 20 && !fault.lasts_ms.is_empty(), "{fault:?}");
            assert!(named(fault.name).is_some());
        }
    }

    #[test]
    fn what_is_shorter_than_a_lease_is_not_noticed() {
        assert_eq!(by_the_lease(5_000), Holds::Untouched);
        assert_eq!(by_the_lease(5_001), Holds::MadeUp);
    }
}
