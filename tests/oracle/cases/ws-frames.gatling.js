// What is sent: text, bytes, expressions; fragments, pings, and answers that are given unasked.
// @differs sent.*.extensions | none are offered | WebSocket extensions
// @differs *.bytesEl* | sent in UTF-8 | `sendBytes("#{text}")`
// @differs errors.el: Can't cast* | sent in UTF-8 | `sendBytes("#{text}")`
// @differs sent.bothReplies.* | both count | `wsAutoReplyTextFrame`
import { bodyBytes, bodyLength, bodyString, exec, pause, substring } from "@gatling.io/core";
import { ws } from "@gatling.io/http";
import { ms, own, runWith, say, streams } from "./lib.js";
/* pages
/w 101
on beat: send 2
on ping: ping there ; send after
on parts: parts one|two|three
on ask: send question ; send rest
on askWait: wait 100 ; send question
*/
const text = (name) => ws.checkTextMessage(name);
const binary = (name) => ws.checkBinaryMessage(name);
const open = ws("connect").connect("/w");
const close = ws("close").close();
const wait = pause(1);
const replies = streams.wsAutoReplyTextFrame((frame) => (frame === "question" ? "answer" : null));
const kept = (protocol) => protocol.wsUnmatchedInboundMessageBufferSize(5);
const seen = [ws.processUnmatchedMessages((messages, session) => session.set("seen", messages.map((m) => m.message()).join())), say("seen #{seen}")];
export default runWith(streams,
  own("text", exec((s) => s.set("a", "b")), open, ws("lit").sendText("plain"), ws("el").sendText("el #{a}"), ws("fn").sendText((s) => `fn ${s.get("a")}`), ws("empty").sendText(""), ws("unicode").sendText("ä€😀").await(1).on(text("unicode").check(bodyString().saveAs("u"))), say("#{u}"), close),
  own("bytes", exec((s) => s.set("a", [1, 2, 3])), open, ws("lit").sendBytes([0, 127, -1]), ws("fn").sendBytes((s) => [4, 5]).await(1).on(binary("back").matching(bodyLength().is(2)).check(bodyBytes().is([4, 5]), bodyLength().is(2))), ws("empty").sendBytes([]), close),
  own("bytesEl", exec((s) => s.set("a", "text")), open, ws("el").sendBytes("#{a}"), say("on"), close),
  own("missing", open, ws("no text").sendText("#{nope}"), ws("no bytes").sendBytes("#{nope}"), ws("throws").sendText((s) => { throw new Error("boom"); }), exec((s) => s.set("f", s.isFailed())), say("#{f}"), ws("send").sendText("hi").await(1).on(text("hi")), close),
  own("names", exec((s) => s.set("n", "named")), ws("connect #{n}", "x").connect("/w"), ws("send #{n}").wsName("x").sendText("hi").await(1).on(text("x")), ws("connect y").wsName("y").connect("/w"), ws("y").wsName((s) => "y").sendText("hi"), ws("no #{nope}", "x").sendText("unsent"), say("on"), ws("close x").wsName("x").close(), ws("close y").wsName("y").close()),
  own("noUrl", ws("connect").connect("/#{nope}"), say("on"), ws("send").sendText("x"), close),
  own("socketMissing", ws("connect").wsName((s) => { throw new Error("boom"); }).connect("/w"), say("on")),
  own("ping", open, ws("send").sendText("ping").await(1).on(text("after").check(bodyString().is("after"))), wait, close),
  own("parts", open, ws("send").sendText("parts").await(1).on(text("whole").check(bodyString().saveAs("p"))), say("#{p}"), close),
  own("reply", open, ws("send").sendText("ask").await(1).on(text("rest").check(bodyString().saveAs("r"))), wait, say("#{r}"), ...seen, close).protocols(kept(replies)),
  own("replyIdle", open, ws("send").sendText("ask"), wait, ...seen, close).protocols(kept(replies)),
  own("replyLate", open, ws("send").sendText("askWait").await(ms(1500)).on(text("question").matching(substring("question"))), wait, ...seen, close).protocols(kept(replies)),
  own("socketIo", open, ws("send").sendText("beat").await(1).on(text("3 is echoed").matching(bodyString().is("3"))), wait, ...seen, close).protocols(kept(streams.wsAutoReplySocketIo4())),
  own("bothReplies", open, ws("send").sendText("beat"), ws("send").sendText("ask"), wait, ...seen, close).protocols(kept(replies.wsAutoReplySocketIo4())),
);
