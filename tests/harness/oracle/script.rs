//! What a page does that is no single answer: a WebSocket (status 101) or an event stream (`!stream`).
//! Its body is a script:
//!
//! ```text
//! send TEXT                  a frame; in an event stream, these bytes (`¶` is a line end)
//! parts TEXT|TEXT            a frame in several fragments
//! binary HEX                 a binary frame
//! ping TEXT
//! wait MS
//! close CODE REASON          a close frame
//! end                        the connection ends; a chunked stream ends properly
//! cut                        the same without its proper end
//! reset                      the connection is reset
//! on TEXT: STEP ; STEP       what is done when a client sends TEXT; anything else is sent back
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Send(String),
    Parts(Vec<String>),
    Binary(Vec<u8>),
    Ping(String),
    Wait(Duration),
    Close(u16, String),
    End,
    Cut,
    Reset,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// As soon as the stream is open.
    pub first: Vec<Step>,
    /// By message.
    pub on: BTreeMap<String, Vec<Step>>,
}

impl Script {
    /// # Errors
    /// A line that is none of the above.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut script = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("on ") {
                let (message, steps) = rest.split_once(':').context("on TEXT: STEP ; STEP")?;
                let steps = steps.split(" ; ").map(str::trim).filter(|one| !one.is_empty());
                let steps = steps.map(step).collect::<anyhow::Result<_>>()?;
                script.on.insert(message.to_owned(), steps);
            } else {
                script.first.push(step(line)?);
            }
        }
        Ok(script)
    }
}

fn step(line: &str) -> anyhow::Result<Step> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    Ok(match word {
        "send" => Step::Send(rest.replace('¶', "\n")),
        "parts" => Step::Parts(rest.split('|').map(str::to_owned).collect()),
        "binary" => Step::Binary(unhex(rest).context("binary HEX")?),
        "ping" => Step::Ping(rest.to_owned()),
        "wait" => Step::Wait(Duration::from_millis(rest.parse().context("wait MS")?)),
        "close" => {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            Step::Close(code.parse().context("close CODE REASON")?, reason.to_owned())
        }
        "end" => Step::End,
        "cut" => Step::Cut,
        "reset" => Step::Reset,
        _ => bail!("no step of a stream: {line:?}"),
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|it| u8::try_from(it).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_read_line_by_line() {
        let script =
            Script::parse("send a¶b\nwait 5\non x: binary 01ff ; close 1001 so long\non y:");
        let script = script.unwrap();
        assert_eq!(script.first[0], Step::Send("a\nb".to_owned()));
        assert_eq!(script.first[1], Step::Wait(Duration::from_millis(5)));
        let farewell = Step::Close(1001, "so long".to_owned());
        assert_eq!(script.on["x"], [Step::Binary(vec![1, 255]), farewell]);
        assert!(script.on["y"].is_empty());
        assert!(Script::parse("sing").is_err());
        assert!(Script::parse("binary 1").is_err());
    }
}
