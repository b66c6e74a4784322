//! Event streams that outlive their node: when one breaks or says `bye`, it goes on at the next
//! address from the last event's id.

use std::time::Duration;

use futures::stream::StreamExt;
use onrush_scenario::stats::live::LiveView;
use serde::de::DeserializeOwned;

use super::Error;
use super::calls::{self, Body, LogFilter};
use super::transport::{Ask, Client};
use crate::backend::{LogLine, LogStream};
use crate::routes::jobs::dto::{Job, JobEvent};
use crate::routes::jobs::ticks::{Bye, End, Resync, TickEvent};
use crate::stream::EVENT_STREAM;

/// A line of an event stream, at most; what is longer is no event of ours.
const EVENT_BYTES_MAX: usize = 8 << 20;
/// Without a byte (pings included) for so long, a connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(40);
/// How often a stream is taken up again without an event in between, and the pause before each.
const RECONNECTS_MAX: u32 = 40;
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// One event as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) data: String,
}

/// Turns bytes into events. Pure.
#[derive(Debug, Default)]
pub(super) struct Parser {
    buffer: Vec<u8>,
    event: Raw,
    has_data: bool,
}

impl Parser {
    /// Takes a chunk, and gives the events that it completes.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Raw>, &'static str> {
        let mut events = Vec::new();
        self.buffer.extend_from_slice(chunk);
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]);
            if let Some(event) = self.line(line.trim_end_matches('\r')) {
                events.push(event);
            }
        }
        if self.buffer.len() > EVENT_BYTES_MAX {
            return Err("an event is too long");
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<Raw> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments (pings), `retry`, and what may come later.
            _ => {}
        }
        None
    }
}

/// A stream of raw events with its place.
struct Resuming<'a> {
    client: &'a Client,
    path: String,
    last_id: Option<String>,
    body: Option<Body>,
    parser: Parser,
    ready: std::collections::VecDeque<Raw>,
    failures: u32,
    ended: bool,
}

impl<'a> Resuming<'a> {
    fn new(client: &'a Client, path: String) -> Self {
        Self {
            client,
            path,
            last_id: None,
            body: None,
            parser: Parser::default(),
            ready: std::collections::VecDeque::new(),
            failures: 0,
            ended: false,
        }
    }

    /// The next event; none after the end.
    async fn next(&mut self) -> Result<Option<Raw>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.failures = 0;
                self.last_id = event.id.clone().or_else(|| self.last_id.take());
                match event.name.as_str() {
                    "bye" => {
                        if let Ok(bye) = serde_json::from_str::<Bye>(&event.data) {
                            self.client.learn(bye.addresses);
                        }
                        self.lose();
                        continue;
                    }
                    "end" => self.ended = true,
                    _ => {}
                }
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            self.more().await?;
        }
    }

    /// Reads a chunk, connecting first where there is no connection.
    async fn more(&mut self) -> Result<(), Error> {
        let Some(body) = &mut self.body else { return self.connect().await };
        let fed = match tokio::time::timeout(SILENCE_MAX, body.next()).await {
            Ok(Some(Ok(chunk))) => self.parser.feed(&chunk),
            Ok(None | Some(Err(_))) | Err(_) => Err("the connection broke"),
        };
        match fed {
            Ok(events) => self.ready.extend(events),
            Err(_) => self.lose(),
        }
        Ok(())
    }

    fn lose(&mut self) {
        self.body = None;
        self.ready.clear();
        self.client.rotate();
    }

    async fn connect(&mut self) -> Result<(), Error> {
        if self.failures > 0 {
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        self.failures += 1;
        let mut ask = Ask::get(self.path.clone()).header("accept", EVENT_STREAM);
        if let Some(id) = &self.last_id {
            ask = ask.header("last-event-id", id.clone());
        }
        match self.client.send(&ask).await {
            Ok((_, response)) => {
                self.parser = Parser::default();
                self.body = Some(calls::body_stream(response.into_body()));
                Ok(())
            }
            // A node that has just started may not know the job yet; others may be back soon.
            Err(Error::Unreachable(_)) if self.failures <= RECONNECTS_MAX => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn decode<T: DeserializeOwned>(client: &Client, data: &str) -> Result<T, Error> {
    serde_json::from_str(data)
        .map_err(|error| Error::Protocol { address: client.address(), why: error.to_string() })
}

/// What happens to a job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobUpdate {
    Job(Box<Job>),
    Tick(Box<TickEvent>),
    /// What happened to the job; after a change of node, all of it once more.
    Event(JobEvent),
    /// The state so far.
    Live(Box<LiveView>),
    Resync(Resync),
    End(End),
}

/// A job as it happens.
pub struct EventStream<'a>(Resuming<'a>);

impl<'a> EventStream<'a> {
    pub(super) fn of_job(client: &'a Client, id: &str, which: &str) -> Self {
        Self(Resuming::new(client, calls::job_at(id, &format!("/ticks?events={which}"))))
    }

    /// The next update; none after [`JobUpdate::End`].
    ///
    /// # Errors
    /// When no node can be reached for a while, or the job is gone.
    pub async fn next(&mut self) -> Result<Option<JobUpdate>, Error> {
        while let Some(event) = self.0.next().await? {
            let client = self.0.client;
            return Ok(Some(match event.name.as_str() {
                "job" => JobUpdate::Job(decode(client, &event.data)?),
                "tick" => JobUpdate::Tick(decode(client, &event.data)?),
                "event" => JobUpdate::Event(decode(client, &event.data)?),
                "live" => JobUpdate::Live(decode(client, &event.data)?),
                "resync" => JobUpdate::Resync(decode(client, &event.data)?),
                "end" => JobUpdate::End(decode(client, &event.data)?),
                _ => continue,
            }));
        }
        Ok(None)
    }
}

/// A job's log.
pub struct LogStreamEvents<'a>(Resuming<'a>);

impl<'a> LogStreamEvents<'a> {
    pub(super) fn of_job(client: &'a Client, id: &str, filter: &LogFilter) -> Self {
        let stream = filter.stream.map(|stream| match stream {
            LogStream::Stdout => "stdout".to_owned(),
            LogStream::Stderr => "stderr".to_owned(),
        });
        let pairs = [
            ("shard", filter.shard.map(|n| n.to_string())),
            ("stream", stream),
            ("tail", filter.tail.map(|n| n.to_string())),
            ("follow", filter.follow.then(|| "true".to_owned())),
        ];
        Self(Resuming::new(client, calls::with_query(&calls::job_at(id, "/logs"), &pairs)))
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// When no node can be reached for a while, or the job is gone.
    pub async fn next(&mut self) -> Result<Option<LogLine>, Error> {
        while let Some(event) = self.0.next().await? {
            if event.name == "log" {
                return decode(self.0.client, &event.data).map(Some);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = "retry: 1000\n\nid: 7\nevent: tick\ndata: {\"a\":1}\n\n: ping\n\n\
                          event: end\r\ndata: x\r\ndata: y\r\n\r\nid: 9\n\n";

    fn expected() -> Vec<Raw> {
        let raw = |id: Option<&str>, name: &str, data: &str| Raw {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            data: data.to_owned(),
        };
        vec![raw(Some("7"), "tick", "{\"a\":1}"), raw(None, "end", "x\ny")]
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_the_chunks(cuts in prop::collection::vec(1_usize..20, 0..40)) {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            let mut rest = STREAM.as_bytes();
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                events.extend(parser.feed(chunk).unwrap());
                rest = after;
            }
            events.extend(parser.feed(rest).unwrap());
            prop_assert_eq!(events, expected());
        }
    }
}
