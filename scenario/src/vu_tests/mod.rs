//! The virtual user machine, stepped by hand: exact transcripts of what it asks for and counts.
//! Functions are named by number: see `Script`.

mod loops;
mod steps;

use std::collections::{BTreeMap, VecDeque};
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
    counters: BTreeMap<u32, u64>,
    queue: VecDeque<Value>,
}

impl World for Shared {
    fn feed(
        &mut self,
        feeder: u32,
        count: Option<i64>,
        session: &mut Session,
        _eval: &mut EvalCtx<'_>,
    ) -> Result<(), Fault> {
        self.log.push(format!("feed {feeder} {count:?}"));
        session.set("fed", Value::Bool(true));
        if count == Some(99) {
            return Err(Fault::Crash("feeder is now empty.".to_owned()));
        }
        Ok(())
    }

    fn round_robin(&mut self, _slot: u32) -> u64 {
        self.turns += 1;
        self.turns - 1
    }

    fn counter(&mut self, slot: u32) -> Result<u64, Fault> {
        let had = self.counters.entry(slot).or_default();
        *had += 1;
        Ok(*had - 1)
    }

    fn queue_put(&mut self, _slot: u32, value: Value) -> Result<(), String> {
        self.queue.push_back(value);
        Ok(())
    }

    fn queue_poll(&mut self, _slot: u32) -> Option<Value> {
        self.queue.pop_front()
    }

    fn queue_size(&mut self, _slot: u32) -> usize {
        self.queue.len()
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
            Output::Queue { slot, until } => {
                run.log.push(format!("queue {slot} until {until}"));
                run.now = until;
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
