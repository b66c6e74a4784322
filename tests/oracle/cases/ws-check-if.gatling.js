// Conditions of checks of messages, names and times that are computed.
// @differs sent.*.extensions | none are offered | WebSocket extensions
// @differs *.typed* | is given the message | `checkIf((message, session) => …)`
// @differs errors.say: No attribute named 'a' is defined | is given the message | `checkIf((message, session) => …)`
// @differs errors.TypeError* | is given the message | `checkIf((message, session) => …)`
// @differs errors.Error: string m1 named | is given the message | `checkIf((message, session) => …)`
// @differs *.timeInt* | seconds | `await("#{seconds}")`
// @differs errors.send: Can't cast '2'* | seconds | `await("#{seconds}")`
import { bodyString, exec, regex, substring } from "@gatling.io/core";
import { ws } from "@gatling.io/http";
import { ms, own, runWith, say, streams } from "./lib.js";
/* pages
/w 101
on burst: send m1 ; send m2
on quiet:
*/
const text = (name) => ws.checkTextMessage(name);
const open = ws("connect").connect("/w");
const close = ws("close").close();
const set = exec((s) => s.setAll({ yes: true, no: false, n: "named", d: 2, text: "m2", text2: "2" }));
const burst = (...checks) => ws("send").sendText("burst").await(2).on(...checks);
export default runWith(streams,
  own("untyped", set, open, burst(text("u").checkIf("#{yes}").then(regex("m(.)").saveAs("a")).checkIf("#{no}").then(bodyString().is("never")).checkIf((s) => s.get("yes")).then(bodyString().saveAs("b"))), say("#{a} #{b}"), close),
  own("typed", set, open, burst(text("t1").checkIf((m, s) => m === "m1" && s.get("yes")).then(bodyString().saveAs("a")), text("t2").checkIf((m, s) => m === "m1").then(bodyString().is("never")).check(bodyString().saveAs("b"))), say("#{a} #{b}"), close),
  own("kind", set, open, burst(text("kind").checkIf((m, s) => { throw new Error(`${typeof m} ${m} ${s.get("n")}`); }).then(bodyString().is("x"))), close),
  own("typedSaves", set, open, burst(text("ts").checkIf((m, s) => true).then(bodyString().saveAs("a"), bodyString().is("x"))), say("#{a}"), close),
  own("fails", set, open, burst(text("f").checkIf("#{yes}").then(bodyString().is("x"))), close),
  own("missing", set, open, burst(text("missing").checkIf("#{nope}").then(bodyString().is("x"))), close),
  own("notBoolean", set, open, burst(text("notBoolean").checkIf("#{n}").then(bodyString().is("x"))), close),
  own("throws", set, open, burst(text("throws").checkIf((m, s) => { throw new Error("boom"); }).then(bodyString().is("x")), text("after throw")), say("on"), close),
  own("nameFn", set, open, burst(text((s) => `by ${s.get("n")}`).check(bodyString().is("m1"))), close),
  own("nameEl", set, open, burst(text("by #{n}").check(bodyString().is("m1"))), close),
  own("nameMissing", set, open, burst(text("by #{nope}").check(bodyString().is("m1"))), say("on"), close),
  own("time", set, open, ws("send").sendText("burst").await("#{text2}").on(text("time el")), ws("send").sendText("burst").await((s) => ms(2000)).on(text("time fn")), close),
  own("timeInt", set, open, ws("send").sendText("burst").await("#{d}").on(text("time int")), close),
  own("timeMissing", set, open, ws("send").sendText("burst").await("#{nope}").on(text("never")), say("on"), close),
  own("matchEl", set, open, burst(text("match el").matching(bodyString().isEL("#{text}")).check(bodyString().saveAs("a"))), say("#{a}"), close),
  own("matchSaves", set, open, burst(text("match saves").matching(regex("m(2)").saveAs("m")).check(bodyString().saveAs("a"))), exec((s) => s.set("has", s.contains("m"))), say("#{a} #{has}"), close),
  own("matchMissing", set, open, ws("send").sendText("burst").await(ms(200)).on(text("match missing").matching(bodyString().isEL("#{nope}"))), close),
  own("checkEl", set, open, burst(text("check el").check(substring("#{nope}"))), burst(text("check el is").check(bodyString().isEL("#{nope}"))), close),
  own("later", set, open, burst(text("l1").check(bodyString().saveAs("first")), text("l2").check(bodyString().isEL("#{first}"))), close),
  own("transform", set, open, burst(text("tr").check(bodyString().transform((b) => b + "!").saveAs("a"), bodyString().transformWithSession((b, s) => b + s.get("n")).saveAs("b"), bodyString().validate("own", (b, s) => { throw new Error("no"); }))), say("#{a} #{b}"), close),
);
