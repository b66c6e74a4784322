//! Random histories: no panic, the same everywhere, nothing goes back.

use proptest::prelude::*;

use super::*;

fn any_command() -> impl Strategy<Value = Command> {
    let id = || prop_oneof![Just("j0"), Just("j1"), Just("j2")];
    let seq = 0_u64..6;
    let moves = (0_u32..3, 0_u64..3, seq.clone(), seq.clone());
    let job = prop_oneof![
        2 => id().prop_map(|id| JobCommand::Submit {
            id: id.into(),
            project: "default".into(),
            spec: spec(),
        }),
        2 => id().prop_map(prepare),
        2 => id().prop_map(start),
        1 => (id(), any::<bool>()).prop_map(|(id, failed)| JobCommand::Requeue {
            id: id.into(),
            reason: String::new(),
            failed,
        }),
        8 => (id(), proptest::collection::vec(moves, 0..3)).prop_map(|(id, moves)| {
            let step = |(shard, epoch, from, to)| step(shard, epoch, from, to);
            let cursors = moves.into_iter().map(step).collect();
            JobCommand::Ticks {
                sections: vec![TickSection { job: id.into(), cursors, payload: vec![7], reserved: vec![] }],
            }
        }),
        2 => (id(), 0_u32..3, seq.clone()).prop_map(|(id, shard, seq)| done(id, shard, seq)),
        1 => (id(), 0_u32..3).prop_map(|(id, shard)| lost(id, shard)),
        1 => id().prop_map(|id| JobCommand::Finalize { id: id.into() }),
        1 => id().prop_map(|id| finish(id, JobStatus::Finished)),
        1 => id().prop_map(|id| JobCommand::Abort { id: id.into(), reason: String::new() }),
        2 => (id(), proptest::option::of(0_u32..12_000), proptest::option::of(proptest::bool::ANY))
            .prop_map(|(id, factor, paused)| JobCommand::Load { id: id.into(), factor, paused }),
        2 => (id(), 0_u32..4, seq.clone()).prop_map(|(id, change, at_us)| JobCommand::LoadAt {
            id: id.into(),
            change,
            at_us,
        }),
        1 => (id(), seq.clone(), seq).prop_map(|(id, from, to)| JobCommand::Seal {
            id: id.into(),
            sealed: SealedTicks { from, to, content: content(5) },
        }),
    ];
    let file = prop_oneof![
        (0_u8..3).prop_map(|n| put("a.js", n, &[1])),
        (0_u8..3).prop_map(|n| put("a.js", n, &[])),
        proptest::option::of(0_u64..3).prop_map(|version| FileCommand::Delete {
            project: "default".into(),
            path: "a.js".to_owned(),
            version,
            condition: Precondition::default(),
        }),
    ];
    let member = prop_oneof![
        (0_u8..4).prop_map(|n| MemberCommand::Allocate {
            peer: format!("p{n}").into(),
            name: "n".to_owned(),
        }),
        proptest::collection::btree_set(0_u64..40, 0..3)
            .prop_map(|raft_ids| MemberCommand::Bound { raft_ids }),
        proptest::collection::btree_set(0_u64..40, 0..3)
            .prop_map(|raft_ids| MemberCommand::Standbys { raft_ids }),
        (0_u64..40).prop_map(|raft_id| MemberCommand::Remove { raft_id }),
        Just(MemberCommand::Open),
        Just(MemberCommand::Dissolve { into: "c0".into() }),
    ];
    prop_oneof![
        8 => job.prop_map(Command::Job),
        2 => file.prop_map(Command::File),
        1 => member.prop_map(Command::Member),
    ]
}

fn any_key() -> impl Strategy<Value = Option<&'static str>> {
    proptest::option::of(prop_oneof![Just("k0"), Just("k1"), Just("k2")])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No history panics; two ledgers that apply it agree, also when one of them was restored
    /// from a snapshot in the middle; cursors never go back; a refusal changes nothing, nor does the
    /// second try of a request with a key.
    #[test]
    fn histories_are_deterministic(
        commands in proptest::collection::vec((any_command(), any_key()), 1..60),
        cut in 0_usize..60,
    ) {
        let (mut a, mut b) = (Log::open(), Log::open());
        a.put("a.js", 1).unwrap();
        b.put("a.js", 1).unwrap();
        for (n, (command, key)) in commands.into_iter().enumerate() {
            if n == cut {
                b.ledger = Ledger::from_bytes(&b.ledger.to_bytes().unwrap()).unwrap();
            }
            let before = a.ledger.clone();
            let result = a.run_keyed(key, command.clone());
            prop_assert_eq!(&result, &b.run_keyed(key, command.clone()));
            if result.is_err() {
                let mut unchanged = before.clone();
                unchanged.advance(a.index);
                prop_assert_eq!(&unchanged, &a.ledger);
            }
            if let (Some(_), Ok(outcome)) = (key, result) {
                let mut twice = Log { ledger: a.ledger.clone(), index: a.index, at: a.at };
                prop_assert_eq!(twice.run_keyed(key, command), Ok(outcome.again()));
                let mut unchanged = a.ledger.clone();
                unchanged.advance(twice.index);
                prop_assert_eq!(&unchanged, &twice.ledger);
            }
            for job in before.jobs() {
                let now = a.ledger.job(&job.id).unwrap();
                let fixed = |job: &Job| job.decided_loads().map(|(at, _)| at).collect::<Vec<_>>();
                prop_assert!(fixed(now).starts_with(&fixed(job)) && fixed(now).is_sorted());
                prop_assert!(now.last_tick >= job.last_tick && now.epoch >= job.epoch);
                for old in &job.assignments {
                    let same = |x: &&crate::ledger::job::Assignment| {
                        (x.shard, x.epoch) == (old.shard, old.epoch)
                    };
                    if let Some(new) = now.assignments.iter().find(same) {
                        prop_assert!(new.cursor >= old.cursor);
                    }
                }
            }
        }
        prop_assert_eq!(a.ledger.digest().unwrap(), b.ledger.digest().unwrap());
    }
}
