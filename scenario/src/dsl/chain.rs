//! What a virtual user does, step by step. <https://docs.gatling.io/concepts/scenario/>

use super::simulation::FeederRef;
use super::value::IntoExpr;
use crate::step::{
    DoIf, DoIfEquals, DoSwitch, Dummy, ExitHereIf, Feed, Foreach, Group, Loop, Pace, Pause,
    RandomSwitch, RendezVous, Repeat, RoundRobinSwitch, SetInSession, Step, StopLoadGenerator,
    SwitchCase, TryMax, UniformRandomSwitch, WeightedCase,
};

/// Steps, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    pub(super) steps: Vec<Step>,
}

/// Begins a chain.
#[must_use]
pub fn chain() -> Chain {
    Chain::default()
}

impl Chain {
    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// A request, or another chain.
    #[must_use]
    pub fn exec(mut self, next: impl Into<Self>) -> Self {
        self.steps.extend(next.into().steps);
        self
    }

    #[must_use]
    pub fn feed(self, feeder: FeederRef) -> Self {
        self.step(Step::Feed(Feed { feeder: feeder.0, count: None }))
    }

    /// Puts lists of `count` values into the session.
    #[must_use]
    pub fn feed_several(self, feeder: FeederRef, count: impl IntoExpr) -> Self {
        self.step(Step::Feed(Feed { feeder: feeder.0, count: Some(count.into_expr()) }))
    }

    #[must_use]
    pub fn pause(self, duration: impl IntoExpr) -> Self {
        let duration = duration.into_expr();
        self.step(Step::Pause(Pause { duration, max: None, kind: None }))
    }

    /// A pause drawn between two durations.
    #[must_use]
    pub fn pause_between(self, min: impl IntoExpr, max: impl IntoExpr) -> Self {
        let (duration, max) = (min.into_expr(), Some(max.into_expr()));
        self.step(Step::Pause(Pause { duration, max, kind: None }))
    }

    #[must_use]
    pub fn pace(self, duration: impl IntoExpr) -> Self {
        let duration = duration.into_expr();
        self.step(Step::Pace(Pace { duration, max: None, counter: None }))
    }

    #[must_use]
    pub fn rendez_vous(self, users: u32) -> Self {
        self.step(Step::RendezVous(RendezVous { users }))
    }

    #[must_use]
    pub fn set_in_session(self, attribute: &str, value: impl IntoExpr) -> Self {
        let (attribute, value) = (attribute.to_owned(), value.into_expr());
        self.step(Step::SetInSession(SetInSession { value, attribute }))
    }

    #[must_use]
    pub fn group(self, name: impl IntoExpr, body: Self) -> Self {
        self.step(Step::Group(Group { name: name.into_expr(), body: body.steps }))
    }

    #[must_use]
    pub fn repeat(self, times: impl IntoExpr, body: Self) -> Self {
        let times = times.into_expr();
        self.step(Step::Repeat(Repeat { times, counter: None, body: body.steps }))
    }

    /// The pass, from 0, is in the attribute `counter`.
    #[must_use]
    pub fn repeat_counted(self, times: impl IntoExpr, counter: &str, body: Self) -> Self {
        let (times, counter) = (times.into_expr(), Some(counter.to_owned()));
        self.step(Step::Repeat(Repeat { times, counter, body: body.steps }))
    }

    /// `seq` is an expression that gives a list.
    #[must_use]
    pub fn foreach(self, seq: impl IntoExpr, attribute: &str, body: Self) -> Self {
        let (seq, attribute) = (seq.into_expr(), attribute.to_owned());
        self.step(Step::Foreach(Foreach { seq, attribute, counter: None, body: body.steps }))
    }

    fn looping(self, step: Loop) -> Self {
        self.step(Step::Loop(step))
    }

    #[must_use]
    pub fn during(self, duration: impl IntoExpr, body: Self) -> Self {
        let duration = Some(duration.into_expr());
        self.looping(Loop { duration, exit_asap: true, ..plain_loop("during", body) })
    }

    #[must_use]
    pub fn forever(self, body: Self) -> Self {
        self.looping(plain_loop("forever", body))
    }

    #[must_use]
    #[expect(clippy::wrong_self_convention, reason = "the name in Gatling's SDK")]
    pub fn as_long_as(self, condition: impl IntoExpr, body: Self) -> Self {
        let condition = Some(condition.into_expr());
        self.looping(Loop { condition, ..plain_loop("asLongAs", body) })
    }

    #[must_use]
    pub fn do_while(self, condition: impl IntoExpr, body: Self) -> Self {
        let condition = Some(condition.into_expr());
        self.looping(Loop { condition, check_first: false, ..plain_loop("doWhile", body) })
    }

    #[must_use]
    pub fn do_if(self, condition: impl IntoExpr, then: Self) -> Self {
        self.do_if_or_else(condition, then, Self::default())
    }

    #[must_use]
    pub fn do_if_or_else(self, condition: impl IntoExpr, then: Self, or_else: Self) -> Self {
        let (condition, then, or_else) = (condition.into_expr(), then.steps, or_else.steps);
        self.step(Step::DoIf(DoIf { condition, then, or_else }))
    }

    #[must_use]
    pub fn do_if_equals(self, actual: impl IntoExpr, expected: impl IntoExpr, then: Self) -> Self {
        let (actual, expected) = (actual.into_expr(), expected.into_expr());
        let (then, or_else) = (then.steps, Vec::new());
        self.step(Step::DoIfEquals(DoIfEquals { actual, expected, then, or_else }))
    }

    #[must_use]
    pub fn do_switch<K: IntoExpr>(
        self,
        value: impl IntoExpr,
        cases: impl IntoIterator<Item = (K, Self)>,
    ) -> Self {
        let case = |(key, then): (K, Self)| SwitchCase { key: key.into_expr(), then: then.steps };
        let cases = cases.into_iter().map(case).collect();
        let (value, or_else) = (value.into_expr(), Vec::new());
        self.step(Step::DoSwitch(DoSwitch { value, cases, or_else }))
    }

    /// Percentages with what is done in so many cases; the rest does nothing.
    #[must_use]
    pub fn random_switch(self, cases: impl IntoIterator<Item = (f64, Self)>) -> Self {
        let case = |(percent, then): (f64, Self)| WeightedCase { percent, then: then.steps };
        let cases = cases.into_iter().map(case).collect();
        self.step(Step::RandomSwitch(RandomSwitch { cases, or_else: Vec::new() }))
    }

    #[must_use]
    pub fn uniform_random_switch(self, cases: impl IntoIterator<Item = Self>) -> Self {
        let cases = cases.into_iter().map(|case| case.steps).collect();
        self.step(Step::UniformRandomSwitch(UniformRandomSwitch { cases }))
    }

    #[must_use]
    pub fn round_robin_switch(self, cases: impl IntoIterator<Item = Self>) -> Self {
        let cases = cases.into_iter().map(|case| case.steps).collect();
        self.step(Step::RoundRobinSwitch(RoundRobinSwitch { cases }))
    }

    #[must_use]
    pub fn try_max(self, times: impl IntoExpr, body: Self) -> Self {
        let times = times.into_expr();
        self.step(Step::TryMax(TryMax { times, counter: None, body: body.steps }))
    }

    #[must_use]
    pub fn exit_block_on_fail(self, body: Self) -> Self {
        self.try_max(1, body)
    }

    #[must_use]
    pub fn exit_here_if_failed(self) -> Self {
        self.step(Step::ExitHereIfFailed)
    }

    #[must_use]
    pub fn exit_here_if(self, condition: impl IntoExpr) -> Self {
        self.step(Step::ExitHereIf(ExitHereIf { condition: condition.into_expr() }))
    }

    #[must_use]
    pub fn exit_here(self) -> Self {
        self.step(Step::ExitHere)
    }

    #[must_use]
    pub fn stop_load_generator(self, message: impl IntoExpr) -> Self {
        let message = message.into_expr();
        self.step(Step::StopLoadGenerator(StopLoadGenerator { message, condition: None }))
    }

    /// A request that only takes time.
    #[must_use]
    pub fn dummy(self, name: impl IntoExpr, response_time_ms: impl IntoExpr) -> Self {
        let (name, response_time_ms) = (name.into_expr(), response_time_ms.into_expr());
        self.step(Step::Dummy(Dummy {
            name,
            response_time_ms,
            success: None,
            session_update: None,
        }))
    }
}

fn plain_loop(name: &str, body: Chain) -> Loop {
    Loop {
        name: name.to_owned(),
        condition: None,
        duration: None,
        counter: None,
        exit_asap: false,
        check_first: true,
        body: body.steps,
    }
}

impl From<Step> for Chain {
    fn from(step: Step) -> Self {
        Self { steps: vec![step] }
    }
}
