//! The virtual user machine, stepped by hand: exact transcripts of what it asks for and counts.
//! Functions are named by number: see `Script`.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use futures::future::LocalBoxFuture;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use serde_json::json;
use serde_json::value::RawValue;

use super::*;
use crate::expr::{Expr, HookArgs, HookOutcome, Hooks};
use crate::ir::Simulation;
use crate::protocol::{Action, Bound, Done, Host, Protocol, Protocols, User};
use crate::value::Value;

/// A protocol whose actions are carried out by the test.
struct Scripted;

struct Named(Expr);

impl Protocol for Scripted {
    fn name(&self) -> &'static str {
        "t"
    }

    fn bind(&self, _config: Option<&RawValue>) -> Result<Box<dyn Bound>, String> {
        Ok(Box::new(Self))
    }
}

impl Bound for Scripted {
    fn action(&self, name: &Expr, _spec: &RawValue) -> Result<Rc<dyn Action>, String> {
        Ok(Rc::new(Named(name.clone())))
    }
}

impl Action for Named {
    fn slot(&self) -> usize {
        0
    }

    fn run(self: Rc<Self>, user: User, _host: Rc<dyn Host>) -> LocalBoxFuture<'static, Done> {
        let _ = &self.0;
        Box::pin(async move { Done { user, failed: false, response_time: 0, slot: 0 } })
    }
}

/// 0: marks as failed. 1: marks as succeeded. 2: throws. 3: gives 1. 4: gives "2". 5: gives 1.5.
/// 6: logs the attribute `x`, or `exec`. 7: whether `n` is below 3. 8: adds 1 to `n`.
/// 9: logs whether the session has failed.
#[derive(Default)]
struct Script {
    log: Vec<String>,
}

impl Hooks for Script {
    fn call(
        &mut self,
        function: FnId,
        session: &Session,
        _args: HookArgs<'_>,
    ) -> Result<HookOutcome, String> {
        let mut session = session.clone();
        let n = match session.get("n") {
            Some(Value::Int(n)) => *n,
            _ => 0,
        };
        match function {
            0 => session.mark_as_failed(),
            1 => session.mark_as_succeeded(),
            2 => return Err("Error: boom".to_owned()),
            3 => return Ok(HookOutcome::Value(Value::Int(1))),
            4 => return Ok(HookOutcome::Value("2".into())),
            5 => return Ok(HookOutcome::Value(Value::Double(1.5))),
            6 => {
                let shown = session.get("x").map_or_else(|| "exec".to_owned(), Value::to_string);
                self.log.push(shown);
            }
            7 => return Ok(HookOutcome::Value(Value::Bool(n < 3))),
            8 => session.set("n", Value::Int(n + 1)),
            _ => self.log.push(format!("failed={}", session.is_failed())),
        }
        Ok(HookOutcome::Session(session))
    }
}

#[derive(Default)]
struct Shared {
    log: Vec<String>,
    turns: u64,
}

impl World for Shared {
    fn feed(
        &mut self,
        feeder: u32,
        count: Option<i64>,
        session: &mut Session,
        _eval: &mut EvalCtx<'_>,
    ) -> Result<(), String> {
        self.log.push(format!("feed {feeder} {count:?}"));
        session.set("fed", Value::Bool(true));
        if count == Some(99) { Err("feeder is now empty.".to_owned()) } else { Ok(()) }
    }

    fn round_robin(&mut self, _slot: u32) -> u64 {
        self.turns += 1;
        self.turns - 1
    }

    fn group_left(&mut self, path: &[Arc<str>], ok: bool, duration: Micros, cumulated: Micros) {
        let verdict = if ok { "OK" } else { "KO" };
        self.log.push(format!("group {} {verdict} {duration} {cumulated}", path.join("/")));
    }

    fn sent(&mut self, _groups: &[Arc<str>], _name: &str) {}

    fn response(&mut self, _groups: &[Arc<str>], name: &str, time: Micros, failure: Option<&str>) {
        self.log.push(format!("dummy {name} {time} {}", failure.unwrap_or("OK")));
    }

    fn unbuilt(&mut self, _groups: &[Arc<str>], name: &str, message: &str) {
        self.log.push(format!("unbuilt {name}: {message}"));
    }

    fn note(&mut self, line: &str) {
        self.log.push(format!("note {line}"));
    }
}

/// One user, stepped through its steps. Requests take 10 us; those whose name begins with `ko`
/// fail. Sleeping is done by moving the clock.
struct Run {
    now: Micros,
    script: Script,
    world: Shared,
    log: Vec<String>,
    session: Session,
}

const STEPS_MAX: u32 = 200;

fn compile(steps: &serde_json::Value) -> Result<(Program, Simulation), String> {
    let graph = json!({
        "version": 1, "name": "x", "functions": 10,
        "feeders": [{ "source": { "records": [{ "a": 1 }] } }],
        "populations": [{ "scenario": { "name": "s", "steps": steps },
            "inject": { "open": [{ "profile": "at_once_users", "users": 1 }] } }],
    });
    let simulation: Simulation =
        serde_json::from_str(&graph.to_string()).map_err(|it| it.to_string())?;
    let protocols = Protocols::of(vec![Box::new(Scripted)]);
    let program = Program::compile(&simulation, protocols).map_err(|it| it.to_string())?;
    Ok((program, simulation))
}

/// The names of the actions in the order of the program.
fn names(steps: &serde_json::Value, out: &mut Vec<String>) {
    match steps {
        serde_json::Value::Array(items) => items.iter().for_each(|item| names(item, out)),
        serde_json::Value::Object(fields) => {
            if fields.get("step").is_some_and(|it| it == "action") {
                out.push(fields["name"]["lit"].as_str().unwrap().to_owned());
            }
            for key in ["then", "body", "cases", "or_else"] {
                if let Some(inner) = fields.get(key) {
                    names(inner, out);
                }
            }
        }
        _ => {}
    }
}

fn walk(steps: serde_json::Value, attributes: &[(&str, Value)]) -> Run {
    let (program, _) = compile(&steps).unwrap();
    let mut actions = Vec::new();
    names(&steps, &mut actions);
    let mut session = Session::new("s".into(), 0);
    for (name, value) in attributes {
        session.set(*name, value.clone());
    }
    let mut run = Run {
        now: 0,
        script: Script::default(),
        world: Shared::default(),
        log: Vec::new(),
        session: session.clone(),
    };
    let mut vu = Vu::new(session, 0);
    let mut rng = SmallRng::seed_from_u64(1);
    let mut input = Input::Start;
    for _ in 0..STEPS_MAX {
        let eval = EvalCtx { hooks: &mut run.script, rng: &mut rng, unix_ms: 0 };
        let mut ctx = Ctx { now: run.now, eval, world: &mut run.world };
        let output = vu.resume(&program, input, &mut ctx);
        run.log.append(&mut run.world.log);
        run.log.append(&mut run.script.log);
        input = Input::Woke;
        match output {
            Output::Sleep(at) => {
                if at > run.now {
                    run.log.push(format!("sleep {}", at - run.now));
                }
                run.now = at.max(run.now + 1);
            }
            Output::Act(action) => {
                let name = &actions[action as usize];
                run.log.push(name.clone());
                run.now += 10;
                let failed = name.starts_with("ko");
                let session = vu.session.clone();
                input = Input::Done(ActionDone { session, failed, response_time: 10 });
            }
            Output::RendezVous(slot) => run.log.push(format!("rendez-vous {slot}")),
            other => {
                if other != Output::Ended {
                    run.log.push(format!("{other:?}"));
                }
                run.session = vu.session;
                return run;
            }
        }
    }
    run.log.push("…".to_owned());
    run.session = vu.session;
    run
}

fn check(steps: serde_json::Value, expected: &[&str]) -> Run {
    check_with(steps, &[], expected)
}

fn check_with(steps: serde_json::Value, attributes: &[(&str, Value)], expected: &[&str]) -> Run {
    let run = walk(steps, attributes);
    assert_eq!(run.log, expected);
    run
}

fn act(name: &str) -> serde_json::Value {
    json!({ "step": "action", "protocol": "t", "name": { "lit": name }, "spec": {} })
}

fn hook(function: u32) -> serde_json::Value {
    json!({ "step": "hook", "function": function })
}

fn repeat(
    times: serde_json::Value,
    counter: Option<&str>,
    body: serde_json::Value,
) -> serde_json::Value {
    let mut step = json!({ "step": "repeat", "times": times, "body": body });
    if let Some(counter) = counter {
        step["counter"] = json!(counter);
    }
    step
}

fn group(name: &str, body: serde_json::Value) -> serde_json::Value {
    json!({ "step": "group", "name": { "lit": name }, "body": body })
}

fn try_max(times: i64, body: serde_json::Value) -> serde_json::Value {
    json!({ "step": "try_max", "times": { "lit": times }, "body": body })
}

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
    let steps =
        json!([looping("asLongAs", json!({ "condition": { "fn": 7 }, "body": body.clone() }))]);
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
        "body": [group("g", json!([act("a"), pause, act("b"), hook(6)]))] })
        ),
        act("z")
    ]);
    let expected = [
        "a",
        "sleep 1000000",
        "b",
        "exec",
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
