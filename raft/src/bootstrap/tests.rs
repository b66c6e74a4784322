//! Tests of `bootstrap`.

#![expect(clippy::panic, reason = "tests fail by panicking")]

use proptest::prelude::*;

use super::*;

fn peer(n: u32, state: PeerState, expect: u32, sees_blank: u32) -> PeerSeen {
    PeerSeen { peer: name(n), state, expect, sees_blank }
}

fn name(n: u32) -> PeerName {
    format!("p{n}").into()
}

fn blank(me: u32, expect: Option<u32>, peers: Vec<PeerSeen>) -> View {
    View { me: name(me), expect, peers, ..View::default() }
}

fn forming(id: &str, leader: bool, bound: u32, voters: u32) -> Option<OwnCluster> {
    let cluster = Cluster {
        id: id.into(),
        name: "t".to_owned(),
        expect: 3,
        min_open: 2,
        state: ClusterState::Forming,
    };
    Some(OwnCluster { leader, cluster, bound_members: bound, voters })
}

fn member(id: &str, own: Option<OwnCluster>, peers: Vec<PeerSeen>) -> View {
    let binding = Binding::Bound { cluster: id.into(), raft_id: 1 };
    View { me: name(1), expect: Some(3), binding, own, peers, now_ms: 0 }
}

fn once(view: &View) -> Action {
    Bootstrap::default().decide(view)
}

#[test]
fn a_blank_node_joins_what_there_is() {
    let open = |n, id: &str| peer(n, PeerState::Open(id.into()), 3, 0);
    let young = |n, id: &str| peer(n, PeerState::Forming(id.into()), 3, 0);
    let view = blank(9, Some(3), vec![young(1, "a"), open(2, "b"), open(3, "b")]);
    let via = vec![name(2), name(3)];
    assert_eq!(once(&view), Action::Join { cluster: "b".into(), via });
    let view = blank(9, Some(3), vec![young(1, "c"), young(2, "b")]);
    assert_eq!(once(&view), Action::Join { cluster: "b".into(), via: vec![name(2)] });
    assert_eq!(once(&blank(9, None, vec![])), Action::Wait(Waiting::JoinOnly));
    assert_eq!(once(&blank(9, Some(1), vec![])), Action::Found { expect: 1, min_open: 1 });
}

#[test]
fn the_lowest_of_enough_founds_after_the_hold() {
    let fellow = |n| peer(n, PeerState::Blank, 3, 3);
    let mut rules = Bootstrap::default();
    let mut view = blank(1, Some(3), vec![fellow(2), peer(3, PeerState::Blank, 3, 2)]);
    assert_eq!(view.sees_blank(), 3);
    assert_eq!(rules.decide(&view), Action::Wait(Waiting::Nodes { seen: 2, expected: 3 }));
    view.peers[1].sees_blank = 3;
    assert_eq!(rules.decide(&view), Action::Wait(Waiting::Holding { for_ms: 2_000 }));
    view.now_ms = 1_999;
    assert_eq!(rules.decide(&view), Action::Wait(Waiting::Holding { for_ms: 1 }));
    // One that goes away for a moment starts the hold anew.
    let mut broken = view.clone();
    broken.peers.pop();
    assert!(matches!(rules.decide(&broken), Action::Wait(Waiting::Nodes { .. })));
    view.now_ms = 2_000;
    assert_eq!(rules.decide(&view), Action::Wait(Waiting::Holding { for_ms: 2_000 }));
    view.now_ms = 4_000;
    assert_eq!(rules.decide(&view), Action::Found { expect: 3, min_open: 2 });

    let mut rules = Bootstrap::default();
    let mut view = blank(2, Some(3), vec![fellow(1), fellow(3)]);
    rules.decide(&view);
    view.now_ms = 2_000;
    assert_eq!(rules.decide(&view), Action::Wait(Waiting::Founder(name(1))));
    // Another expectation does not count, nor does a detached node.
    let other = vec![fellow(1), peer(3, PeerState::Blank, 5, 5), peer(4, PeerState::Other, 3, 3)];
    let waits = Waiting::Nodes { seen: 2, expected: 3 };
    assert_eq!(once(&blank(2, Some(3), other)), Action::Wait(waits));
}

#[test]
fn a_forming_cluster_opens_or_gives_way() {
    let wait = |bound, voters| Waiting::Forming { bound, of: 2, voters, voters_of: 3 };
    assert_eq!(once(&member("m", forming("m", true, 1, 1), vec![])), Action::Wait(wait(1, 1)));
    assert_eq!(once(&member("m", forming("m", true, 3, 1), vec![])), Action::Wait(wait(3, 1)));
    assert_eq!(once(&member("m", forming("m", true, 2, 3), vec![])), Action::Open);
    let follower = member("m", forming("m", false, 2, 3), vec![]);
    assert_eq!(once(&follower), Action::Wait(Waiting::Member));

    let young = |id: &str| vec![peer(5, PeerState::Forming(id.into()), 3, 0)];
    let old = |id: &str| vec![peer(5, PeerState::Open(id.into()), 3, 0)];
    let own = forming("m", true, 2, 3);
    let into = |id: &str| Action::Dissolve { into: id.into() };
    assert_eq!(once(&member("m", own.clone(), young("a"))), into("a"));
    assert_eq!(once(&member("m", own.clone(), young("z"))), Action::Open);
    assert_eq!(once(&member("m", own.clone(), young("m"))), Action::Open);
    assert_eq!(once(&member("m", own.clone(), old("z"))), into("z"));

    let mut opened = own.clone();
    if let Some(own) = &mut opened {
        own.cluster.state = ClusterState::Open;
    }
    let conflict = Action::Conflict { with: "z".into() };
    assert_eq!(once(&member("m", opened.clone(), old("z"))), conflict);
    assert_eq!(once(&member("m", opened, old("m"))), Action::Wait(Waiting::Member));

    let mut gone = own;
    if let Some(own) = &mut gone {
        own.cluster.state = ClusterState::Dissolved { into: "a".into() };
    }
    assert_eq!(once(&member("m", gone, vec![])), Action::Release { into: "a".into() });
}

#[test]
fn a_detached_node_rejoins_its_own_cluster_only() {
    let view = |peers| View {
        binding: Binding::Detached { cluster: "m".into() },
        ..blank(1, Some(1), peers)
    };
    let open = |id: &str| peer(2, PeerState::Open(id.into()), 3, 0);
    assert_eq!(once(&view(vec![])), Action::Wait(Waiting::Detached("m".into())));
    assert_eq!(once(&view(vec![open("z")])), Action::Wait(Waiting::Detached("m".into())));
    let join = Action::Join { cluster: "m".into(), via: vec![name(2)] };
    assert_eq!(once(&view(vec![open("m")])), join);
}

/// A world of nodes that carry out the rules at once: links come and go, every node sees what the
/// others are. Membership is a count; the ledger's rules on open and dissolve are kept.
#[derive(Clone, Debug)]
struct World {
    n: u32,
    nodes: Vec<(Bootstrap, Binding)>,
    clusters: std::collections::BTreeMap<ClusterId, OwnCluster>,
    links: BTreeSet<(u32, u32)>,
    now_ms: u64,
}

impl World {
    fn new(n: u32) -> Self {
        let nodes = (0..n).map(|_| (Bootstrap::default(), Binding::Blank)).collect();
        Self {
            n,
            nodes,
            clusters: std::collections::BTreeMap::new(),
            links: BTreeSet::new(),
            now_ms: 0,
        }
    }

    fn linked(&self, a: u32, b: u32) -> bool {
        a != b && self.links.contains(&(a.min(b), a.max(b)))
    }

    fn state(&self, i: u32) -> PeerState {
        match &self.nodes[i as usize].1 {
            Binding::Blank => PeerState::Blank,
            Binding::Detached { .. } => PeerState::Other,
            Binding::Bound { cluster, .. } => match self.clusters[cluster].cluster.state {
                ClusterState::Open => PeerState::Open(cluster.clone()),
                ClusterState::Forming => PeerState::Forming(cluster.clone()),
                _ => PeerState::Other,
            },
        }
    }

    fn sees_blank(&self, i: u32) -> u32 {
        let blank = |j: &u32| self.state(*j) == PeerState::Blank;
        let linked = (0..self.n).filter(|&j| self.linked(i, j)).filter(blank).count();
        linked as u32 + 1
    }

    fn view(&self, i: u32) -> View {
        let seen = |j| peer(j, self.state(j), self.n, self.sees_blank(j));
        let peers = (0..self.n).filter(|&j| self.linked(i, j)).map(seen).collect();
        let binding = self.nodes[i as usize].1.clone();
        let own = match &binding {
            Binding::Bound { cluster, raft_id } => self.clusters.get(cluster).map(|own| {
                let leader = *raft_id == 1;
                OwnCluster { leader, ..own.clone() }
            }),
            _ => None,
        };
        View { now_ms: self.now_ms, me: name(i), expect: Some(self.n), binding, own, peers }
    }

    fn step(&mut self, i: u32, draw: u64) {
        let view = self.view(i);
        let action = self.nodes[i as usize].0.decide(&view);
        let bound =
            |cluster: &ClusterId, raft_id| Binding::Bound { cluster: cluster.clone(), raft_id };
        match action {
            Action::Found { expect, min_open } => {
                let id = ClusterId(format!("{draw:08x}"));
                let mut own = forming(&id.0, true, 1, 1).unwrap();
                (own.cluster.expect, own.cluster.min_open) = (expect, min_open);
                self.nodes[i as usize].1 = bound(&id, 1);
                self.clusters.insert(id, own);
            }
            Action::Join { cluster, .. } => {
                let own = self.clusters.get_mut(&cluster).unwrap();
                own.bound_members += 1;
                own.voters = own.bound_members.min(3);
                self.nodes[i as usize].1 = bound(&cluster, u64::from(own.bound_members) + 1);
            }
            Action::Open => self.own(i).cluster.state = ClusterState::Open,
            Action::Dissolve { into } => {
                self.own(i).cluster.state = ClusterState::Dissolved { into };
            }
            Action::Release { .. } => self.nodes[i as usize].1 = Binding::Blank,
            Action::Wait(_) | Action::Conflict { .. } => {}
        }
    }

    fn own(&mut self, i: u32) -> &mut OwnCluster {
        let Binding::Bound { cluster, .. } = &self.nodes[i as usize].1 else { panic!("not bound") };
        self.clusters.get_mut(cluster).unwrap()
    }

    fn open(&self) -> usize {
        self.clusters.values().filter(|own| own.cluster.state == ClusterState::Open).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the order in which nodes start, see and lose each other: never two open clusters;
    /// and once all see all, exactly one, with everyone in it.
    #[test]
    fn any_start_order_ends_in_one_cluster(
        n in 2_u32..8,
        steps in proptest::collection::vec((0_u32..8, 0_u32..8, 0_u32..8, 0_u64..900, any::<u32>()), 0..200),
    ) {
        let mut world = World::new(n);
        for (who, a, b, ms, draw) in steps {
            let (a, b) = (a % n, b % n);
            if a != b {
                let link = (a.min(b), a.max(b));
                if !world.links.remove(&link) {
                    world.links.insert(link);
                }
            }
            world.now_ms += ms;
            world.step(who % n, u64::from(draw));
            prop_assert!(world.open() <= 1);
        }
        world.links = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).collect();
        for round in 0..60_u64 {
            world.now_ms += 500;
            for i in 0..n {
                world.step(i, 1_000_000 + round * 10 + u64::from(i));
                prop_assert!(world.open() <= 1);
            }
        }
        prop_assert_eq!(world.open(), 1);
        let states: BTreeSet<_> = (0..n).map(|i| format!("{:?}", world.state(i))).collect();
        prop_assert_eq!(states.len(), 1, "{:?}", states);
    }
}
