// Connects that fail, and what is done with the WebSocket afterwards.
// @differs sent.*.extensions | none are offered | WebSocket extensions
import { regex } from "@gatling.io/core";
import { ws } from "@gatling.io/http";
import { closedSockets, own, runWith, say, streams } from "./lib.js";
/* pages
/404 404

/500 500 content-type: text/plain
broken

/204 204

/200 200 content-type: text/plain
fine

/302 302 location: /w

/w 101

/noupgrade 101 upgrade: h2c

/noconnection 101 connection: close

/accept 101 sec-websocket-accept: AAAA

/unasked 101 sec-websocket-protocol: v3

/wrongsub 101 sec-websocket-protocol: v3

/close 200 !close

/reset 200 !reset
*/
const text = (name) => ws.checkTextMessage(name);
const tried = (name, connect) => own(name,
  connect,
  say("after"),
  ws("send").sendText("hello"),
  ws("sent and checked").sendText("hello").await(1).on(text("of send")),
  ws("bytes").sendBytes([1]),
  ws("close").close(),
  ws("again").connect("/w"),
  ws("last").close(),
);
export default runWith(streams,
  tried("404", ws("connect").connect("/404")),
  tried("404 checked", ws("connect").connect("/404").await(1).on(text("of connect").check(regex("x")))),
  tried("500", ws("c500").connect("/500")),
  tried("204", ws("c204").connect("/204")),
  tried("200", ws("c200").connect("/200")),
  tried("302", ws("c302").connect("/302")),
  tried("noupgrade", ws("cnoupgrade").connect("/noupgrade")),
  tried("noconnection", ws("cnoconnection").connect("/noconnection")),
  tried("accept", ws("caccept").connect("/accept")),
  tried("unasked", ws("cunasked").connect("/unasked")),
  tried("wrongsub", ws("cwrongsub").connect("/wrongsub").subprotocol("v1,v2")),
  tried("nosub", ws("cnosub").connect("/w").subprotocol("v1")),
  tried("close", ws("cclose").connect("/close")),
  tried("reset", ws("creset").connect("/reset")),
  tried("closed", ws("cclosed").connect(`${closedSockets}/w`)),
  tried("unknown", ws("cunknown").connect("ws://no-such-host.invalid/w")),
);
