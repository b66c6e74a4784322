// Messages that no check took: dropped, or kept for processUnmatchedMessages.
// @differs sent.*.extensions | none are offered | WebSocket extensions
import { bodyString, pause, substring } from "@gatling.io/core";
import { isWsInboundMessageBinary, isWsInboundMessageText, ws } from "@gatling.io/http";
import { ms, own, runWith, say, streams } from "./lib.js";
/* pages
/w 101
on burst: send m1 ; send m2 ; send m3 ; send m4
on mixed: binary 0102 ; send text

/greet 101
send hello
send world
*/
const text = (name) => ws.checkTextMessage(name);
const show = (messages) => messages.map((m) => (isWsInboundMessageText(m) ? m.message() : isWsInboundMessageBinary(m) ? `b${m.message().length}` : "?")).join(",");
const list = (session, messages) => session.set("seen", `${messages.length}:${show(messages)}`);
const seen = [ws.processUnmatchedMessages((messages, session) => list(session, messages)), say("#{seen}")];
const open = ws("connect").connect("/w");
const close = ws("close").close();
const wait = pause(1);
const kept = (n) => streams.wsUnmatchedInboundMessageBufferSize(n);
export default runWith(kept(3),
  own("none", open, ws("send").sendText("burst"), wait, ...seen, close).protocols(streams),
  own("zero", open, ws("send").sendText("burst"), wait, ...seen, close).protocols(kept(0)),
  own("three", open, ws("send").sendText("burst"), wait, ...seen, ...seen, close),
  own("few", open, ws("send").sendText("hi"), wait, ...seen, close),
  own("mixed", open, ws("send").sendText("mixed"), wait, ...seen, close),
  own("greet", ws("connect").connect("/greet"), wait, ...seen, close),
  own("skippedOver", open, ws("send").sendText("burst").await(2).on(text("m3").matching(substring("m3"))), wait, ...seen, close),
  own("beforeCheck", open, ws("send").sendText("burst"), wait, ws("hi").sendText("hi").await(2).on(text("hi").check(bodyString().saveAs("hi"))), say("#{hi}"), ...seen, close),
  own("afterCheck", open, ws("send").sendText("burst").await(2).on(text("first")), wait, ...seen, close),
  own("timeout", open, ws("send").sendText("burst").await(ms(200)).on(text("none").matching(substring("zz"))), ...seen, close),
  own("failed", open, ws("send").sendText("burst").await(2).on(text("bad").check(substring("zz"))), wait, ...seen, close),
  own("across", open, ws("send").sendText("hi"), ws("send").sendText("ho").await(2).on(text("hi or ho").matching(substring("ho"))), ...seen, close),
  own("otherKind", open, ws("send").sendText("mixed").await(2).on(text("text").matching(substring("text"))), wait, ...seen, close),
  own("idleThenSend", open, ws("send").sendText("burst"), wait, ws("hi").sendText("hi"), wait, ...seen, close),
  own("named", ws("connect", "other").connect("/w"), ws("send", "other").sendText("hi"), wait, ws.processUnmatchedMessages("other", (messages, session) => list(session, messages)), say("#{seen}"), ws.processUnmatchedMessages((s) => "other", (messages, session) => list(session, messages)), say("#{seen}"), ws("close", "other").close()),
  own("notOpen", ...seen, say("on")),
  own("throws", open, ws("send").sendText("hi"), wait, ws.processUnmatchedMessages(() => { throw new Error("boom"); }), say("on"), ...seen, close),
  own("afterClose", open, ws("send").sendText("hi"), wait, close, ...seen, say("on")),
  own("timestamps", open, ws("send").sendText("burst"), wait, ws.processUnmatchedMessages((messages, session) => session.set("ok", messages.every((m) => m.timestamp() > 1.6e12))), say("#{ok}"), close),
);
