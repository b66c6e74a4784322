//! `poll()`: a request that goes on beside the user's other actions, at once and then at a fixed rate,
//! until it is stopped or the user ends. It begins with the session of that moment; what its checks
//! save is seen by its own next request only.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::task::AbortHandle;

use super::action::{HttpAction, Kept};
use crate::expr::Compiled;
use crate::protocol::{Action, Done, Host, User};
use crate::time::Micros;

/// Pollers that one user may have at once.
const POLLERS_MAX: usize = 100;

/// The pollers of a user, by name.
#[derive(Default)]
pub(super) struct Pollers(Vec<(Arc<str>, Running)>);

/// Dropping it stops it.
struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) enum Change {
    Start { period: Compiled, request: Rc<HttpAction> },
    Stop,
}

pub(super) struct PollAction {
    pub slot: usize,
    pub poller: Arc<str>,
    pub change: Change,
}

impl Action for PollAction {
    fn slot(&self) -> usize {
        self.slot
    }

    fn run(self: Rc<Self>, mut user: User, host: Rc<dyn Host>) -> LocalBoxFuture<'static, Done> {
        Box::pin(async move {
            let kept = Kept::of(&mut user);
            let outcome = self.apply(&kept, &user, &host);
            if let Err(message) = &outcome {
                let scenario = &user.session.scenario;
                host.note(&format!("{scenario}: poll {} failed: {message}", self.poller));
            }
            user.state = Some(kept);
            Done { user, failed: outcome.is_err(), response_time: 0, slot: self.slot }
        })
    }
}

impl PollAction {
    fn apply(&self, kept: &Kept, user: &User, host: &Rc<dyn Host>) -> Result<(), String> {
        let mut state = kept.borrow_mut();
        let pollers = &mut state.pollers.0;
        let held = pollers.iter().position(|(name, _)| *name == self.poller);
        match (&self.change, held) {
            (Change::Stop, Some(at)) => {
                pollers.remove(at);
                Ok(())
            }
            (Change::Stop, None) => Err("there is no poller of that name to stop".to_owned()),
            (Change::Start { .. }, Some(_)) => {
                Err("a poller of that name is running already".to_owned())
            }
            (Change::Start { .. }, None) if pollers.len() >= POLLERS_MAX => {
                Err(format!("the user has {POLLERS_MAX} pollers already"))
            }
            (Change::Start { period, request }, None) => {
                let mut every = Ok(0);
                host.with_eval(&mut |eval| every = period.eval_duration_us(&user.session, eval));
                let every = match every? {
                    0 => return Err("its period must be longer than 0".to_owned()),
                    every => every,
                };
                let running = spawn(Rc::clone(request), every, kept, user, host);
                pollers.push((Arc::clone(&self.poller), running));
                Ok(())
            }
        }
    }
}

fn spawn(
    request: Rc<HttpAction>,
    every: Micros,
    kept: &Kept,
    user: &User,
    host: &Rc<dyn Host>,
) -> Running {
    let (state, host) = (Rc::clone(kept), Rc::clone(host));
    let (scenario, mut session) = (user.scenario, user.session.clone());
    let task = tokio::task::spawn_local(async move {
        let mut due = host.now();
        loop {
            request.perform(&state, scenario, &mut session, &host).await;
            let now = host.now();
            // One that took longer than the period is followed at once, not by all it has missed.
            due = due.saturating_add(every).max(now);
            tokio::time::sleep(Duration::from_micros(due - now)).await;
        }
    });
    Running(task.abort_handle())
}
