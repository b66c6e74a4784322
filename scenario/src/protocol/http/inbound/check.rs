//! `await(d).on(checks…)`: each check is counted as a request of its own name, from the moment its
//! sequence began.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::body::text_of;
use super::{Content, Ended, Inbound, Inbox};
use crate::check::{CheckSpec, CompiledChecks, HeaderValues, ResponseView};
use crate::expr::{Compiled, EvalCtx, Expr, FnId, HookArgs, HookOutcome};
use crate::protocol::{Exchange, Host, Message, Response};
use crate::session::Session;
use crate::time::Micros;
use crate::value::Value;

/// `await(timeout).on(checks…)`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceSpec {
    pub timeout: Expr,
    pub checks: Vec<MessageCheckSpec>,
}

/// `ws.checkTextMessage(name)`, `ws.checkBinaryMessage(name)`, `sse.checkMessage(name)`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageCheckSpec {
    pub name: Expr,
    #[serde(default)]
    pub binary: bool,
    #[serde(default)]
    pub silent: bool,
    /// A message is taken only where all of these hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matching: Vec<CheckSpec>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<MessageChecksSpec>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageChecksSpec {
    /// `checkIf((message, session) => …)`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<FnId>,
    pub checks: Vec<CheckSpec>,
}

struct MessageCheck {
    name: Compiled,
    binary: bool,
    silent: bool,
    matching: CompiledChecks,
    checks: Vec<(Option<FnId>, CompiledChecks)>,
}

pub(in super::super) struct Sequence {
    timeout: Compiled,
    checks: Vec<MessageCheck>,
}

impl Sequence {
    /// # Errors
    /// What is wrong with it.
    pub(in super::super) fn compile(spec: &SequenceSpec) -> Result<Self, String> {
        let checks = spec.checks.iter().map(MessageCheck::compile).collect::<Result<_, _>>()?;
        Ok(Self { timeout: Compiled::new(&spec.timeout)?, checks })
    }

    /// # Errors
    /// As [`Self::compile`].
    pub(in super::super) fn all(specs: &[SequenceSpec]) -> Result<Vec<Self>, String> {
        specs.iter().map(Self::compile).collect()
    }
}

impl MessageCheck {
    fn compile(spec: &MessageCheckSpec) -> Result<Self, String> {
        let of = |checks: &[CheckSpec]| {
            CompiledChecks::of_message(checks)
                .map_err(|text| format!("check {}: {text}", spec.name))
        };
        let compiled =
            |group: &MessageChecksSpec| Ok::<_, String>((group.when, of(&group.checks)?));
        Ok(Self {
            name: Compiled::new(&spec.name)?,
            binary: spec.binary,
            silent: spec.silent,
            matching: of(&spec.matching)?,
            checks: spec.checks.iter().map(compiled).collect::<Result<_, _>>()?,
        })
    }

    /// Whether the check is about this message; matching may not change the session.
    fn matches(&self, message: &Inbound, session: &Session, eval: &mut EvalCtx<'_>) -> bool {
        self.is_of_kind(message)
            && self.matching.run(&View(&message.content), &mut session.clone(), eval).is_ok()
    }

    fn is_of_kind(&self, message: &Inbound) -> bool {
        self.binary == matches!(message.content, Content::Binary(_))
    }

    /// The first failure; all of them run.
    fn judge(
        &self,
        message: &Inbound,
        session: &mut Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<(), String> {
        let mut first = Ok(());
        for (when, checks) in &self.checks {
            let applies = when.map_or(Ok(true), |function| {
                holds(function, &message.content.value(), session, eval)
            });
            let outcome = match applies {
                Ok(true) => checks.run(&View(&message.content), session, eval),
                Ok(false) => Ok(()),
                Err(text) => Err(text),
            };
            first = first.and(outcome);
        }
        first
    }
}

fn holds(
    function: FnId,
    message: &Value,
    session: &Session,
    eval: &mut EvalCtx<'_>,
) -> Result<bool, String> {
    match eval.hooks.call(function, session, HookArgs::ValueAndSession(message))? {
        HookOutcome::Value(Value::Bool(applies)) => Ok(applies),
        HookOutcome::Value(other) => Err(format!("checkIf: {other} is not a boolean")),
        HookOutcome::Session(_) => Err("checkIf: a session is not a boolean".to_owned()),
    }
}

/// A message as checks see it.
struct View<'a>(&'a Content);

impl ResponseView for View<'_> {
    fn status(&self) -> Option<u16> {
        None
    }

    fn header(&self, _name: &str) -> HeaderValues<'_> {
        HeaderValues::new()
    }

    fn url(&self) -> &'static str {
        ""
    }

    fn body(&self) -> &[u8] {
        self.0.bytes()
    }

    fn text(&self) -> Cow<'_, str> {
        match self.0 {
            Content::Text(text) => Cow::Borrowed(text),
            Content::Binary(bytes) => String::from_utf8_lossy(bytes),
        }
    }

    fn response_time_ms(&self) -> u64 {
        0
    }
}

/// Timeouts and names, evaluated for the user before anything is sent.
type Texts = Vec<(Micros, Vec<String>)>;

/// What came of waiting.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Verdict {
    pub failed: bool,
    pub response_time: Micros,
}

/// The wait for all sequences of one action.
pub(in super::super) struct Awaiting<'a> {
    sequences: &'a [Sequence],
    texts: Texts,
    /// As it reads in texts: `WebSocket`.
    what: &'static str,
    host: &'a Rc<dyn Host>,
}

/// Why a check has failed.
type Missed = (Micros, String);

impl<'a> Awaiting<'a> {
    /// # Errors
    /// A name or timeout that cannot be evaluated.
    pub(in super::super) fn prepare(
        sequences: &'a [Sequence],
        what: &'static str,
        host: &'a Rc<dyn Host>,
        session: &Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<Self, String> {
        let mut texts = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            let timeout = sequence.timeout.eval_duration_us(session, eval)?;
            let each = sequence.checks.iter().map(|it| text_of(&it.name, session, eval));
            texts.push((timeout, each.collect::<Result<_, _>>()?));
        }
        Ok(Self { sequences, texts, what, host })
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Waits for one check after the other; the first failure ends it. [`Inbox::await_from_now`]
    /// must have been called before what provokes the messages.
    pub(in super::super) async fn run(
        &self,
        inbox: &Inbox,
        session: &mut Session,
        mut start: Micros,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        for (sequence, (timeout, names)) in self.sequences.iter().zip(&self.texts) {
            let deadline = tokio::time::Instant::now() + Duration::from_micros(*timeout);
            let mut last = start;
            for (check, name) in sequence.checks.iter().zip(names) {
                let id = (!check.silent).then(|| self.host.request(&session.groups, name));
                if let Some(id) = id {
                    self.host.sent(id);
                }
                let outcome = self.one(check, name, inbox, session, deadline).await;
                let (ended, failure, bytes_received) = match outcome {
                    Ok((at, failure, bytes)) => (at, failure, bytes),
                    Err((at, text)) => (at, Some(text), 0),
                };
                let time = ended.saturating_sub(start);
                if let Some(id) = id {
                    verdict.response_time += time;
                    let failure = failure.as_deref();
                    let response =
                        Response { failure, time, code: 0, bytes_sent: 0, bytes_received };
                    self.host.response(id, response);
                }
                if failure.is_some() {
                    inbox.leave();
                    // What is silent says nothing to the user either.
                    return Verdict { failed: !check.silent, ..verdict };
                }
                last = ended;
            }
            start = last;
        }
        inbox.leave();
        verdict
    }

    /// When its message came, why it fails, and how long the message is.
    async fn one(
        &self,
        check: &MessageCheck,
        name: &str,
        inbox: &Inbox,
        session: &mut Session,
        deadline: tokio::time::Instant,
    ) -> Result<(Micros, Option<String>, u64), Missed> {
        loop {
            let message = match tokio::time::timeout_at(deadline, inbox.next()).await {
                Ok(Ok(message)) => message,
                Ok(Err(ended)) => return Err((self.host.now(), self.crash(&ended))),
                Err(_) => return Err((self.host.now(), format!("Check {name} timeout"))),
            };
            let mut failure = None;
            let mut matched = false;
            self.host.with_eval(&mut |eval| {
                matched = check.matches(&message, session, eval);
                if matched {
                    failure = check.judge(&message, session, eval).err();
                }
            });
            if !matched {
                let looked_at = check.is_of_kind(&message);
                inbox.pass_over(message, looked_at);
                continue;
            }
            self.show(name, &message);
            let length = message.content.bytes().len() as u64;
            return Ok((message.at, failure, length));
        }
    }

    fn crash(&self, ended: &Ended) -> String {
        format!("{} crashed while waiting for check: {}", self.what, ended.text())
    }

    /// For people who watch.
    fn show(&self, name: &str, message: &Inbound) {
        if !self.host.observes() {
            return;
        }
        let head = format!("{} message", self.what);
        let body = message.content.bytes().to_vec().into();
        self.host.exchange(Exchange {
            name: name.to_owned(),
            sent: Message::default(),
            received: Ok(Message { head, headers: Vec::new(), body }),
            time: 0,
        });
    }
}
