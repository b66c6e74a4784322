//! Groups, conditions, switches, waiting, dummies, the end of a run.

use std::collections::BTreeMap;

use super::*;

#[test]
fn groups_have_a_status_of_their_own() {
    let steps = json!([
        act("ko"),
        group("clean", json!([act("a")])),
        group("bad", json!([act("ko"), hook(1)])),
        group("outer", json!([group("inner", json!([act("b")])), act("c")])),
    ]);
    let expected = [
        "ko",
        "a",
        "group clean OK 10 10",
        "ko",
        "group bad KO 10 10",
        "b",
        "group outer/inner OK 10 10",
        "c",
        "group outer OK 20 20",
    ];
    check(steps, &expected);
}

#[test]
fn a_group_whose_name_cannot_be_resolved_runs_under_a_made_up_one() {
    let steps = json!([{ "step": "group", "name": { "el": "#{missing}" }, "body": [act("a")] }]);
    let run = walk(steps, &[]);
    assert_eq!(run.log[2], "group groupStart-0 (name resolution failure) OK 10 10");
    assert!(!run.session.is_failed());
}

#[test]
fn conditions_are_strict_about_functions_and_lenient_about_text() {
    let branch = |condition: serde_json::Value| json!([{ "step": "do_if", "condition": condition, "then": [act("t")], "or_else": [act("e")] }]);
    check(branch(json!({ "lit": true })), &["t"]);
    check(branch(json!({ "lit": false })), &["e"]);
    check_with(branch(json!({ "el": "#{v}" })), &[("v", "true".into())], &["t"]);
    for condition in [json!({ "fn": 3 }), json!({ "fn": 2 }), json!({ "el": "#{missing}" })] {
        let run = walk(branch(condition), &[]);
        assert_eq!(run.log.len(), 1, "{:?}", run.log);
        assert!(run.session.is_failed());
    }
}

#[test]
fn equality_does_not_mix_text_and_numbers() {
    let branch = |value: serde_json::Value| {
        json!([{ "step": "do_if_equals", "actual": { "lit": value }, "expected": { "lit": 1 },
            "then": [act("t")], "or_else": [act("e")] }])
    };
    check(branch(json!(1.0)), &["t"]);
    check(branch(json!("1")), &["e"]);
    let switch = |value: serde_json::Value| {
        json!([{ "step": "do_switch", "value": { "lit": value }, "or_else": [act("else")], "cases": [
            { "key": { "lit": "1" }, "then": [act("text")] },
            { "key": { "lit": 1 }, "then": [act("number")] }] }])
    };
    check(switch(json!(1)), &["number"]);
    check(switch(json!("1")), &["text"]);
    check(switch(json!(null)), &["else"]);
}

#[test]
fn switches_take_their_shares() {
    let random = json!({ "step": "random_switch", "or_else": [act("e")], "cases": [
        { "percent": 60.0, "then": [act("a")] }, { "percent": 30.0, "then": [act("b")] }] });
    let run = walk(json!([repeat(json!({ "lit": 190 }), None, json!([random]))]), &[]);
    let mut counts = BTreeMap::new();
    for name in &run.log {
        *counts.entry(name.as_str()).or_insert(0) += 1;
    }
    assert!(counts["a"] > counts["b"] && counts["b"] > counts["e"], "{counts:?}");
    let round =
        json!({ "step": "round_robin_switch", "cases": [[act("x")], [act("y")], [act("z")]] });
    check(json!([repeat(json!({ "lit": 4 }), None, json!([round]))]), &["x", "y", "z", "x"]);
}

#[test]
fn what_cannot_be_right_is_refused_before_the_run() {
    for (step, text) in [
        (
            json!({ "step": "random_switch", "or_else": [], "cases": [
            { "percent": 60, "then": [] }, { "percent": 60, "then": [] }] }),
            "scenario s: Weights sum 120.0 mustn't be bigger than 100%",
        ),
        (json!({ "step": "rendez_vous", "users": 0 }), "scenario s: rendezVous(0) would wait"),
        (json!({ "step": "feed", "feeder": 3 }), "scenario s: feeder 3 is not one of"),
        (json!({ "step": "hook", "function": 99 }), "scenario s: function 99 is not one of"),
        (
            json!({ "step": "uniform_random_switch", "cases": [[]] }),
            "scenario s: uniformRandomSwitch",
        ),
        (json!({ "step": "pause", "duration": { "el": "#{" } }), "scenario s: Failed to parse"),
        (
            json!({ "step": "action", "protocol": "ws", "name": { "lit": "x" }, "spec": {} }),
            "scenario s: protocol ws is not known",
        ),
        (json!({ "step": "teleport" }), "unknown variant `teleport`"),
    ] {
        let error = compile(&json!([step])).err().unwrap();
        assert!(error.starts_with(text), "{error}");
    }
}

#[test]
fn pauses_last_and_failing_ones_are_skipped() {
    let pause = |duration: serde_json::Value| json!({ "step": "pause", "duration": duration });
    let steps = json!([
        pause(json!({ "lit": 0.5 })),
        pause(json!({ "el": "#{p}" })),
        pause(json!({ "lit": { "amount": 2, "unit": "minutes" } })),
        pause(json!({ "lit": 0 })),
        { "step": "pause", "duration": { "lit": 3 }, "kind": { "type": "disabled" } },
        act("a"),
    ]);
    let expected = ["sleep 500000", "sleep 2000000", "sleep 120000000", "a"];
    check_with(steps, &[("p", "2".into())], &expected);
    let run = walk(json!([pause(json!({ "el": "#{missing}" })), act("a")]), &[]);
    assert_eq!(run.log[1..], ["a"]);
    assert!(run.session.is_failed());
}

#[test]
fn pace_holds_the_interval_and_does_not_catch_up() {
    let pace = json!({ "step": "pace", "duration": { "lit": 1 } });
    let slow = json!({ "step": "pause", "duration": { "lit": 3 } });
    let steps = json!([repeat(
        json!({ "lit": 3 }),
        Some("x"),
        json!([pace, act("a"), {
        "step": "do_if_equals", "actual": { "el": "#{x}" }, "expected": { "lit": 1 },
        "then": [slow], "or_else": [] }])
    )]);
    check(steps, &["a", "sleep 999990", "a", "sleep 3000000", "a"]);
}

#[test]
fn feeding_failing_and_crashing() {
    let feed = |count: serde_json::Value| json!({ "step": "feed", "feeder": 0, "count": count });
    let steps = json!([{ "step": "feed", "feeder": 0 }, feed(json!({ "lit": 2 })), act("a")]);
    check(steps, &["feed 0 None", "feed 0 Some(2)", "a"]);
    let run = walk(json!([feed(json!({ "el": "#{missing}" })), act("a")]), &[]);
    assert!(run.session.is_failed() && run.log.last().unwrap() == "a");
    check(
        json!([feed(json!({ "lit": 99 })), act("never")]),
        &["feed 0 Some(99)", "Crash(\"feeder is now empty.\")"],
    );
}

#[test]
fn dummies_take_their_time_and_are_counted() {
    let dummy = |extra: serde_json::Value| {
        let mut step =
            json!({ "step": "dummy", "name": { "lit": "d" }, "response_time_ms": { "lit": 5 } });
        for (key, value) in extra.as_object().unwrap() {
            step[key] = value.clone();
        }
        step
    };
    let steps = json!([group(
        "g",
        json!([
            dummy(json!({ "session_update": 8 })),
            dummy(json!({ "success": { "lit": false } })),
            hook(9)
        ])
    )]);
    let run = check(
        steps,
        &[
            "sleep 5000",
            "dummy d 5000 OK",
            "sleep 5000",
            "dummy d 5000 Dummy error",
            "group g KO 10000 10000",
            "failed=true",
        ],
    );
    assert_eq!(run.session.get("n"), Some(&Value::Int(1)));
    let nameless = dummy(json!({ "name": { "el": "#{missing}" } }));
    assert!(check(json!([nameless]), &[]).session.is_failed());
    let timeless = dummy(json!({ "response_time_ms": { "el": "#{missing}" } }));
    check(json!([timeless]), &["unbuilt d: No attribute named 'missing' is defined"]);
}

#[test]
fn stopping_and_crashing_under_a_condition() {
    let stop = |condition: bool| {
        json!({ "step": "stop_load_generator", "message": { "el": "bye #{x}" },
        "condition": { "lit": condition } })
    };
    check_with(
        json!([stop(false), act("a"), stop(true), act("never")]),
        &[("x", "you".into())],
        &["a", "Stop(\"bye you\")"],
    );
    let crash = json!({ "step": "crash_load_generator", "message": { "lit": "no" } });
    check(json!([crash]), &["Crash(\"Run crashed from code using crashLoadGenerator: no\")"]);
}

#[test]
fn functions_that_throw_or_return_nothing_fail_the_session() {
    let run = check(
        json!([hook(2), hook(9), hook(3)]),
        &[
            "note s: exec(fn) failed: Error: boom",
            "note s: exec(fn) failed: a session must be returned, got a integer",
            "failed=true",
        ],
    );
    assert!(run.session.is_failed());
    let set = json!({ "step": "set_in_session", "value": { "el": "#{x}!" }, "attribute": "y" });
    let run = check_with(
        json!([set, { "step": "rendez_vous", "users": 2 }]),
        &[("x", "v".into())],
        &["rendez-vous 0"],
    );
    assert_eq!(run.session.get("y"), Some(&"v!".into()));
}

#[test]
fn counters_count_for_all_or_for_each_and_crash_at_their_end() {
    let shared = json!({ "step": "counter", "counter": 0, "key": "x", "start": { "lit": 3 },
        "increment": { "lit": 2 }, "up_to": { "lit": 7 } });
    let mut own = shared.clone();
    own["counter"] = json!(1);
    own["per_user"] = json!(true);
    own["wrap_around"] = json!(true);
    let exhausted = "Counter 'x' has exhausted its 2 values, either widen its range with upTo or \
        make it wrapAround";
    check(
        json!([own, hook(6), own, hook(6), own, hook(6), shared, hook(6), shared, hook(6), shared]),
        &["3", "5", "3", "3", "5", &format!("Crash({exhausted:?})")],
    );
    let mut open = shared;
    open["start"] = json!({ "el": "#{x}" });
    let refused = compile(&json!([open])).err().unwrap();
    assert!(refused.contains("expressions need perUser()"), "{refused}");
}

#[test]
fn queues_hand_over_in_order_and_taking_from_an_empty_one_waits() {
    let queue = |action: serde_json::Value| json!({ "step": "shared_queue", "queue": 0, "name": "q", "action": action });
    check(
        json!([
            queue(json!({ "put": { "lit": "a" } })),
            queue(json!({ "put": { "lit": "b" } })),
            queue(json!({ "size": { "key": "x" } })),
            hook(6),
            queue(json!({ "take": { "key": "x" } })),
            hook(6),
            queue(json!({ "poll": { "key": "x" } })),
            hook(6),
            queue(json!({ "poll": { "key": "x" } })),
            hook(6),
            hook(9),
            hook(1),
            queue(json!({ "take": { "key": "x", "timeout_us": 50 } })),
            hook(9),
        ]),
        &[
            "note s: sharedQueue.poll failed: queue q is empty",
            "2",
            "a",
            "b",
            "b",
            "failed=true",
            "queue 0 until 50",
            "note s: sharedQueue.take failed: queue q is empty",
            "failed=true",
        ],
    );
}
