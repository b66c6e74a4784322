//! What happens to the one user, as text for people or as one JSON object a line for programs.

use std::sync::Arc;

use onrush_scenario::check::{Checked, Outcome};
use onrush_scenario::engine::debug::{By, Change, Ended, Event};
use onrush_scenario::protocol::{Exchange, Message};
use onrush_scenario::secrets::Secrets;
use onrush_scenario::tree::time;
use serde_json::{Value, json};

use super::super::output::{micros, thousands};
use super::super::say;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";

pub(super) struct Printer {
    pub json: bool,
    pub paint: bool,
    /// Bytes of a body that are shown.
    pub body_max: usize,
    pub secrets: Secrets,
    /// The request whose checks come next.
    pub open: String,
}

impl Printer {
    /// # Errors
    /// When nobody reads any more.
    pub(super) fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        if self.json {
            let value = self.as_json(event);
            return say(value);
        }
        match event {
            Event::Output(_, line) => say(format!("script: {line}")),
            Event::Started { scenario } => self.line(BOLD, &format!("Scenario {scenario}")),
            Event::Changed { by, changes } => self.changes(by, changes),
            // What is left of it now, which is a little less than it says.
            Event::Paused(us) => {
                let ms = us.div_ceil(1_000);
                self.line(DIM, &format!("  pause {}", time(ms * 1_000)))
            }
            Event::GroupLeft { path, ok, duration } => {
                let verdict = if *ok { "OK" } else { "KO" };
                let text = format!("  group {} {verdict} in {}", joined(path), time(*duration));
                self.line(DIM, &text)
            }
            Event::Exchange(exchange) => self.exchange(exchange),
            Event::Checked(check) => self.check(check),
            Event::Counted { name, failure, time } => self.counted(name, failure.as_deref(), *time),
            Event::Unbuilt { name, message } => {
                say("")?;
                self.line(RED, &format!("{name}\n  cannot be built: {message}"))
            }
            Event::Note(line) => self.line(DIM, &format!("  {line}")),
            Event::Ended { scenario, failed, why } => self.ended(scenario, *failed, why),
        }
    }

    fn line(&self, code: &str, text: &str) -> anyhow::Result<()> {
        if self.paint { say(format!("\x1b[{code}m{text}\x1b[0m")) } else { say(text) }
    }

    fn changes(&mut self, by: &By, changes: &[Change]) -> anyhow::Result<()> {
        let by = match by {
            By::Feeder(name) => format!("  from {name}"),
            By::Steps => String::new(),
            // Each check has told what it saved.
            By::Checks => return Ok(()),
        };
        for Change { attribute, value } in changes {
            let text = match value {
                Some(value) => {
                    let value = self.secrets.attribute(attribute, value);
                    format!("  session: {attribute} = {}{by}", self.value(&value))
                }
                None => format!("  session: {attribute} removed{by}"),
            };
            self.line(DIM, &text)?;
        }
        Ok(())
    }

    fn exchange(&mut self, exchange: &Exchange) -> anyhow::Result<()> {
        self.open.clone_from(&exchange.name);
        say("")?;
        self.line(BOLD, &exchange.name)?;
        self.message('>', &exchange.sent, &self.secrets.text(&exchange.sent.head))?;
        match &exchange.received {
            Ok(received) => {
                let head = format!("{}  in {}", received.head, micros(exchange.time));
                self.message('<', received, &head)
            }
            Err(why) => self.line(RED, &format!("  < no response: {why}")),
        }
    }

    fn message(&self, mark: char, message: &Message, head: &str) -> anyhow::Result<()> {
        say(format!("  {mark} {head}"))?;
        for (name, value) in &message.headers {
            say(format!("  {mark} {name}: {}", self.secrets.header(name, value)))?;
        }
        if message.body.is_empty() {
            return Ok(());
        }
        say(format!("  {mark}"))?;
        for line in self.body(message).lines() {
            say(format!("  {mark} {line}").trim_end())?;
        }
        Ok(())
    }

    /// JSON is indented; what is no text is only measured.
    fn body(&self, message: &Message) -> String {
        let size = message.body.len();
        let Ok(text) = std::str::from_utf8(&message.body) else {
            return format!("({} bytes that are no text)", thousands(size as u64));
        };
        let indented = serde_json::from_str::<Value>(text)
            .ok()
            .filter(|value| value.is_object() || value.is_array())
            .and_then(|value| serde_json::to_string_pretty(&value).ok());
        let shown = self.secrets.text(indented.as_deref().unwrap_or(text));
        match cut(&shown, self.body_max) {
            Some(start) => {
                let size = thousands(size as u64);
                format!("{start}\n… (cut: the body has {size} bytes; --body-max shows more)")
            }
            None => shown,
        }
    }

    /// A value of the session in a line.
    fn value(&self, value: &str) -> String {
        match cut(value, self.body_max) {
            Some(start) => format!("{start}… ({} bytes)", thousands(value.len() as u64)),
            None => value.to_owned(),
        }
    }

    fn check(&mut self, check: &Checked) -> anyhow::Result<()> {
        let name = self.secrets.text(&check.name);
        match &check.outcome {
            Outcome::Passed { saved: None } => self.line(GREEN, &format!("  ✓ {name}")),
            Outcome::Passed { saved: Some((key, value)) } => {
                let value = self.secrets.attribute(key, value);
                let value = self.value(&value);
                self.line(GREEN, &format!("  ✓ {name}, saved as {key} = {value}"))
            }
            Outcome::Skipped => self.line(DIM, &format!("  - {name}: its condition does not hold")),
            Outcome::Failed(message) => {
                self.line(RED, &format!("  ✗ {}", self.secrets.text(message)))
            }
        }
    }

    fn counted(&mut self, name: &str, failure: Option<&str>, us: u64) -> anyhow::Result<()> {
        // A request that went over a wire has been shown.
        if std::mem::take(&mut self.open).is_empty() {
            say("")?;
            self.line(BOLD, &format!("{name}  in {}", micros(us)))?;
        }
        match failure {
            None => self.line(GREEN, "  OK"),
            Some(text) => self.line(RED, &format!("  KO {}", self.secrets.text(text))),
        }
    }

    fn ended(&self, scenario: &str, failed: bool, why: &Ended) -> anyhow::Result<()> {
        let how = match why {
            Ended::Completed => "came to the end of the scenario".to_owned(),
            Ended::Stopped(message) => format!("stopped the load generator: {message}"),
            Ended::RequestsMax(count) => {
                format!("was ended after {count} requests (--requests-max)")
            }
            Ended::TimeMax(limit) => format!("was ended after {}s (--time-max)", limit.as_secs()),
        };
        let status = if failed { ", failed" } else { "" };
        say(format!("\nThe user of {scenario} {how}{status}\n"))
    }

    fn as_json(&mut self, event: &Event) -> Value {
        match event {
            Event::Output(_, line) => json!({"event": "output", "line": line}),
            Event::Started { scenario } => json!({"event": "started", "scenario": scenario}),
            Event::Changed { by, changes } => {
                let by = match by {
                    By::Feeder(name) => name,
                    By::Checks => "checks",
                    By::Steps => "steps",
                };
                let secrets = &mut self.secrets;
                let all: serde_json::Map<String, Value> = changes
                    .iter()
                    .map(|it| {
                        let value =
                            it.value.as_ref().map(|text| secrets.attribute(&it.attribute, text));
                        (it.attribute.clone(), value.into())
                    })
                    .collect();
                json!({"event": "session", "by": by, "changes": all})
            }
            Event::Paused(us) => json!({"event": "pause", "us": us}),
            Event::GroupLeft { path, ok, duration } => {
                json!({"event": "group", "path": joined(path), "ok": ok, "us": duration})
            }
            Event::Exchange(it) => {
                let received = match &it.received {
                    Ok(message) => json!({"response": self.message_json(message)}),
                    Err(why) => json!({"error": why}),
                };
                json!({"event": "exchange", "name": it.name, "us": it.time,
                    "request": self.message_json(&it.sent), "received": received})
            }
            Event::Checked(it) => {
                let (outcome, message) = match &it.outcome {
                    Outcome::Passed { .. } => ("passed", None),
                    Outcome::Skipped => ("skipped", None),
                    Outcome::Failed(text) => ("failed", Some(self.secrets.text(text))),
                };
                let name = self.secrets.text(&it.name);
                json!({"event": "check", "name": name, "outcome": outcome, "message": message})
            }
            Event::Counted { name, failure, time } => {
                let failure = failure.as_ref().map(|text| self.secrets.text(text));
                json!({"event": "request", "name": name, "failure": failure, "us": time})
            }
            Event::Unbuilt { name, message } => {
                json!({"event": "unbuilt", "name": name, "message": message})
            }
            Event::Note(line) => json!({"event": "note", "line": line}),
            Event::Ended { scenario, failed, why } => {
                let why = match why {
                    Ended::Completed => "completed",
                    Ended::Stopped(_) => "stopped",
                    Ended::RequestsMax(_) => "requests_max",
                    Ended::TimeMax(_) => "time_max",
                };
                json!({"event": "ended", "scenario": scenario, "failed": failed, "why": why})
            }
        }
    }

    fn message_json(&self, message: &Message) -> Value {
        let headers: Vec<[String; 2]> = message
            .headers
            .iter()
            .map(|(name, value)| [name.clone(), self.secrets.header(name, value)])
            .collect();
        let head = self.secrets.text(&message.head);
        let (body, size) = (self.body(message), message.body.len());
        json!({"head": head, "headers": headers, "body": body, "body_bytes": size})
    }
}

fn joined(path: &[Arc<str>]) -> String {
    path.join(" / ")
}

/// The first bytes of a text that is longer, whole characters only.
fn cut(text: &str, most: usize) -> Option<&str> {
    if text.len() <= most {
        return None;
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("abc", 3), None);
        assert_eq!(cut("aé", 2), Some("a"));
    }

    #[test]
    fn bodies_are_indented_masked_or_measured() {
        let printer = Printer {
            json: false,
            paint: false,
            body_max: 100,
            secrets: Secrets::new(false),
            open: String::new(),
        };
        let body = |bytes: &'static [u8]| {
            printer.body(&Message { body: bytes.into(), ..Message::default() })
        };
        assert_eq!(body(br#"{"token":"x"}"#), "{\n  \"token\": \"****\"\n}");
        assert_eq!(body(b"plain"), "plain");
        assert_eq!(body(&[0xff, 0xfe]), "(2 bytes that are no text)");
        let long = body(&[b'x'; 101]);
        assert!(long.ends_with("x\n… (cut: the body has 101 bytes; --body-max shows more)"));
    }
}
