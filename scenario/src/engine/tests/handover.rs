//! A shard that begins in mid-run, with segments that another one held.

use super::*;

/// A ramp of 20 users in 10 s.
fn ramp(steps: &serde_json::Value) -> serde_json::Value {
    let inject = json!({ "open": [
        { "profile": "ramp_users", "users": 20, "duration_us": 10_000_000 }] });
    simulation(steps.clone(), inject)
}

/// A shard of 360 of the 720 segments, begun 4 s after the start.
fn taken_over(
    simulation: &serde_json::Value,
    take_over: TakeOver,
) -> (Result<EndReason, Problem>, Outcome) {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(folder.path(), simulation);
    (spec.segments, spec.takes_over) = ((0..720).step_by(2).collect(), true);
    (spec.leased, spec.epoch) = (true, 2);
    let (control, orders) = mpsc::channel();
    let now = clock::boot_us();
    control.send(Control::Lease { until_boot_us: now + 60_000_000 }).unwrap();
    let start = Control::Start {
        at_boot_us: now - 4_000_000,
        clock_error_us: 0,
        take_over: Some(take_over),
    };
    control.send(start).unwrap();
    let mut outcome = Outcome::default();
    let end = run(&spec, &orders, &mut |event| outcome.take(event));
    (end, outcome)
}

#[test]
fn a_shard_that_takes_over_begins_in_mid_run_and_says_what_was_before_it() {
    let take_over = TakeOver { from_us: Some(3_900_000), ..TakeOver::default() };
    let (end, outcome) = taken_over(&ramp(&json!([dummy(1)])), take_over);
    assert_eq!(end, Ok(EndReason::Completed));
    outcome.check_frames();
    let scenarios = || outcome.frames.iter().flat_map(|frame| &frame.scenarios);
    // Every other user of 20, half a second apart: 0, 2, 4 and 6 came before 3.9 s.
    assert_eq!(scenarios().map(|it| it.before).sum::<u64>(), 4);
    assert_eq!(scenarios().map(|it| it.started).sum::<u64>(), 6);
    assert_eq!(outcome.frames[0].scenarios[0].planned, Some(20));
    assert_eq!(outcome.frames[0].second, 3);
    assert_eq!(outcome.frames.iter().map(|frame| frame.generator.dropped).sum::<u64>(), 0);
    assert_eq!(outcome.frames[0].generator.start_late_us, 0);
}

/// The users that the second population waits for had not ended when the segments changed hands. Once
/// it began as soon as nobody was left here, at a moment at which it was another shard's still.
#[test]
fn a_population_that_waits_does_not_begin_before_its_segments_have_changed_hands() {
    let mut simulation = simulation(
        json!([dummy(1)]),
        json!({ "open": [{ "profile": "at_once_users", "users": 2 }] }),
    );
    simulation["populations"][0]["children"] = json!([{
        "scenario": { "name": "then", "steps": [dummy(1)] },
        "inject": { "open": [{ "profile": "ramp_users", "users": 20, "duration_us": 1_000_000 }] },
    }]);
    let at = 7_500_000;
    let take_over =
        TakeOver { from_us: Some(at), stages: vec![None], known_us: at, ..TakeOver::default() };
    let (end, outcome) = taken_over(&simulation, take_over);
    assert_eq!(end, Ok(EndReason::Completed));
    let last = outcome.frames.last().unwrap();
    assert_eq!(last.stages[0].began_us, Some(8_000_000));
    let rows = outcome.frames.iter().flat_map(|frame| &frame.scenarios);
    let then: Vec<_> = rows.filter(|it| &*it.name == "then").collect();
    assert_eq!(then.iter().map(|it| it.started).sum::<u64>(), 10);
    assert_eq!(then.iter().map(|it| it.before).sum::<u64>(), 0);
}

/// What lies far back is missed, not caught up; and a rendez-vous that lost its users opens for
/// those who are left.
#[test]
fn a_shard_that_takes_over_late_catches_nothing_up_and_holds_nobody_for_ever() {
    let steps = json!([dummy(1), { "step": "rendez_vous", "users": 11 }, dummy(2)]);
    let take_over = TakeOver { from_us: Some(0), ..TakeOver::default() };
    let (end, outcome) = taken_over(&ramp(&steps), take_over);
    assert_eq!(end, Ok(EndReason::Completed));
    let before: u64 =
        outcome.frames.iter().flat_map(|frame| &frame.scenarios).map(|it| it.before).sum();
    let totals = outcome.totals();
    // Two seconds before the present, and what loading took.
    assert!((2..=4).contains(&before), "{before}");
    assert_eq!(totals.users_started + before, 10);
    assert_eq!(totals.users_ended, totals.users_started);
    assert_eq!(totals.requests_ok, 2 * totals.users_started);
}

/// Eight users for some seconds, each for as long as is said.
fn closed(session_ms: u64, seconds: u64) -> serde_json::Value {
    let inject = json!({ "closed": [{ "profile": "constant_concurrent_users", "users": 8,
        "duration_us": seconds * 1_000_000 }] });
    simulation(json!([dummy(session_ms)]), inject)
}

#[test]
fn who_gives_segments_away_says_how_many_of_their_users_are_still_there() {
    let folder = tempfile::tempdir().unwrap();
    let (control, orders) = mpsc::channel();
    let segments = (0..720).step_by(2).collect();
    let now = clock::boot_us();
    control.send(Control::Lease { until_boot_us: now + 60_000_000 }).unwrap();
    let at_boot_us = now + 200_000;
    control.send(Control::Start { at_boot_us, clock_error_us: 0, take_over: None }).unwrap();
    control.send(Control::Yield { to: 5, epoch: 2, segments, at_us: Some(1_000_000) }).unwrap();
    let (mut words, mut outcome) = (Vec::new(), Outcome::default());
    let spec = ShardSpec { leased: true, ..spec(folder.path(), &closed(1_700, 4)) };
    let end = run(&spec, &orders, &mut |event| match event {
        Event::Surplus(word) => words.push(word),
        event => outcome.take(event),
    });
    assert_eq!(end, Ok(EndReason::Completed));
    assert_eq!(words[0], Surplus { to: 5, users: vec![4] });
    assert_eq!(words.last(), Some(&Surplus { to: 5, users: vec![] }));
    let users = |word: &Surplus| word.users.first().copied().unwrap_or(0);
    assert!(words.is_sorted_by(|a, b| users(a) > users(b)), "{words:?}");
}

#[test]
fn who_takes_over_starts_nobody_whom_it_is_to_hold_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(folder.path(), &closed(10_000, 8));
    (spec.segments, spec.takes_over) = ((0..720).step_by(2).collect(), true);
    (spec.leased, spec.epoch, spec.max_duration_us) = (true, 2, Some(8_000_000));
    let (control, orders) = mpsc::channel();
    let now = clock::boot_us();
    control.send(Control::Lease { until_boot_us: now + 60_000_000 }).unwrap();
    let take_over = Some(TakeOver { from_us: Some(4_000_000), ..TakeOver::default() });
    let start = Control::Start { at_boot_us: now - 4_000_000, clock_error_us: 0, take_over };
    control.send(start).unwrap();
    let (mut heard, mut outcome) = (Vec::new(), Outcome::default());
    let end = run(&spec, &orders, &mut |event| match event {
        Event::HeldBack(users) => heard.push(users),
        Event::Frame(frame) => {
            let told = match frame.second {
                4 => Some(vec![3]),
                5 => Some(vec![]),
                _ => None,
            };
            let told = told.map(|users| Control::HoldBack { users, of: vec![] });
            told.into_iter().for_each(|word| control.send(word).unwrap());
            outcome.take(Event::Frame(frame));
        }
        event => outcome.take(event),
    });
    assert_eq!(end, Ok(EndReason::MaxDuration));
    assert_eq!(heard, [vec![3], vec![]]);
    let started = |frame: &Frame| frame.scenarios.iter().map(|it| it.started).sum::<u64>();
    let by_second: Vec<_> = outcome.frames.iter().map(|it| (it.second, started(it))).collect();
    // Nothing is known in the first second; then of its four one may start, then all.
    assert_eq!(by_second[..3], [(4, 0), (5, 1), (6, 3)], "{by_second:?}");
}
