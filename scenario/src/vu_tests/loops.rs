//! Sequence, loops and `tryMax`.

use super::*;

#[test]
fn steps_run_in_order_and_a_failed_request_does_not_stop_the_user() {
    let steps = json!([act("a"), act("ko"), act("b"), { "step": "exit_here_if_failed" }, act("c")]);
    assert!(check(steps, &["a", "ko", "b"]).session.is_failed());
    check(json!([act("a"), { "step": "exit_here" }, act("b")]), &["a"]);
}

#[test]
fn repeat_counts_from_zero_and_removes_its_counter() {
    let body = json!([hook(6)]);
    let run = check(json!([repeat(json!({ "lit": 3 }), Some("x"), body)]), &["0", "1", "2"]);
    assert!(!run.session.contains("x"));
}

#[test]
fn a_counter_that_exists_is_continued_and_stays() {
    let body = json!([hook(6)]);
    let steps = json!([repeat(json!({ "lit": 8 }), Some("x"), body)]);
    let run = check_with(steps.clone(), &[("x", Value::Int(5))], &["6", "7"]);
    assert_eq!(run.session.get("x"), Some(&Value::Int(8)));
    check_with(steps, &[("x", "text".into())], &[]);
}

#[test]
fn repeat_evaluates_its_count_at_every_pass_and_strictly() {
    let steps =
        json!([repeat(json!({ "el": "#{n}" }), None, json!([act("a"), hook(8)])), act("z")]);
    let run = walk(steps, &[("n", Value::Int(1))]);
    assert_eq!(run.log.last().unwrap(), "…");
    for (function, shown) in [(4, "2"), (5, "1.5")] {
        let run = walk(
            json!([repeat(json!({ "fn": function }), None, json!([act("a")])), act("z")]),
            &[],
        );
        assert!(
            run.log[0].starts_with("note repeat: can't cast value ") && run.log[0].contains(shown)
        );
        assert_eq!(run.log[1..], ["z"]);
        assert!(!run.session.is_failed());
    }
}

#[test]
fn foreach_leaves_its_attribute_and_removes_its_counter() {
    let steps = json!([{ "step": "foreach", "seq": { "lit": ["a", "b"] }, "attribute": "x", "counter": "i",
        "body": [hook(6)] }]);
    let run = check(steps, &["a", "b"]);
    assert_eq!(run.session.get("x"), Some(&"b".into()));
    assert!(!run.session.contains("i"));
}

#[test]
fn a_loop_head_that_fails_ends_the_loop_and_fails_nobody() {
    let steps = json!([
        { "step": "foreach", "seq": { "el": "#{missing}" }, "attribute": "x", "body": [act("a")] },
        { "step": "loop", "name": "doWhile", "condition": { "el": "#{missing}" }, "exit_asap": false,
          "check_first": false, "body": [act("b")] },
    ]);
    let expected = [
        "note foreach: No attribute named 'missing' is defined",
        "b",
        "note doWhile: No attribute named 'missing' is defined",
    ];
    assert!(!check(steps, &expected).session.is_failed());
}

fn looping(name: &str, fields: serde_json::Value) -> serde_json::Value {
    let mut step = json!({ "step": "loop", "name": name, "exit_asap": false, "check_first": true });
    for (key, value) in fields.as_object().unwrap() {
        step[key] = value.clone();
    }
    step
}

#[test]
fn as_long_as_and_do_while() {
    let body = json!([act("a"), hook(8)]);
    let steps = json!([looping("asLongAs", json!({ "condition": { "fn": 7 }, "body": body }))]);
    check(steps, &["a", "a", "a"]);
    let steps = json!([looping(
        "doWhile",
        json!({ "condition": { "lit": false }, "check_first": false, "body": body })
    )]);
    check(steps, &["a"]);
}

#[test]
fn during_ends_with_its_time_and_leaves_at_the_next_exitable_action() {
    let pause = json!({ "step": "pause", "duration": { "lit": 1 } });
    // The first action after the time is over is not done, and the group is closed.
    let steps = json!([
        looping(
            "during",
            json!({ "duration": { "lit": 2 }, "exit_asap": true,
        "body": [group("g", json!([act("a"), pause, act("b")]))] })
        ),
        act("z")
    ]);
    let expected = [
        "a",
        "sleep 1000000",
        "b",
        "group g OK 1000020 20",
        "a",
        "sleep 1000000",
        "group g OK 1000010 10",
        "z",
    ];
    check(steps, &expected);
}

#[test]
fn without_exit_asap_a_pass_is_finished() {
    let pause = json!({ "step": "pause", "duration": { "lit": 2 } });
    let steps = json!([
        looping("during", json!({ "duration": { "lit": 1 }, "body": [pause, act("a")] })),
        act("z")
    ]);
    check(steps, &["sleep 2000000", "a", "z"]);
}

#[test]
fn an_endless_loop_without_waiting_lets_others_run() {
    let (program, _) = compile(&json!([looping("forever", json!({ "body": [hook(8)] }))])).unwrap();
    let mut vu = Vu::new(Session::new("s".into(), 0), 0);
    let (mut script, mut world) = (Script::default(), Shared::default());
    let mut rng = SmallRng::seed_from_u64(1);
    let eval = EvalCtx { hooks: &mut script, rng: &mut rng, unix_ms: 0 };
    let mut ctx = Ctx { now: 5, eval, world: &mut world };
    assert_eq!(vu.resume(&program, Input::Start, &mut ctx), Output::Sleep(5));
}

#[test]
fn try_max_begins_again_closes_groups_and_hands_the_last_failure_outward() {
    let body = json!([group("g", json!([act("a"), act("ko"), act("never"), hook(6)]))]);
    let run = check(
        json!([try_max(2, body), act("z")]),
        &["a", "ko", "group g KO 20 20", "a", "ko", "group g KO 20 20", "z"],
    );
    assert!(run.session.is_failed());
}

#[test]
fn a_block_that_succeeds_leaves_the_session_ok_whatever_it_was_before() {
    let run = check(
        json!([act("ko"), hook(9), try_max(1, json!([act("a"), hook(9)]))]),
        &["ko", "failed=true", "a", "failed=false"],
    );
    assert!(!run.session.is_failed());
}

#[test]
fn marking_as_failed_leaves_the_block_at_once_and_skips_plain_functions() {
    check(json!([try_max(1, json!([hook(0), hook(6), act("a")])), act("z")]), &["z"]);
    // A throw and a bad condition are failures as well.
    let bad = json!({ "step": "do_if", "condition": { "fn": 3 }, "then": [], "or_else": [] });
    let run = walk(json!([try_max(2, json!([act("a"), bad, act("never")]))]), &[]);
    let requests: Vec<_> = run.log.iter().filter(|line| !line.starts_with("note")).collect();
    assert_eq!(requests, ["a", "a"]);
}

#[test]
fn the_innermost_block_takes_the_failure_and_passes_it_on() {
    let inner = try_max(2, json!([act("ko1")]));
    let steps = json!([try_max(2, json!([act("a"), inner, act("never")])), act("z")]);
    check(steps, &["a", "ko1", "ko1", "a", "ko1", "ko1", "z"]);
}

#[test]
fn exit_here_if_failed_inside_try_max_ends_the_user_and_counts_its_groups() {
    let exit = json!({ "step": "exit_here_if_failed" });
    let steps = json!([group("g", json!([try_max(3, json!([act("ko"), exit]))])), act("never")]);
    check(steps, &["ko", "group g OK 10 10"]);
}

#[test]
fn zero_tries_and_a_count_that_throws_run_once() {
    check(json!([try_max(0, json!([act("ko")])), act("z")]), &["ko", "z"]);
    let thrown = json!({ "step": "try_max", "times": { "fn": 2 }, "body": [act("ko")] });
    check(json!([thrown, act("z")]), &["ko", "note tryMax: Error: boom", "z"]);
}
