//! Waits for a moment more exactly than the runtime's 1 ms wheel: one timerfd a thread.

use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use super::clock::Clock;
use crate::time::Micros;

/// The clock is asked again at least this often, whatever is due.
const WAIT_MAX: Duration = Duration::from_millis(250);

pub(super) struct Pacer {
    timer: AsyncFd<OwnedFd>,
    clock: Clock,
    /// What the timer is set to, until it has been heard.
    armed: Option<Micros>,
}

impl Pacer {
    /// # Errors
    /// When the kernel gives no timer. Must be called inside the runtime.
    pub(super) fn new(clock: Clock) -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(deprecated, reason = "its successor is unsafe; an owned descriptor stays open")]
        let timer = AsyncFd::new(fd)?;
        Ok(Self { timer, clock, armed: None })
    }

    /// Returns when `at` has come, or a little earlier; cancel safe.
    ///
    /// # Errors
    /// What the kernel says of the timer.
    pub(super) async fn wait_until(&mut self, at: Micros) -> std::io::Result<()> {
        let wait = self.clock.until(at);
        if wait.is_zero() {
            return Ok(());
        }
        // One that is set for an earlier moment will do: setting it is a system call, and a busy
        // thread comes here thousands of times a second.
        if self.armed.is_none_or(|armed| armed > at) {
            self.arm(wait.min(WAIT_MAX))?;
            let latest = u64::try_from(WAIT_MAX.as_micros()).unwrap_or(u64::MAX);
            self.armed = Some(at.min(self.clock.now().saturating_add(latest)));
        }
        // The count of expirations is not read: readiness is told at its edge, and setting the
        // timer again takes the count back.
        self.timer.readable().await?.clear_ready();
        self.armed = None;
        Ok(())
    }

    fn arm(&self, wait: Duration) -> std::io::Result<()> {
        let value = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos().max(1)),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}
