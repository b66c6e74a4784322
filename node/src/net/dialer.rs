//! Keeps the mesh connected: contact points are tried for ever, known nodes while they are away.
//! The plan is pure; the task around it resolves names and hands addresses to the swarm's task.

use std::collections::BTreeMap;
use std::sync::Arc;

use onrush_raft::types::PeerName;
use rand::Rng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::PeerView;
use super::actor::Command;
use super::contact::ContactPoint;
use super::limits::{
    DIAL_EAGER_MS, DIAL_FIRST_MS, DIAL_MAX_MS, DIAL_ROUND, DIAL_ROUND_QUIET, DIAL_YIELD_MS,
    DIALS_PER_ROUND, FORGET_AFTER_MS,
};
use super::shared::Shared;
use crate::clock::Clock;

/// Exponential pauses with jitter, once it has been eager.
#[derive(Clone, Copy, Debug)]
struct Backoff {
    next_ms: u64,
    pause_ms: u64,
    eager_until_ms: u64,
}

impl Backoff {
    fn starting(at_ms: u64) -> Self {
        Self { next_ms: at_ms, pause_ms: DIAL_FIRST_MS, eager_until_ms: at_ms }
    }

    fn eager(at_ms: u64) -> Self {
        Self { eager_until_ms: at_ms + DIAL_EAGER_MS, ..Self::starting(at_ms) }
    }

    /// Whether it is time; if so, the next try is moved out.
    fn take(&mut self, now_ms: u64, rng: &mut impl Rng) -> bool {
        if now_ms < self.next_ms {
            return false;
        }
        self.next_ms = now_ms + rng.random_range(self.pause_ms / 2..=self.pause_ms);
        if now_ms >= self.eager_until_ms {
            self.pause_ms = (self.pause_ms * 2).min(DIAL_MAX_MS);
        }
        true
    }
}

/// Which addresses to try, when.
#[derive(Debug)]
pub(super) struct Plan {
    local: String,
    contacts: Vec<(ContactPoint, Backoff)>,
    away: BTreeMap<String, Backoff>,
    connected: usize,
}

impl Plan {
    pub(super) fn new(local: String, contacts: Vec<ContactPoint>) -> Self {
        let contacts =
            contacts.into_iter().map(|contact| (contact, Backoff::starting(0))).collect();
        Self { local, contacts, away: BTreeMap::new(), connected: 0 }
    }

    /// What to try now: contact points always (those that lead to connected peers are skipped after
    /// they are resolved), and nodes that are away. The smaller peer id dials at once, the larger
    /// one only if that has not helped.
    pub(super) fn due<'a>(
        &mut self,
        now_ms: u64,
        views: impl Iterator<Item = &'a PeerView>,
        rng: &mut impl Rng,
    ) -> Vec<ContactPoint> {
        let mut due = Vec::new();
        let mut away = BTreeMap::new();
        let mut connected = 0;
        for view in views.filter(|view| view.peer.0 != self.local) {
            if view.connected || view.refused.is_some() {
                connected += 1;
                continue;
            }
            let Some(record) = &view.record else { continue };
            if view.last_seen_ms > FORGET_AFTER_MS {
                continue;
            }
            let yields = if self.local < view.peer.0 { 0 } else { DIAL_YIELD_MS };
            let known = self.away.get(&view.peer.0).copied();
            let mut backoff = known.unwrap_or_else(|| Backoff::eager(now_ms + yields));
            if backoff.take(now_ms, rng) {
                due.extend(record.addresses.iter().filter_map(|text| text.parse().ok()));
            }
            away.insert(view.peer.0.clone(), backoff);
        }
        if connected < self.connected {
            // Somebody left: look around at once again.
            for (_, backoff) in &mut self.contacts {
                *backoff = Backoff::starting(now_ms);
            }
        }
        self.connected = connected;
        self.away = away;
        let tried = self
            .contacts
            .iter_mut()
            .filter_map(|(contact, backoff)| backoff.take(now_ms, rng).then(|| contact.clone()));
        due.extend(tried);
        due.sort_unstable();
        due.dedup();
        due.truncate(DIALS_PER_ROUND);
        due
    }
}

/// Runs the plan until stopped.
pub(super) async fn run(
    mut plan: Plan,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    clock: Clock,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let mut known = shared.views.subscribe();
    let is_away = |views: &Arc<BTreeMap<PeerName, PeerView>>| {
        let away = |view: &PeerView| !view.connected && view.refused.is_none();
        views.len() <= 1 || views.values().any(away)
    };
    loop {
        let pause = if is_away(&known.borrow_and_update()) { DIAL_ROUND } else { DIAL_ROUND_QUIET };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            Ok(_) = known.wait_for(is_away), if pause > DIAL_ROUND => {}
        }
        let views = shared.views.borrow().clone();
        for contact in plan.due(clock.now_ms(), views.values(), &mut rand::rng()) {
            let (commands, stop) = (commands.clone(), stop.clone());
            tracker.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = dial(contact, commands) => {}
                }
            });
        }
    }
}

async fn dial(contact: ContactPoint, commands: mpsc::Sender<Command>) {
    match contact.resolve().await {
        Ok(addresses) => {
            for address in addresses {
                let _ = commands.send(Command::Dial { address }).await;
            }
        }
        Err(error) => tracing::warn!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::NodeRecord;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn view(peer: &str, connected: bool) -> PeerView {
        PeerView {
            peer: peer.into(),
            connected,
            record: Some(NodeRecord {
                addresses: vec![format!("{peer}.example:7441")],
                ..NodeRecord::default()
            }),
            ..PeerView::default()
        }
    }

    fn tries(plan: &mut Plan, until_ms: u64, views: &[PeerView]) -> Vec<u64> {
        let mut rng = StdRng::seed_from_u64(1);
        (0..until_ms)
            .step_by(10)
            .filter(|now| !plan.due(*now, views.iter(), &mut rng).is_empty())
            .collect()
    }

    #[test]
    fn a_contact_point_is_tried_for_ever_with_growing_pauses() {
        let mut plan = Plan::new("m".to_owned(), vec!["a:1".parse().unwrap()]);
        let at = tries(&mut plan, 600_000, &[]);
        assert_eq!(at[0], 0);
        assert!(at[1] <= DIAL_FIRST_MS);
        let last_pauses: Vec<u64> = at.windows(2).map(|pair| pair[1] - pair[0]).skip(8).collect();
        assert!(last_pauses.iter().all(|pause| (5_000..=DIAL_MAX_MS + 10).contains(pause)));
        assert!(last_pauses.len() > 50);
    }

    /// Once the pauses had grown to seconds by the time at which a cut of some seconds was healed,
    /// and the leases of the node's shards ran out in between.
    #[test]
    fn a_node_that_has_just_gone_is_tried_all_the_time() {
        let views = [view("m", false)];
        let at = tries(&mut Plan::new("a".to_owned(), Vec::new()), 40_000, &views);
        let pause = |pair: &[u64]| pair[1] - pair[0];
        let eager: Vec<u64> = at.windows(2).filter(|w| w[1] <= DIAL_EAGER_MS).map(pause).collect();
        assert!(eager.iter().all(|pause| *pause <= DIAL_FIRST_MS + 10), "{eager:?}");
        assert!(eager.len() >= 38, "{eager:?}");
        let later: Vec<u64> = at.windows(2).filter(|w| w[0] > 30_000).map(pause).collect();
        assert!(later.iter().all(|pause| *pause >= DIAL_MAX_MS / 4), "{later:?}");
    }

    #[test]
    fn the_smaller_dials_at_once_and_the_larger_yields() {
        let views = [view("m", false)];
        let mut small = Plan::new("a".to_owned(), Vec::new());
        assert_eq!(tries(&mut small, 5_000, &views)[0], 0);
        let mut large = Plan::new("z".to_owned(), Vec::new());
        assert_eq!(tries(&mut large, 5_000, &views)[0], DIAL_YIELD_MS);
    }

    #[test]
    fn connected_nodes_are_left_alone_and_a_loss_wakes_the_contact_points() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut plan = Plan::new("a".to_owned(), vec!["c:1".parse().unwrap()]);
        for now in (0..60_000).step_by(10) {
            plan.due(now, [view("m", true)].iter(), &mut rng);
        }
        let mut quiet = plan.due(60_000, [view("m", true)].iter(), &mut rng);
        quiet.retain(|contact| contact.host != "c");
        assert!(quiet.is_empty());
        let due = plan.due(60_010, [view("m", false)].iter(), &mut rng);
        let hosts: Vec<&str> = due.iter().map(|contact| contact.host.as_str()).collect();
        assert_eq!(hosts, ["c", "m.example"]);
    }
}
