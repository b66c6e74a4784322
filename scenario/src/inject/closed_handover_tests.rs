//! Tests of `inject/closed`: segments that change hands while users run.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::inject::LoadChange;
use crate::inject::division::SEGMENTS;

const S: Micros = 1_000_000;
const STEP: Micros = 50_000;
/// From the order to give segments away to the moment.
const AHEAD: Micros = S;
/// From a shard's end to the moment at which it is certain.
const LOST_AFTER: Micros = 9 * S;
const WORD_EVERY: Micros = 200_000;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Every so many of its segments go to a new shard.
    Give {
        giver: usize,
        every: usize,
    },
    Die {
        shard: usize,
    },
}

/// A shard with its threads and users.
struct Shard {
    trackers: Vec<Tracker>,
    /// When each ends, and on which thread.
    users: Vec<(Micros, usize)>,
    from: Micros,
    segments: Vec<u32>,
    /// From whom it took over, and at which of that one's hand-overs.
    giver: Option<(usize, usize)>,
    gave: usize,
    died: Option<Micros>,
    /// On their way to it.
    words: VecDeque<(Micros, u64)>,
}

/// Shards and what a master tells them.
struct Cluster {
    steps: Vec<ClosedStep>,
    threads: u64,
    load: Load,
    latency: Micros,
    /// Whether takers are told anything, or start their whole share as if nobody was there.
    holds_back: bool,
    /// Milliseconds: how long each runs at least, and how much longer at most.
    session: u64,
    session_more: u64,
    random: u64,
    now: Micros,
    shards: Vec<Shard>,
    /// Shards that will take over from dead ones.
    heirs: Vec<(Micros, usize)>,
}

impl Cluster {
    fn new(steps: Vec<ClosedStep>, threads: u64, holds_back: bool) -> Self {
        Self::under(Load::default(), steps, threads, holds_back)
    }

    fn under(load: Load, steps: Vec<ClosedStep>, threads: u64, holds_back: bool) -> Self {
        let mut cluster = Self {
            steps,
            threads,
            load,
            latency: 0,
            holds_back,
            session: 50,
            session_more: 20_000,
            random: 7,
            now: 0,
            shards: Vec::new(),
            heirs: Vec::new(),
        };
        cluster.begin((0..SEGMENTS).collect(), 0, None);
        cluster
    }

    fn begin(&mut self, segments: Vec<u32>, from: Micros, giver: Option<(usize, usize)>) {
        let owned = Segments::new(SEGMENTS, &segments).unwrap();
        let tracker = |thread| {
            let mut it = Tracker::new(&self.steps, owned.clone(), thread, self.threads);
            it.load(self.load.clone());
            if giver.is_some() {
                it.begin(from, 1);
                let users = if self.holds_back { HoldBack::EVERYTHING } else { 0 };
                it.hold_back(HoldBack { users, of: None }, 0);
            }
            it
        };
        let trackers = (0..self.threads).map(tracker).collect();
        let (users, words) = (Vec::new(), VecDeque::new());
        let (gave, died) = (0, None);
        self.shards.push(Shard { trackers, users, from, segments, giver, gave, died, words });
    }

    fn happens(&mut self, event: Event) {
        let (index, now) = match event {
            Event::Give { giver, .. } => (giver % self.shards.len(), self.now),
            Event::Die { shard } => (shard % self.shards.len(), self.now),
        };
        let shard = &mut self.shards[index];
        if shard.died.is_some() || shard.from > now {
            return;
        }
        if let Event::Give { every, .. } = event {
            let (given, left): (Vec<_>, Vec<_>) =
                (0..).zip(shard.segments.clone()).partition(|(i, _)| i % every == 0);
            let of = |all: Vec<(usize, u32)>| all.into_iter().map(|(_, it)| it).collect::<Vec<_>>();
            let (given, left) = (of(given), of(left));
            let segments = Segments::new(SEGMENTS, &left).unwrap();
            let at = now + AHEAD;
            shard.trackers.iter_mut().for_each(|it| it.keep(segments.clone(), at, 1));
            shard.segments = left;
            shard.gave += 1;
            let giver = Some((index, shard.gave - 1));
            self.begin(given, at, giver);
        } else {
            shard.died = Some(now);
            shard.users.clear();
            self.heirs.push((now + LOST_AFTER, index));
        }
    }

    /// What a master knows of the users that others have of this shard's part.
    fn held(&self, index: usize) -> Option<u64> {
        let Some((giver, hand_over)) = self.shards[index].giver else { return Some(0) };
        match self.shards[giver].died {
            Some(at) if self.now >= at + LOST_AFTER => self.held(giver),
            Some(_) => None,
            None => self.shards[giver]
                .trackers
                .iter()
                .try_fold(0_u64, |sum, it| Some(sum.saturating_add(*it.given().get(hand_over)?))),
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        let now = self.now;
        for (_, shard) in self.heirs.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
            let segments = std::mem::take(&mut self.shards[shard].segments);
            self.begin(segments, now, Some((shard, usize::MAX)));
        }
        if self.holds_back && now.is_multiple_of(WORD_EVERY) {
            for index in 0..self.shards.len() {
                let word = self.held(index).map(|users| (now + self.latency, users));
                self.shards[index].words.extend(word);
            }
        }
        for index in 0..self.shards.len() {
            let shard = &mut self.shards[index];
            if shard.died.is_some() {
                continue;
            }
            while let Some((_, users)) = shard.words.pop_front_if(|(at, _)| *at <= now) {
                let word = HoldBack { users, of: None };
                shard.trackers.iter_mut().for_each(|it| it.hold_back(word.clone(), now));
            }
            if shard.from > now {
                continue;
            }
            let ended: Vec<_> = shard.users.extract_if(.., |(at, _)| *at <= now).collect();
            let mut started = Vec::new();
            for (_, thread) in ended {
                started.extend(shard.trackers[thread].user_ended(now).map(|_| thread));
            }
            for (thread, tracker) in shard.trackers.iter_mut().enumerate() {
                started.extend(std::iter::from_fn(|| tracker.due(now)).map(|_| thread));
            }
            for thread in started {
                self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let session = self.session + (self.random >> 33) % self.session_more;
                self.shards[index].users.push((now + session * 1_000, thread));
            }
        }
    }

    fn alive(&self) -> u64 {
        self.shards.iter().map(|it| it.users.len() as u64).sum()
    }

    /// The most that were alive at once.
    fn run(&mut self, until: Micros, events: &[(Micros, Event)]) -> u64 {
        let mut most = 0;
        while self.now < until {
            let now = self.now;
            let due = events.iter().filter(|(at, _)| (now..now + STEP).contains(at));
            due.for_each(|(_, event)| self.happens(*event));
            self.step();
            most = most.max(self.alive());
        }
        most
    }
}

fn constant(users: u64, seconds: u64) -> Vec<ClosedStep> {
    vec![ClosedStep::ConstantConcurrentUsers { users, duration_us: seconds * S }]
}

/// Once the taker started its whole share while the giver's users went on: 250 of 200.
#[test]
fn a_quarter_moves_and_there_are_never_more_than_the_profile_says() {
    let events = [(40 * S, Event::Give { giver: 0, every: 4 })];
    let most = |holds_back| {
        let mut cluster = Cluster::new(constant(200, 200), 2, holds_back);
        (cluster.session, cluster.session_more) = (30_000, 1);
        cluster.latency = 300_000;
        let most = cluster.run(59 * S, &events);
        (most, cluster.run(62 * S, &[]), cluster.alive())
    };
    assert_eq!(most(false), (250, 250, 200));
    assert_eq!(most(true), (200, 200, 200));
}

/// The users that a shard holds back count as its own: who takes over from it hears of them.
#[test]
fn a_shard_that_gives_on_what_it_holds_back_says_so() {
    let owned = |from: u32| (from..SEGMENTS).step_by(2).collect::<Vec<_>>();
    let segments = |owned: &[u32]| Segments::new(SEGMENTS, owned).unwrap();
    let mut taker = Tracker::new(&constant(100, 60), segments(&owned(0)), 0, 1);
    taker.begin(5 * S, 1);
    taker.hold_back(HoldBack { users: 30, of: None }, 5 * S);
    while taker.due(6 * S).is_some() {}
    assert_eq!((taker.target(), taker.given()), (20, &[][..]));
    // It keeps half: 20 are beyond its 25, its own 20 and the 30 that it holds back are 50.
    taker.keep(segments(&(0..SEGMENTS).step_by(4).collect::<Vec<_>>()), 7 * S, 2);
    assert!(taker.next_at().is_some_and(|at| at <= 7 * S), "it looks when the moment has come");
    assert!(taker.due(7 * S).is_none());
    assert_eq!((taker.target(), taker.given()), (0, &[25][..]));
    taker.hold_back(HoldBack { users: 12, of: None }, 8 * S);
    assert_eq!((taker.target(), taker.given()), (13, &[7][..]));
    for _ in 0..7 {
        assert!(taker.user_ended(9 * S).is_none());
    }
    assert_eq!(taker.given(), [0]);
    assert!(taker.user_ended(9 * S).is_some(), "its part is full, and is kept so");
}

#[test]
fn who_is_released_starts_within_a_fifth_of_a_second() {
    let mut taker = Tracker::new(&constant(10, 60), Segments::all(), 0, 1);
    taker.begin(5 * S, 1);
    taker.hold_back(HoldBack { users: HoldBack::EVERYTHING, of: None }, 5 * S);
    assert!(taker.due(5_100_000).is_none());
    taker.hold_back(HoldBack { users: 8, of: None }, 5_500_000);
    let mut due =
        |now| std::iter::from_fn(|| taker.due(now)).map(|it| it.at_us).collect::<Vec<_>>();
    assert_eq!(due(5_699_999), [5_500_000, 5_600_000]);
    taker.hold_back(HoldBack { users: 9, of: None }, 5_700_000);
    assert!(taker.user_ended(5_700_000).is_none(), "more are held back than before");
    while taker.due(59 * S).is_some() {}
    taker.hold_back(HoldBack::default(), 61 * S);
    assert!(taker.due(61 * S).is_none(), "the profile is over");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever gives to whom, dies, or hears of it when, and whatever becomes of the load: never more
    /// than the profile says or has said (who is beyond a lower number is not replaced), and as many
    /// as it says in the end.
    #[test]
    fn surplus_and_takers_are_never_more_than_planned_and_as_many_in_the_end(
        users in 1_u64..120,
        from in 0_u64..120,
        threads in 1_u64..4,
        latency_ms in 0_u64..1_500,
        session_more in prop::sample::select(vec![100_u64, 2_000, 20_000]),
        random in any::<u64>(),
        loads in prop::collection::vec((1_u64..20, 0_u32..3_000), 0..4),
        events in prop::collection::vec((1_000_u64..40_000, 0_usize..6, 1_usize..4, 0_u32..4), 1..6),
    ) {
        let ramp =
            ClosedStep::RampConcurrentUsers { from, to: users, duration_us: 30 * S };
        let steps = [vec![ramp], constant(users, 120)].concat();
        let profile = Profile::new(&steps);
        let mut at_us = 0;
        let changes: Vec<_> = loads
            .iter()
            .map(|(after, factor)| {
                at_us += after * S;
                LoadChange { at_us, factor: *factor }
            })
            .collect();
        let load = Load::new(&changes);
        let mut cluster = Cluster::under(load.clone(), steps, threads, true);
        cluster.latency = latency_ms * 1_000;
        (cluster.session_more, cluster.random) = (session_more, random);
        let events: Vec<_> = events
            .into_iter()
            .map(|(at_ms, shard, every, kind)| {
                let event = match kind {
                    0 => Event::Die { shard },
                    _ => Event::Give { giver: shard, every },
                };
                (at_ms * 1_000, event)
            })
            .collect();
        let (mut planned, mut most) = (0, 0);
        while cluster.now < 110 * S {
            let until = cluster.now + STEP;
            cluster.run(until, &events);
            let second = cluster.now / S;
            planned = load.of(profile.target(second).unwrap(), second * S);
            most = most.max(planned);
            prop_assert!(cluster.alive() <= most, "{} of {most}", cluster.alive());
        }
        prop_assert_eq!(cluster.alive(), planned);
    }

    /// However the shard's part is divided among its processes and threads.
    #[test]
    fn processes_and_threads_hold_back_exactly_what_the_shard_does(
        owned in prop::collection::btree_set(0_u32..SEGMENTS, 1..40),
        processes in 1_usize..4,
        threads in 1_u64..4,
        users in 0_u64..9_000,
        back in 0_u64..600,
    ) {
        let owned: Vec<u32> = owned.into_iter().collect();
        let shard = Segments::new(SEGMENTS, &owned).unwrap();
        let mut sum = 0;
        for process in 0..processes {
            let own: Vec<u32> = owned.iter().copied().skip(process).step_by(processes).collect();
            let own = Segments::new(SEGMENTS, &own).unwrap();
            for thread in 0..threads {
                let mut tracker = Tracker::new(&constant(users, 9), own.clone(), thread, threads);
                let of = (processes > 1).then(|| shard.clone());
                tracker.hold_back(HoldBack { users: back, of }, 0);
                tracker.due(0);
                sum += tracker.target();
            }
        }
        prop_assert_eq!(sum, shard.closed_share(users).saturating_sub(back));
    }
}
