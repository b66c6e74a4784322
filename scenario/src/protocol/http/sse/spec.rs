//! The JSON of event streams' actions: `{"sse": {"stream": …, "op": {"connect": {…}}}}`.

use serde::{Deserialize, Serialize};

use super::super::inbound::SequenceSpec;
use super::super::spec::RequestSpec;
use crate::expr::{Expr, FnId};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SseSpec {
    /// Which of the user's streams.
    pub stream: Expr,
    pub op: SseOp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SseOp {
    /// `get(url)`, `post(url)`
    Connect(Box<ConnectSpec>),
    /// `setCheck()`
    Check(Vec<SequenceSpec>),
    Close,
    /// `processUnmatchedMessages(f)`
    Process(FnId),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectSpec {
    /// Its headers come after those that every such request has, and take their place.
    pub request: RequestSpec,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaits: Vec<SequenceSpec>,
}

impl SseSpec {
    pub(in super::super) fn request(&self) -> Option<&RequestSpec> {
        match &self.op {
            SseOp::Connect(connect) => Some(&connect.request),
            SseOp::Check(_) | SseOp::Close | SseOp::Process(_) => None,
        }
    }

    /// In a line, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.op {
            SseOp::Connect(it) => format!("SSE {} {}", it.request.method, it.request.url),
            SseOp::Check(sequences) => {
                let count: usize = sequences.iter().map(|it| it.checks.len()).sum();
                format!("SSE: await {count} check{}", if count == 1 { "" } else { "s" })
            }
            SseOp::Close => "SSE: close".to_owned(),
            SseOp::Process(_) => "SSE: process the unmatched messages".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use crate::protocol::http::describe;

    #[test]
    fn actions_are_told_in_a_line_with_the_files_that_they_send() {
        let check = json!({ "name": { "lit": "c" } });
        let sequence = json!({ "timeout": { "lit": 1 }, "checks": [check, check] });
        let post = json!({
            "method": "POST",
            "url": { "lit": "/events" },
            "body": { "raw_file": { "lit": "body.txt" } },
        });
        for (op, text, files) in [
            (json!({ "connect": { "request": post } }), "SSE POST /events", &["body.txt"][..]),
            (json!({ "check": [sequence, sequence] }), "SSE: await 4 checks", &[]),
            (json!("close"), "SSE: close", &[]),
            (json!({ "process": 3 }), "SSE: process the unmatched messages", &[]),
        ] {
            let spec = json!({ "sse": { "stream": { "lit": "s" }, "op": op } });
            let described = describe(&to_raw_value(&spec).unwrap());
            assert_eq!(described.text, text);
            assert_eq!(described.files, files, "{text}");
        }
    }
}
