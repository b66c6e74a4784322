// WebSockets that end: by the server, by the client, while a check waits; one name twice.
// @differs sent.code.0.stream | Gatling ignores them | `ws(…).close(code, reason)`
// @differs sent.*.extensions | none are offered | WebSocket extensions
// @differs *.reopenedAfterServer* | opens a new one | `connect` of a WebSocket or SSE name
// @differs *.tried* | opens a new one | `connect` of a WebSocket or SSE name
// @differs errors.*already exists | opens a new one | `connect` of a WebSocket or SSE name
// @differs errors.Client issued text* | opens a new one | `connect` of a WebSocket or SSE name
// @differs errors.WebSocket crashed*: so long | opens a new one | `connect` of a WebSocket or SSE name
import { exec, group, pause, tryMax } from "@gatling.io/core";
import { ws } from "@gatling.io/http";
import { ms, own, runWith, say, streams } from "./lib.js";
/* pages
/w 101
on bye: close 1001 so long
on plain: close 1000
on end: end
on reset: reset
on quiet:

/bye 101
close 1011 no

/end 101
end

/last 101
send hello
close 1000 done
*/
const text = (name) => ws.checkTextMessage(name);
const open = ws("connect").connect("/w");
const close = ws("close").close();
const wait = pause(1);
const after = [ws("send after").sendText("x"), ws("check after").sendText("x").await(ms(100)).on(text("after")), ws("bytes after").sendBytes([1]), close, ws("close again").close(), say("end")];
const failed = [exec((s) => s.set("f", s.isFailed())), say("#{f}")];
export default runWith(streams,
  own("client", open, close, ...failed, ...after),
  own("code", open, ws("close").close(1001, "enough"), say("end")),
  own("server", open, ws("send").sendText("bye"), wait, ...failed, ...after),
  own("serverPlain", open, ws("send").sendText("plain"), wait, close, ...failed),
  own("serverEnds", open, ws("send").sendText("end"), wait, ...failed, ...after),
  own("serverEndsClose", open, ws("send").sendText("end"), wait, close, ...failed),
  own("serverResets", open, ws("send").sendText("reset"), wait, close, ...failed),
  own("waiting", open, ws("send").sendText("bye").await(1).on(text("w1"), text("w2")), ...failed, ...after),
  own("waitingPlain", open, ws("send").sendText("plain").await(1).on(text("w3")), close),
  own("waitingEnd", open, ws("send").sendText("end").await(1).on(text("w4")), ...after),
  own("waitingReset", open, ws("send").sendText("reset").await(1).on(text("w5")), close),
  own("atOnce", ws("connect").connect("/bye"), wait, ...after),
  own("atOnceChecked", ws("connect").connect("/bye").await(1).on(text("w6")), ...after),
  own("endsAtOnce", ws("connect").connect("/end").await(1).on(text("w7")), ...after),
  own("last", ws("connect").connect("/last").await(1).on(text("l1")), wait, close),
  own("lastTwo", ws("connect").connect("/last").await(1).on(text("l1"), text("l2")), wait, close),
  own("never", ws("send").sendText("x"), ws("check").sendText("x").await(1).on(text("n")), ws("bytes").sendBytes([1]), close, ...failed),
  own("twice", open, ws("connect two").connect("/w"), ...failed, ws("send").sendText("hi").await(1).on(text("hi")), close),
  own("reopened", open, close, ws("connect two").connect("/w"), ws("send").sendText("hi").await(1).on(text("hi")), close),
  own("reopenedAfterServer", open, ws("send").sendText("bye"), wait, ws("connect two").connect("/w"), ws("send").sendText("hi").await(1).on(text("hi")), close),
  own("left", open, ws("send").sendText("hi").await(1).on(text("hi"))),
  own("grouped", group("g").on(ws("send").sendText("x"), say("in g"))),
  own("tried", tryMax(2).on(open, ws("send").sendText("bye").await(1).on(text("w8")), say("not"))),
);
