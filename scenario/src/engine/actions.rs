//! The actions in flight on one thread. Hot path.
//!
//! They are polled by the thread's own loop, in the order in which they are woken, and not as tasks
//! of the runtime: a response costs one wake, and the user's next request leaves in the same turn.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::future::LocalBoxFuture;
use tokio::task::unconstrained;

use super::shared::Shared;
use crate::protocol::Done;

/// Keys of users whose action can go on; wakers may come from any thread.
struct Woken {
    keys: Mutex<Vec<u32>>,
    shared: Arc<Shared>,
    thread: usize,
}

/// Wakes one user's action; made once per key, whoever has it.
struct KeyWaker {
    key: u32,
    woken: Arc<Woken>,
}

impl Wake for KeyWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut keys = self.woken.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.push(self.key);
        // More than one need not be told: the thread takes all of them at once.
        if keys.len() == 1 {
            self.woken.shared.waker(self.woken.thread).notify_one();
        }
    }
}

#[derive(Default)]
struct Slot {
    action: Option<LocalBoxFuture<'static, Done>>,
    waker: Option<Waker>,
}

/// Actions by the keys of their users.
pub(super) struct Actions {
    slots: Vec<Slot>,
    woken: Arc<Woken>,
    ready: VecDeque<u32>,
    /// Swapped with the woken ones, so that neither allocates.
    spare: Vec<u32>,
}

impl Actions {
    pub(super) fn new(shared: Arc<Shared>, thread: usize) -> Self {
        let woken = Arc::new(Woken { keys: Mutex::default(), shared, thread });
        Self { slots: Vec::new(), woken, ready: VecDeque::new(), spare: Vec::new() }
    }

    /// Polled for the first time when its turn comes.
    pub(super) fn start(&mut self, key: u32, action: LocalBoxFuture<'static, Done>) {
        let at = key as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, Slot::default);
        }
        self.slots[at].action = Some(action);
        self.ready.push_back(key);
    }

    /// Takes in who has been woken since the last call.
    pub(super) fn collect(&mut self) {
        let mut keys = self.woken.keys.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *keys, &mut self.spare);
        drop(keys);
        self.ready.extend(self.spare.drain(..));
    }

    /// An action has begun, or was woken, and has not had its turn.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Polls one action that can go on; none when there is none left.
    pub(super) fn poll_one(&mut self) -> Option<(u32, Poll<Done>)> {
        let key = self.ready.pop_front()?;
        // A waker of an action that is over wakes nobody.
        let Some(slot) = self.slots.get_mut(key as usize) else {
            return Some((key, Poll::Pending));
        };
        let Some(action) = &mut slot.action else { return Some((key, Poll::Pending)) };
        let woken = &self.woken;
        let waker = slot.waker.get_or_insert_with(|| {
            Waker::from(Arc::new(KeyWaker { key, woken: Arc::clone(woken) }))
        });
        // The runtime's budget is for a task; this is one of thousands in a turn.
        let polled = Pin::new(&mut unconstrained(action)).poll(&mut Context::from_waker(waker));
        if polled.is_ready() {
            slot.action = None;
        }
        Some((key, polled))
    }
}
