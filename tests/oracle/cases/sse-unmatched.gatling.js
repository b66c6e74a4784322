// Events that no check took: dropped, or kept for processUnmatchedMessages.
import { pause, regex, substring } from "@gatling.io/core";
import { sse } from "@gatling.io/http";
import { ms, own, protocol, runWith, say } from "./lib.js";
/* pages
/five 200 content-type: text/event-stream | !stream
send data: m1¶¶data: m2¶¶data: m3¶¶data: m4¶¶id: 5¶data: m5¶¶

/slow 200 content-type: text/event-stream | !stream
send data: m1¶¶
wait 2000
send data: m2¶¶
*/
const show = (messages) => messages.map((m) => /m./.exec(m.message())[0]).join(",");
const list = (session, messages) => session.set("seen", `${messages.length}:${show(messages)}`);
const seen = [sse.processUnmatchedMessages((messages, session) => list(session, messages)), say("#{seen}")];
const got = (name) => sse.checkMessage(name);
const five = sse("connect").get("/five");
const close = sse("close").close();
const wait = pause(1);
const kept = (n) => protocol.sseUnmatchedInboundMessageBufferSize(n);
export default runWith(kept(3),
  own("none", five, wait, ...seen, close).protocols(protocol),
  own("zero", five, wait, ...seen, close).protocols(kept(0)),
  own("three", five, wait, ...seen, ...seen, close),
  own("raw", five, wait, sse.processUnmatchedMessages((messages, session) => session.set("seen", messages.map((m) => m.message()).join() + messages.every((m) => m.timestamp() > 1.6e12))), say("#{seen}"), close),
  own("skippedOver", five.await(3).on(got("m3").matching(substring("m3"))), wait, ...seen, close),
  own("afterCheck", five.await(3).on(got("m1")), wait, ...seen, close),
  own("timeout", five.await(1).on(got("none").matching(substring("zz"))), ...seen, close),
  own("failed", five.await(3).on(got("bad").check(substring("zz"))), wait, ...seen, close),
  own("setCheck", sse("connect").get("/slow"), wait, sse("set").setCheck().await(5).on(got("m2").check(regex("m(.)").saveAs("a"))), say("#{a}"), ...seen, close),
  own("named", sse("connect", "other").get("/five"), wait, sse.processUnmatchedMessages("other", (messages, session) => list(session, messages)), say("#{seen}"), sse("close", "other").close()),
  own("notOpen", ...seen, say("on")),
  own("afterClose", five, wait, close, ...seen, say("on")),
);
