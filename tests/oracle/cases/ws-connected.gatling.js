// onConnected: what it runs, when, and what its failures do.
// @differs sent.*.extensions | none are offered | WebSocket extensions
import { bodyString, exec, group, pause, repeat } from "@gatling.io/core";
import { http, ws } from "@gatling.io/http";
import { ms, own, runWith, say, streams } from "./lib.js";
/* pages
/w 101

/greet 101
send hello

/404 404
*/
const text = (name) => ws.checkTextMessage(name);
const close = ws("close").close();
const failed = [exec((s) => s.set("f", s.isFailed())), say("failed #{f}")];
const open = (...steps) => ws("connect").connect("/w").onConnected(exec(...steps));
export default runWith(streams,
  own("runs", open(say("one"), exec((s) => s.set("a", "b")), say("#{a}")), say("then #{a}"), close),
  own("sends", open(ws("login").sendText("login").await(1).on(text("logged in").check(bodyString().saveAs("a")))), say("#{a}"), close),
  own("checked", ws("connect").connect("/greet").await(1).on(text("greeting").check(bodyString().saveAs("a"))).onConnected(exec(say("in chain"), exec((s) => s.set("has", s.contains("a"))), say("has #{has}"))), ...failed, say("#{a}"), close),
  own("awaitAfter", ws("connect").connect("/greet").onConnected(exec(say("in chain"))).await(1).on(text("greeting")), ...failed, close),
  own("checkFails", ws("connect").connect("/greet").await(1).on(text("bad greeting").check(bodyString().is("no"))).onConnected(exec(say("in chain"))), ...failed, close),
  own("timeout", ws("connect").connect("/w").await(ms(150)).on(text("none")).onConnected(exec(say("in chain"))), ...failed, close),
  own("refused", ws("connect").connect("/404").onConnected(exec(say("in chain"))), ...failed),
  own("chainFails", open(http("bad").get("/404"), say("goes on")), ...failed, close),
  own("loops", open(repeat(2).on(ws("send").sendText("hi").await(1).on(text("hi"))), pause(ms(50))), close),
  own("grouped", group("g").on(open(group("h").on(say("in h")), say("in g")), close)),
  own("closes", open(ws("early").close()), ws("send").sendText("x"), close),
);
