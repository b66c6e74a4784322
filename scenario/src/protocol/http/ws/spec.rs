//! The JSON of WebSocket actions: `{"ws": {"socket": …, "op": {"send_text": {…}}}}`.

use serde::{Deserialize, Serialize};

use super::super::inbound::SequenceSpec;
use super::super::spec::RequestSpec;
use crate::expr::{Expr, FnId};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WsSpec {
    /// Which of the user's sockets.
    pub socket: Expr,
    pub op: WsOp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WsOp {
    Connect(Box<ConnectSpec>),
    SendText(SendSpec),
    SendBytes(SendSpec),
    Close(CloseSpec),
    /// `processUnmatchedMessages(f)`
    Process(FnId),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectSpec {
    pub request: RequestSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<Expr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaits: Vec<SequenceSpec>,
    /// Tells in this attribute whether the socket is open: what `onConnected` runs upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendSpec {
    pub content: Expr,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaits: Vec<SequenceSpec>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseSpec {
    pub code: u16,
    pub reason: String,
}

impl WsSpec {
    /// In a line, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.op {
            WsOp::Connect(it) => format!("WebSocket {}", it.request.url),
            WsOp::SendText(it) => format!("WebSocket: send {}", it.content),
            WsOp::SendBytes(_) => "WebSocket: send bytes".to_owned(),
            WsOp::Close(_) => "WebSocket: close".to_owned(),
            WsOp::Process(_) => "WebSocket: process the unmatched messages".to_owned(),
        }
    }
}
