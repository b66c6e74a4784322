//! What servers send unasked, over a WebSocket or an event stream: kept for whoever waits for it,
//! and judged by checks with names of their own.
//!
//! The task that reads a stream never touches a session: it only puts messages here, in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;

use crate::expr::{EvalCtx, FnId, HookArgs, HookOutcome};
use crate::protocol::Host;
use crate::session::Session;
use crate::time::Micros;
use crate::value::Value;

mod check;
mod open;
mod target;

pub(super) use check::{Awaiting, Sequence, Verdict};
pub use check::{MessageCheckSpec, MessageChecksSpec, SequenceSpec};
pub(super) use open::{Asked, Opened};
pub(super) use target::{Held, Owner, Streams, Target, UserStream};

/// Evaluates something that needs the thread's script.
pub(super) fn evaluated<T>(
    host: &dyn Host,
    work: impl FnOnce(&mut EvalCtx<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let (mut work, mut outcome) = (Some(work), Err(String::new()));
    host.with_eval(&mut |eval| {
        if let Some(work) = work.take() {
            outcome = work(eval);
        }
    });
    outcome
}

/// Messages that may lie between the task that reads and the action that waits.
const QUEUE_MAX: usize = 1_000;
/// Of those; a single message may have more.
const QUEUE_BYTES_MAX: usize = 16 << 20;
/// Of the messages that a stream keeps unmatched, however many it may keep.
const UNMATCHED_BYTES_MAX: usize = 64 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text(Arc<str>),
    Binary(Bytes),
}

impl Content {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::Str(Arc::clone(text)),
            Self::Binary(bytes) => Value::Bytes(bytes.as_ref().into()),
        }
    }
}

/// A message and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inbound {
    pub at: Micros,
    pub unix_ms: i64,
    pub content: Content,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Closed(String),
    Crashed(String),
}

impl Ended {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Closed(text) | Self::Crashed(text) => text,
        }
    }
}

/// Messages in order, and what they weigh.
#[derive(Default)]
struct Messages {
    list: VecDeque<Inbound>,
    bytes: usize,
}

impl Messages {
    fn push(&mut self, message: Inbound) {
        self.bytes += message.content.bytes().len();
        self.list.push_back(message);
    }

    fn pop(&mut self) -> Option<Inbound> {
        let message = self.list.pop_front()?;
        self.bytes -= message.content.bytes().len();
        Some(message)
    }
}

#[derive(Default)]
struct State {
    awaited: bool,
    queue: Messages,
    unmatched: Messages,
    ended: Option<Ended>,
    waker: Option<Waker>,
}

/// Between the task that reads a stream and its user's actions.
pub(super) struct Inbox {
    state: RefCell<State>,
    unmatched_max: usize,
    /// Of a WebSocket: a message that a check has looked at in vain is lost.
    frames: bool,
}

impl Inbox {
    pub(super) fn new(unmatched_max: usize) -> Self {
        Self { state: RefCell::default(), unmatched_max, frames: false }
    }

    /// Of frames Gatling keeps those only that no check has looked at.
    pub(super) fn of_frames(unmatched_max: usize) -> Self {
        Self { frames: true, ..Self::new(unmatched_max) }
    }

    /// A message that the check that waits does not take.
    pub(super) fn pass_over(&self, message: Inbound, looked_at: bool) {
        if !(self.frames && looked_at) {
            self.keep_unmatched(message);
        }
    }

    /// Whether some action waits for messages now.
    pub(super) fn is_awaited(&self) -> bool {
        self.state.borrow().awaited
    }

    fn is_full(&self) -> bool {
        let queue = &self.state.borrow().queue;
        queue.list.len() >= QUEUE_MAX || queue.bytes >= QUEUE_BYTES_MAX
    }

    /// Lets the action have its turn where it has much to look at: before each message.
    pub(super) async fn room(&self) {
        while self.is_full() {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn put(&self, message: Inbound) {
        let mut state = self.state.borrow_mut();
        if state.awaited {
            state.queue.push(message);
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
            return;
        }
        drop(state);
        self.keep_unmatched(message);
    }

    /// The oldest goes when there are too many.
    pub(super) fn keep_unmatched(&self, message: Inbound) {
        if self.unmatched_max == 0 {
            return;
        }
        let unmatched = &mut self.state.borrow_mut().unmatched;
        let left = UNMATCHED_BYTES_MAX.saturating_sub(message.content.bytes().len());
        while unmatched.list.len() >= self.unmatched_max || unmatched.bytes > left {
            if unmatched.pop().is_none() {
                break;
            }
        }
        unmatched.push(message);
    }

    /// The first end is the one that counts.
    pub(super) fn end(&self, ended: Ended) {
        let mut state = self.state.borrow_mut();
        state.ended.get_or_insert(ended);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// It goes on, over another connection.
    pub(super) fn reopen(&self) {
        self.state.borrow_mut().ended = None;
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        self.state.borrow().ended.clone()
    }

    /// What is sent, or awaited anew, begins a new chapter: older messages are none of its business.
    pub(super) fn forget_unmatched(&self) {
        self.state.borrow_mut().unmatched = Messages::default();
    }

    /// From now on messages are kept for [`Self::next`], until [`Self::leave`].
    pub(super) fn await_from_now(&self) {
        self.state.borrow_mut().awaited = true;
    }

    /// Nobody waits any more.
    pub(super) fn leave(&self) {
        let mut state = self.state.borrow_mut();
        state.awaited = false;
        let rest = std::mem::take(&mut state.queue);
        drop(state);
        rest.list.into_iter().for_each(|message| self.keep_unmatched(message));
    }

    /// The next message; what came before the end still comes first. A stream that ends while it is
    /// waited for has crashed, one that ends in between is closed.
    pub(super) async fn next(&self) -> Result<Inbound, Ended> {
        let message = self.next_or_end().await;
        if let Err(Ended::Closed(text)) = &message {
            self.state.borrow_mut().ended = Some(Ended::Crashed(text.clone()));
        }
        message
    }

    async fn next_or_end(&self) -> Result<Inbound, Ended> {
        poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            if let Some(message) = state.queue.pop() {
                return Poll::Ready(Ok(message));
            }
            if let Some(ended) = &state.ended {
                return Poll::Ready(Err(ended.clone()));
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Until the stream has ended, whatever else comes.
    pub(super) async fn closed(&self) -> Ended {
        loop {
            if let Err(ended) = self.next_or_end().await {
                return ended;
            }
        }
    }

    /// `processUnmatchedMessages(f)`: the messages as pairs of time and content.
    ///
    /// # Errors
    /// What the function threw, or that it gave no session.
    pub(super) fn process(
        &self,
        function: FnId,
        session: &mut Session,
        host: &dyn Host,
    ) -> Result<Verdict, String> {
        let messages = std::mem::take(&mut self.state.borrow_mut().unmatched).list;
        let pair = |it: &Inbound| Value::list(vec![it.unix_ms.into(), it.content.value()]);
        let list = Value::list(messages.iter().map(pair).collect());
        let outcome = evaluated(host, |eval| {
            eval.hooks.call(function, session, HookArgs::ValueAndSession(&list))
        });
        match outcome? {
            HookOutcome::Session(changed) => *session = changed,
            HookOutcome::Value(value) => {
                return Err(format!("the function must return a session, it returned {value}"));
            }
        }
        Ok(Verdict::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Inbound {
        Inbound { at: 0, unix_ms: 0, content: Content::Text(text.into()) }
    }

    fn unmatched(inbox: &Inbox) -> Vec<String> {
        let state = inbox.state.borrow();
        state.unmatched.list.iter().map(|it| it.content.value().to_string()).collect()
    }

    #[tokio::test]
    async fn messages_come_in_order_and_before_the_end() {
        let inbox = Inbox::new(2);
        inbox.put(message("early"));
        inbox.await_from_now();
        for text in ["a", "b", "c"] {
            inbox.put(message(text));
        }
        inbox.end(Ended::Closed("bye".to_owned()));
        inbox.end(Ended::Crashed("later".to_owned()));
        assert_eq!(inbox.next().await, Ok(message("a")));
        inbox.leave();
        assert_eq!(unmatched(&inbox), ["b", "c"]);
        assert_eq!(inbox.closed().await, Ended::Closed("bye".to_owned()));
        assert_eq!(inbox.next().await, Err(Ended::Closed("bye".to_owned())));
        assert_eq!(inbox.ended(), Some(Ended::Crashed("bye".to_owned())));
    }

    #[test]
    fn frames_that_a_check_has_looked_at_are_lost() {
        for (inbox, kept) in [(Inbox::new(9), 2), (Inbox::of_frames(9), 1)] {
            inbox.pass_over(message("looked at"), true);
            inbox.pass_over(message("of another kind"), false);
            assert_eq!(unmatched(&inbox).len(), kept);
            inbox.forget_unmatched();
            assert_eq!(unmatched(&inbox).len(), 0);
        }
    }

    #[test]
    fn without_a_buffer_nothing_is_kept() {
        let inbox = Inbox::new(0);
        inbox.put(message("a"));
        assert_eq!(unmatched(&inbox), Vec::<String>::new());
    }
    #[tokio::test]
    async fn few_large_messages_fill_it_as_many_small_ones_do() {
        let inbox = Inbox::new(3);
        let (small, large) = (message("x"), message(&"x".repeat(QUEUE_BYTES_MAX)));
        inbox.await_from_now();
        inbox.put(small.clone());
        assert!(!inbox.is_full());
        inbox.put(large.clone());
        assert!(inbox.is_full());
        assert_eq!(inbox.next().await, Ok(small));
        assert_eq!(inbox.next().await, Ok(large.clone()));
        assert!(!inbox.is_full());
        inbox.leave();
        (0..5).for_each(|_| inbox.put(large.clone()));
        assert_eq!(inbox.state.borrow().unmatched.list.len(), 3);
        inbox.put(message(&"x".repeat(UNMATCHED_BYTES_MAX)));
        assert_eq!(inbox.state.borrow().unmatched.list.len(), 1);
    }
}
