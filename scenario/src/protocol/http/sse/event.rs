//! From the bytes of an event stream to its events, cut anywhere, as the HTML standard reads them:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>.
//! Pure.
//!
//! Three things are Gatling's. A blank line ends an event whichever fields it has, where the standard
//! drops one without `data`; a line without a colon is passed over, where the standard has a field
//! without a value; and an event goes to the checks as JSON, of the fields that it has.

use serde_json::Value as Json;

/// Of one event; a stream that sends a larger one has ended.
const EVENT_BYTES_MAX: usize = 16 << 20;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// `retry` is in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub event: Option<String>,
    pub id: Option<String>,
    pub data: Option<String>,
    pub retry: Option<u64>,
}

impl Event {
    /// `{"event": …, "id": …, "data": …, "retry": …}`; data that looks like an object or a list is
    /// part of the document, whether it is JSON or not.
    pub(super) fn json(&self) -> String {
        let text = |text: &String| Json::from(text.as_str()).to_string();
        let fields = [
            ("event", self.event.as_ref().map(text)),
            ("id", self.id.as_ref().map(text)),
            ("data", self.data.as_ref().map(|it| if embeds(it) { it.clone() } else { text(it) })),
            ("retry", self.retry.map(|it| it.to_string())),
        ];
        let mut json = String::with_capacity(self.bytes() + 48);
        for (name, value) in fields {
            let Some(value) = value else { continue };
            json.push_str(if json.is_empty() { "{\"" } else { ",\"" });
            json.push_str(name);
            json.push_str("\":");
            json.push_str(&value);
        }
        json.push('}');
        json
    }

    fn bytes(&self) -> usize {
        [&self.event, &self.id, &self.data].into_iter().flatten().map(String::len).sum()
    }

    /// A line that is neither blank nor of another event. Comments have no name.
    fn take(&mut self, line: &[u8]) {
        let Some(colon) = memchr::memchr(b':', line) else { return };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        match name {
            b"event" => self.event = Some(value.into_owned()),
            b"data" => match &mut self.data {
                None => self.data = Some(value.into_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(&value);
                }
            },
            b"id" if !value.contains('\0') => self.id = Some(value.into_owned()),
            b"retry" if !value.is_empty() && value.bytes().all(|it| it.is_ascii_digit()) => {
                self.retry = Some(value.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }
}

fn embeds(data: &str) -> bool {
    let within = |open, close| data.len() > 1 && data.starts_with(open) && data.ends_with(close);
    within('{', '}') || within('[', ']')
}

/// One event stream on its way in.
#[derive(Default)]
pub(super) struct Parser {
    /// Of a line that has been cut.
    partial: Vec<u8>,
    pending: Event,
    /// The first line, which may begin with a byte order mark, is over.
    begun: bool,
    /// A line feed now would belong to the last line's end.
    after_cr: bool,
}

impl Parser {
    /// Takes bytes until an event is complete, or all of them.
    ///
    /// # Errors
    /// For an event that is too large.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Event>, String> {
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                *bytes = &bytes[1..];
                continue;
            }
            let end = memchr::memchr2(b'\r', b'\n', bytes);
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.partial.len() + self.pending.bytes() + part.len() > EVENT_BYTES_MAX {
                return Err(format!("an event is larger than {} MiB", EVENT_BYTES_MAX >> 20));
            }
            let Some(end) = end else {
                self.partial.extend_from_slice(part);
                *bytes = &[];
                break;
            };
            self.after_cr = bytes[end] == b'\r';
            *bytes = &bytes[end + 1..];
            let event = if self.partial.is_empty() {
                self.line(part)
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(part);
                self.line(&line)
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// The event that the line ends.
    fn line(&mut self, line: &[u8]) -> Option<Event> {
        let first = !std::mem::replace(&mut self.begun, true);
        let line = line.strip_prefix(BOM).filter(|_| first).unwrap_or(line);
        if !line.is_empty() {
            self.pending.take(line);
            return None;
        }
        let event = std::mem::take(&mut self.pending);
        (event != Event::default()).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fed(pieces: &[&[u8]]) -> Result<Vec<String>, String> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() {
                events.extend(parser.next(&mut piece)?.map(|it| it.json()));
            }
        }
        Ok(events)
    }

    fn events(text: &str) -> Vec<String> {
        fed(&[text.as_bytes()]).unwrap()
    }

    #[test]
    fn fields_make_an_event_and_a_blank_line_ends_it() {
        let text =
            "\u{feff}: a comment\nevent: e\ndata:  two\ndata:three\nid: 7\nretry: 10\n\n\n\n";
        assert_eq!(events(text), [r#"{"event":"e","id":"7","data":" two\nthree","retry":10}"#]);
        // Whatever it has; but not with nothing, and not before the blank line.
        assert_eq!(
            events("event:only\n\nid\n\nretry:1\n\n:\n\nother: x\n\ndata: cut\n"),
            [r#"{"event":"only"}"#, r#"{"retry":1}"#]
        );
        assert_eq!(
            events("data\n\ndata\ndata:\ndata:\n\nid:\n\n"),
            [r#"{"data":"\n"}"#, r#"{"id":""}"#]
        );
    }

    #[test]
    fn what_is_no_id_and_no_time_is_passed_over() {
        assert_eq!(events("id: a\0b\ndata: x\n\n"), [r#"{"data":"x"}"#]);
        for retry in ["", "-1", "1.5", "1s", "+1", "١"] {
            assert_eq!(events(&format!("retry: {retry}\ndata: x\n\n")), [r#"{"data":"x"}"#]);
        }
        let most = format!("{{\"retry\":{}}}", u64::MAX);
        assert_eq!(events("retry: 99999999999999999999999\n\n"), [most]);
        // Names are exact.
        assert_eq!(events("Data: x\n data: x\ndata : x\n\u{feff}data: x\n\n"), [""; 0]);
    }

    #[test]
    fn data_that_looks_like_json_is_part_of_the_document() {
        for (data, json) in [
            (r#"{"a":[1]}"#, r#"{"data":{"a":[1]}}"#),
            ("[1,2]", r#"{"data":[1,2]}"#),
            ("{oops}", r#"{"data":{oops}}"#),
            ("{", r#"{"data":"{"}"#),
            ("[1}", r#"{"data":"[1}"}"#),
            (r#"say "hi" \"#, r#"{"data":"say \"hi\" \\"}"#),
            ("12", r#"{"data":"12"}"#),
        ] {
            assert_eq!(events(&format!("data: {data}\n\n")), [json]);
        }
        assert_eq!(events("event: \"\nid: \\\n\n"), [r#"{"event":"\"","id":"\\"}"#]);
    }

    #[test]
    fn an_event_has_a_largest_size_and_a_stream_has_none() {
        let too_large = Err("an event is larger than 16 MiB".to_owned());
        let piece = vec![b'x'; 1 << 20];
        let mut pieces = vec![&b"data: "[..]];
        pieces.extend(std::iter::repeat_n(&piece[..], 17));
        assert_eq!(fed(&pieces), too_large);
        let line = [b"data: ", &piece[..], b"\n"].concat();
        assert_eq!(fed(&[&line[..]; 17]), too_large);
        // Comments, other fields and events that are over leave nothing.
        for kept in ["", "event: "] {
            let line = [kept.as_bytes(), b": ", &piece[..], b"\n"].concat();
            assert_eq!(fed(&[&line[..]; 17]), Ok(vec![]), "{kept}");
        }
        let whole = [&line[..], b"\n"].concat();
        assert_eq!(fed(&[&whole[..]; 17]).map(|it| it.len()), Ok(17));
    }

    const STREAM: &str = "\u{feff}data: é\r\ndata: b\r\n\r\nid: 1\rdata: [1]\r\r: c\n\nevent: ü\n\
                          retry: 5\n\ndata: 3\r\n\n\ndata: last\r\r\ndata: cut";

    proptest! {
        /// Wherever the network cuts a stream, its events are the same.
        #[test]
        fn cuts_change_nothing(cuts in prop::collection::vec(0..STREAM.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> =
                cuts.windows(2).map(|pair| &STREAM.as_bytes()[pair[0]..pair[1]]).collect();
            let expected = [
                r#"{"data":"é\nb"}"#,
                r#"{"id":"1","data":[1]}"#,
                r#"{"event":"ü","retry":5}"#,
                r#"{"data":"3"}"#,
                r#"{"data":"last"}"#,
            ];
            prop_assert_eq!(fed(&pieces).unwrap(), expected);
        }

        /// Lines end as they like.
        #[test]
        fn line_ends_are_equal(lines in prop::collection::vec("(|data:? ?[a-z]?|id: ?[0-9]?|:x)", 0..12)) {
            let by = |end: &str| events(&lines.iter().map(|it| format!("{it}{end}")).collect::<String>());
            prop_assert_eq!(by("\n"), by("\r"));
            prop_assert_eq!(by("\n"), by("\r\n"));
        }

        /// Whatever a target sends: no panic, and the same at once and byte by byte.
        #[test]
        fn garbage_is_read_the_same(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(fed(&[&bytes]), fed(&single));
        }
    }
}
