//! The stdout and stderr of each shard, as files of its run folder, and their delivery to whoever
//! asks. A line in a file is `<unix ms> <text>`; a line's offset is where it ends in its file. Files
//! are bounded: what comes later is counted, and the count is the last line.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use onrush_api::backend::{LogLine, LogStream};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

use super::child::LINE_BYTES_MAX;
use super::runs;
use crate::control_wire::{self, LogAsk, LogPart};
use crate::net::DuplexStream;

/// Of one stream of one shard.
pub const LOG_BYTES_MAX: u64 = 32 << 20;
/// How often a followed file is looked at.
const FOLLOW_PERIOD: Duration = Duration::from_millis(200);
/// Looks without any folder of the job before a follower gives up.
const BEGIN_WAITS_MAX: u32 = 300;
/// Read from a file at a time.
const READ_BYTES: usize = 64 << 10;
/// Lines on their way to who asked.
const LINES_AHEAD: usize = 256;

#[derive(Debug)]
struct Writer {
    file: File,
    bytes: u64,
    dropped: u64,
}

impl Writer {
    fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes, dropped: 0 })
    }

    fn write(&mut self, unix_ms: u64, text: &str) -> std::io::Result<()> {
        for line in text.split('\n') {
            let line = &line[..line.floor_char_boundary(LINE_BYTES_MAX)];
            let whole = format!("{unix_ms} {line}\n");
            if self.bytes + whole.len() as u64 > LOG_BYTES_MAX {
                self.dropped += 1;
                continue;
            }
            self.file.write_all(whole.as_bytes())?;
            self.bytes += whole.len() as u64;
        }
        Ok(())
    }

    fn close(&mut self, unix_ms: u64) -> std::io::Result<()> {
        if self.dropped == 0 {
            return Ok(());
        }
        let dropped = std::mem::take(&mut self.dropped);
        let end = format!("{unix_ms} [{dropped} more lines dropped: the log has its full size]\n");
        self.file.write_all(end.as_bytes())
    }
}

/// Both logs of a run.
#[derive(Debug)]
pub struct RunLogs {
    stdout: Writer,
    stderr: Writer,
}

impl RunLogs {
    /// # Errors
    /// The files cannot be opened.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        let writer = |stream| Writer::open(&folder.join(file_name(stream)));
        Ok(Self { stdout: writer(LogStream::Stdout)?, stderr: writer(LogStream::Stderr)? })
    }

    /// Adds a line. A full disk costs log lines, never the run.
    pub fn write(&mut self, stream: LogStream, unix_ms: u64, line: &str) {
        let writer = match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        };
        if let Err(error) = writer.write(unix_ms, line) {
            tracing::debug!(%error, "log line not written");
        }
    }

    /// Nothing follows.
    pub fn close(&mut self, unix_ms: u64) {
        for writer in [&mut self.stdout, &mut self.stderr] {
            if let Err(error) = writer.close(unix_ms) {
                tracing::debug!(%error, "log not closed");
            }
        }
    }
}

fn file_name(stream: LogStream) -> &'static str {
    match stream {
        LogStream::Stdout => "stdout.log",
        LogStream::Stderr => "stderr.log",
    }
}

/// Reads one file line by line, as far as it has been written.
struct Reader {
    path: PathBuf,
    shard: u32,
    stream: LogStream,
    offset: u64,
    partial: Vec<u8>,
}

impl Reader {
    /// The lines that were added since, at most what one read gives.
    fn more(&mut self, node: &str) -> std::io::Result<Vec<LogLine>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.offset + self.partial.len() as u64))?;
        let mut bytes = std::mem::take(&mut self.partial);
        file.take(READ_BYTES as u64).read_to_end(&mut bytes)?;
        let mut lines = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.offset += end as u64 + 1;
            lines.push(self.line(node, &rest[..end]));
            rest = &rest[end + 1..];
        }
        self.partial = rest.to_vec();
        Ok(lines)
    }

    fn line(&self, node: &str, bytes: &[u8]) -> LogLine {
        let text = String::from_utf8_lossy(bytes);
        let (at, line) = text.split_once(' ').unwrap_or(("0", &text));
        LogLine {
            shard: self.shard,
            node: node.to_owned(),
            stream: self.stream,
            offset: self.offset,
            unix_ms: at.parse().unwrap_or(0),
            line: line.to_owned(),
        }
    }
}

/// Where the last `lines` lines of a file begin.
fn tail_offset(path: &Path, lines: u64) -> std::io::Result<u64> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut end = file.metadata()?.len();
    let mut missing = lines + 1;
    let mut block = vec![0; READ_BYTES];
    while end > 0 {
        let start = end.saturating_sub(READ_BYTES as u64);
        let len = usize::try_from(end - start).unwrap_or(READ_BYTES);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block[..len])?;
        for index in (0..len).rev().filter(|index| block[*index] == b'\n') {
            missing -= 1;
            if missing == 0 {
                return Ok(start + index as u64 + 1);
            }
        }
        end = start;
    }
    Ok(0)
}

/// Sends the lines of a job's shards on this node until all is sent and, where they are followed,
/// the shards have ended. Ends early when nobody listens.
pub async fn send(root: PathBuf, node: String, ask: LogAsk, to: mpsc::Sender<LogLine>) {
    let mut readers: Vec<Reader> = Vec::new();
    let mut waits = 0_u32;
    loop {
        let (folder, state) = (root.clone(), std::mem::take(&mut readers));
        let (asked, name) = (ask.clone(), node.clone());
        let look = move || look(&folder, &name, &asked, state);
        let Ok((lines, next, ended)) = tokio::task::spawn_blocking(look).await else { return };
        readers = next;
        let quiet = lines.is_empty();
        for line in lines {
            if to.send(line).await.is_err() {
                return;
            }
        }
        // A shard that was assigned to this node and never came: it went to another.
        waits = if readers.is_empty() { waits + 1 } else { 0 };
        if quiet && (ended || !ask.follow || waits > BEGIN_WAITS_MAX) {
            return;
        }
        if quiet {
            if to.is_closed() {
                return;
            }
            tokio::time::sleep(FOLLOW_PERIOD).await;
        }
    }
}

/// One look at all files: new lines, the readers, and whether nothing more will be written. The
/// end is looked at before the files, so that what is written in between is not missed.
fn look(
    root: &Path,
    node: &str,
    ask: &LogAsk,
    mut readers: Vec<Reader>,
) -> (Vec<LogLine>, Vec<Reader>, bool) {
    let Ok(found) = runs::of_job(root, &ask.job) else { return (Vec::new(), readers, true) };
    let wanted = || found.iter().filter(|run| ask.shard.is_none_or(|shard| shard == run.key.shard));
    let begun = wanted().next().is_some();
    let ended = begun && wanted().all(|run| runs::is_over(&run.folder));
    for run in wanted() {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            let path = run.folder.join(file_name(stream));
            let known = readers.iter().any(|reader| reader.path == path);
            if known || ask.stream.is_some_and(|asked| asked != stream) {
                continue;
            }
            let tail = ask.tail.map_or(Ok(0), |lines| tail_offset(&path, lines));
            let (shard, offset) = (run.key.shard, tail.unwrap_or(0));
            readers.push(Reader { path, shard, stream, offset, partial: Vec::new() });
        }
    }
    let mut lines: Vec<LogLine> =
        readers.iter_mut().flat_map(|reader| reader.more(node).unwrap_or_default()).collect();
    lines.sort_by_key(|line| line.unix_ms);
    (lines, readers, ended)
}

/// Answers one `Logs` stream, until all is sent or who asked is gone.
pub async fn serve(root: PathBuf, node: String, stream: DuplexStream) {
    let (mut from, mut to) = tokio::io::split(stream);
    let Ok(ask) = control_wire::receive::<LogAsk, _>(&mut from).await else { return };
    let (sender, mut lines) = mpsc::channel(LINES_AHEAD);
    let passing = async {
        while let Some(line) = lines.recv().await {
            if control_wire::send(&mut to, &LogPart::Line(line)).await.is_err() {
                return;
            }
        }
        // Who asked may be gone; then there is nobody to tell.
        let _ = control_wire::send(&mut to, &LogPart::End).await;
    };
    let both = async { tokio::join!(send(root, node, ask, sender), passing) };
    tokio::select! {
        _ = both => {}
        // Who asked says nothing more: an answer is the end of the stream.
        _ = from.read_u8() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onrush_raft::types::JobId;

    fn ask(tail: Option<u64>) -> LogAsk {
        LogAsk { job: JobId("job_1".into()), shard: None, stream: None, tail, follow: false }
    }

    async fn read(root: &Path, ask: LogAsk) -> Vec<String> {
        let (to, mut lines) = mpsc::channel(100);
        send(root.to_owned(), "n1".into(), ask, to).await;
        let mut all = Vec::new();
        while let Ok(line) = lines.try_recv() {
            all.push(format!("{} {:?} {} {}", line.unix_ms, line.stream, line.offset, line.line));
        }
        all
    }

    #[tokio::test]
    async fn lines_come_back_with_their_time_and_offset() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("job_1/0-1");
        std::fs::create_dir_all(&folder).unwrap();
        let mut logs = RunLogs::open(&folder).unwrap();
        logs.write(LogStream::Stdout, 10, "one");
        logs.write(LogStream::Stderr, 11, "bad\nworse");
        logs.write(LogStream::Stdout, 12, "two");
        logs.close(13);
        let all = read(dir.path(), ask(None)).await;
        assert_eq!(
            all,
            ["10 Stdout 7 one", "11 Stderr 7 bad", "11 Stderr 16 worse", "12 Stdout 14 two"]
        );
        let tail = read(dir.path(), ask(Some(1))).await;
        assert_eq!(tail, ["11 Stderr 16 worse", "12 Stdout 14 two"]);
        assert_eq!(read(dir.path(), ask(Some(0))).await, Vec::<String>::new());
    }

    #[test]
    fn a_full_log_says_how_much_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut writer = Writer::open(&path).unwrap();
        writer.bytes = LOG_BYTES_MAX - 4;
        writer.write(1, "does not fit").unwrap();
        writer.write(2, "nor this").unwrap();
        writer.close(3).unwrap();
        let end = "3 [2 more lines dropped: the log has its full size]\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), end);
    }
}
