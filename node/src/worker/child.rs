//! One shard's process: started, spoken to, listened to, killed. The conversation is that of
//! [`onrush_scenario::shard`]; this file only carries it. The child is the leader of its own process
//! group, gets no environment, and asks the kernel itself to die with its parent's thread, which is
//! why it is spawned from a thread of the runtime that lives as long as the node.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use onrush_scenario::shard::pipe::{KIND_FRAME, KIND_JSON, limit_of};
use onrush_scenario::shard::{FromShard, OutputStream, ToShard};
use onrush_scenario::stats::frame::Frame;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::mpsc;

/// Messages to a child that are not written yet; one that reads none is stuck and gets killed.
const TO_CHILD_MAX: usize = 64;
/// A line of a log is cut there.
pub const LINE_BYTES_MAX: usize = 8 << 10;
/// After its output has ended, a process that does not exit is killed.
const EXIT_WAIT: Duration = Duration::from_secs(2);
const HUNG: &str = "its process closed its output and did not end; it was killed";

/// What a child does, in order; `Exited` is the last.
#[derive(Debug)]
pub enum ChildEvent {
    Said(FromShard),
    Frame { seq: u64, second: u32, last: bool, shard: u32, epoch: u64, body: Bytes },
    Line { stream: OutputStream, line: String },
    Exited { reason: String },
}

/// A handle to a running child. Dropping it does not end the child; [`Child::kill`] does.
#[derive(Debug)]
pub struct Child {
    group: Option<Pid>,
    to: mpsc::Sender<ToShard>,
}

impl Child {
    /// Queues a message.
    ///
    /// # Errors
    /// The child reads nothing any more.
    pub fn tell(&self, message: ToShard) -> Result<(), String> {
        self.to.try_send(message).map_err(|_| "the shard's process does not listen".to_owned())
    }

    /// The whole process group, at once.
    pub fn kill(&self) {
        kill(self.group);
    }
}

fn kill(group: Option<Pid>) {
    if let Some(group) = group {
        // It may be gone already.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Starts `command` in `folder`; what it does arrives in `events`, tagged by `tag`.
///
/// # Errors
/// No process could be started.
pub fn spawn<T, E>(
    command: &[String],
    folder: &Path,
    events: mpsc::Sender<E>,
    tag: T,
) -> std::io::Result<Child>
where
    T: Fn(ChildEvent) -> E + Send + Sync + 'static,
    E: Send + 'static,
{
    let (program, arguments) = command.split_first().ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, "no program for shards")
    })?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let (to, messages) = mpsc::channel(TO_CHILD_MAX);
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err(std::io::Error::other("the child has no pipes"));
    };
    tokio::spawn(write(stdin, messages));
    tokio::spawn(async move {
        let send = |event| {
            let sent = events.send(tag(event));
            async { sent.await.is_ok() }
        };
        // The end of its stdout is the end of the conversation, whatever stderr still says.
        let ending = async {
            let broken = listen(stdout, &send).await;
            if broken.is_some() {
                kill(group);
            }
            let ended = tokio::time::timeout(EXIT_WAIT, child.wait()).await;
            let Ok(status) = ended else {
                kill(group);
                // Reaped; how it ended is known.
                let _ = child.wait().await;
                return broken.unwrap_or_else(|| HUNG.to_owned());
            };
            broken.unwrap_or_else(|| exit_reason(status))
        };
        let errors = lines(stderr, &send);
        tokio::pin!(ending, errors);
        let reason = tokio::select! {
            () = &mut errors => ending.await,
            reason = &mut ending => {
                // What it wrote before it ended is still in the pipe.
                let _ = tokio::time::timeout(EXIT_WAIT, errors).await;
                reason
            }
        };
        send(ChildEvent::Exited { reason }).await;
    });
    Ok(Child { group, to })
}

async fn write(mut stdin: ChildStdin, mut messages: mpsc::Receiver<ToShard>) {
    while let Some(message) = messages.recv().await {
        let Ok(body) = serde_json::to_vec(&message) else { return };
        let Ok(len) = u32::try_from(body.len()) else { return };
        let mut whole = len.to_le_bytes().to_vec();
        whole.extend_from_slice(&body);
        if stdin.write_all(&whole).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

/// Reads the child's messages until its stdout ends; gives a reason where they were unreadable.
async fn listen<F, Fut>(mut stdout: impl AsyncRead + Unpin, send: &F) -> Option<String>
where
    F: Fn(ChildEvent) -> Fut,
    Fut: Future<Output = bool>,
{
    loop {
        let kind = stdout.read_u8().await.ok()?;
        let len = stdout.read_u32_le().await.ok()? as usize;
        if len > limit_of(kind) {
            return Some(format!("the shard's process sent a message of {len} bytes"));
        }
        let mut body = vec![0; len];
        stdout.read_exact(&mut body).await.ok()?;
        let event = match kind {
            KIND_JSON => match serde_json::from_slice(&body) {
                Ok(FromShard::Output { stream, line }) => ChildEvent::Line { stream, line },
                Ok(message) => ChildEvent::Said(message),
                Err(error) => return Some(format!("unreadable message of the shard: {error}")),
            },
            KIND_FRAME => match Frame::head(&body) {
                Ok(head) => ChildEvent::Frame {
                    seq: head.seq,
                    second: head.second,
                    last: head.last,
                    shard: head.shard,
                    epoch: head.epoch,
                    body: body.into(),
                },
                Err(error) => return Some(format!("unreadable frame of the shard: {error}")),
            },
            other => return Some(format!("the shard's process sent a message of kind {other}")),
        };
        if !send(event).await {
            return None;
        }
    }
}

/// Each line of stderr; what is longer than the bound is cut into several.
async fn lines<F, Fut>(stderr: impl AsyncRead + Unpin, send: &F)
where
    F: Fn(ChildEvent) -> Fut,
    Fut: Future<Output = bool>,
{
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(1..)) {
            return;
        }
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        if !send(ChildEvent::Line { stream: OutputStream::Stderr, line: text }).await {
            return;
        }
    }
}

/// In words that a user understands.
fn exit_reason(status: std::io::Result<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status {
        Ok(status) => match (status.signal(), status.code()) {
            (Some(9), _) => {
                "its process was killed (signal 9): out of memory, or by somebody".to_owned()
            }
            (Some(signal), _) => format!("its process died of signal {signal}"),
            (None, Some(code)) => format!("its process ended with exit code {code}"),
            (None, None) => "its process ended".to_owned(),
        },
        Err(error) => format!("its process could not be waited for: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn talk(script: &str) -> Vec<String> {
        let (events, mut heard) = mpsc::channel(16);
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let child = spawn(&command, Path::new("/"), events, |event| event).unwrap();
        child.tell(ToShard::Start { at_boot_us: 5, clock_error_us: 0, take_over: None }).unwrap();
        let mut all = Vec::new();
        while let Some(event) = heard.recv().await {
            all.push(match event {
                ChildEvent::Said(said) => format!("said {said:?}"),
                ChildEvent::Frame { seq, .. } => format!("frame {seq}"),
                ChildEvent::Line { stream, line } => format!("{stream:?} {line}"),
                ChildEvent::Exited { reason } => format!("exited: {reason}"),
            });
        }
        all
    }

    #[tokio::test]
    async fn a_conversation_arrives_in_order() {
        let message = r#"{"output":{"stream":"stdout","line":"hi"}}"#;
        assert_eq!(message.len(), 0o52);
        let script = format!("printf '\\000\\052\\000\\000\\000%s' '{message}'");
        let all = talk(&script).await;
        assert_eq!(all, ["Stdout hi", "exited: its process ended with exit code 0"]);
    }

    #[tokio::test]
    async fn stderr_and_death_are_told() {
        let all = talk("echo oops >&2; exec >&- 2>&-; kill -9 $$").await;
        let killed = "exited: its process was killed (signal 9): out of memory, or by somebody";
        assert_eq!(all, ["Stderr oops", killed]);
    }

    #[tokio::test]
    async fn nonsense_ends_the_child() {
        let all = talk("printf '\\007\\001\\000\\000\\000x'; exec sleep 60").await;
        assert_eq!(all, ["exited: the shard's process sent a message of kind 7"]);
    }

    /// Once a child that had closed its stdout, and hung with its stderr open, was waited for.
    #[tokio::test]
    async fn a_child_that_says_nothing_more_and_stays_is_killed() {
        let all = talk("exec >&-; exec sleep 60").await;
        assert_eq!(all, [format!("exited: {HUNG}")]);
    }

    #[tokio::test]
    async fn the_child_has_no_environment() {
        let all = talk("env >&2").await;
        // `sh` itself adds these.
        assert!(all.iter().all(|line| !line.contains("HOME") && !line.contains("ONRUSH")));
    }
}
