// What is sent after the server has closed the WebSocket, where reconnects are allowed.
// @differs sent.*.extensions | none are offered | WebSocket extensions
// @differs *.connected* | not run again | `onConnected` after a reconnect
import { exec, pause } from "@gatling.io/core";
import { ws } from "@gatling.io/http";
import { ms, own, runWith, say, streams } from "./lib.js";
/* pages
/w 101
on bye: close 1000 bye
on end: end

/once 101
on bye: close 1000 bye

/once 404

/greet 101
send hello
on bye: close 1000 bye
*/
const text = (name) => ws.checkTextMessage(name);
const open = ws("connect").connect("/w");
const close = ws("close").close();
const bye = [ws("bye").sendText("bye"), pause(1)];
const hi = (name) => ws("hi").sendText("hi").await(1).on(text(name));
const failed = [exec((s) => s.set("f", s.isFailed())), say("#{f}")];
const always = streams.wsReconnect();
const once = streams.wsMaxReconnects(1);
export default runWith(always,
  own("always", open, ...bye, hi("r1"), ...bye, hi("r2"), ...failed, close),
  own("sendOnly", open, ...bye, ws("hi").sendText("hi"), ws("bytes").sendBytes([1, 2]), close),
  own("closeOnly", open, ...bye, close, ...failed),
  own("ended", open, ws("end").sendText("end"), pause(1), hi("e1"), ...failed, close),
  own("endedClose", open, ws("end").sendText("end"), pause(1), close, ...failed),
  own("once", open, ...bye, hi("o1"), ...bye, hi("o2"), ...failed, close).protocols(once),
  own("both", open, ...bye, hi("b1"), ...bye, hi("b2"), ...bye, hi("b3"), ...failed, close).protocols(streams.wsReconnect().wsMaxReconnects(2)),
  own("refused", ws("connect").connect("/once"), ...bye, hi("f1"), ...failed, hi("f2"), close),
  own("greeted", ws("connect").connect("/greet").await(1).on(text("greeting")), ...bye, hi("g1"), ...failed, close),
  own("waiting", open, ws("bye").sendText("bye").await(1).on(text("w1")), ...failed, hi("w2"), close),
  own("headers", exec((s) => s.set("h", "1")), ws("connect").connect("/w?h=#{h}").header("X-H", "#{h}"), ...bye, exec((s) => s.set("h", "2")), hi("h1"), close),
  own("connected", ws("connect").connect("/w").onConnected(exec(say("connected"))), ...bye, hi("c1"), ...failed, close),
);
