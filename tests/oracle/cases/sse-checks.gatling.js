// Checks of events: counted by their own names; sequences, setCheck, what fails and what is skipped.
// @differs *.timeInt* | seconds | `await("#{seconds}")`
// @differs errors.connect: Can't cast '1'* | seconds | `await("#{seconds}")`
// @differs errors.TypeError* | is given the message | `checkIf((message, session) => …)`
// @differs errors.Error: {"data":"m1"} false | is given the message | `checkIf((message, session) => …)`
import { bodyString, exec, group, jsonPath, pause, regex, substring } from "@gatling.io/core";
import { sse } from "@gatling.io/http";
import { ms, own, run, say } from "./lib.js";
/* pages
/five 200 content-type: text/event-stream | !stream
send data: m1¶¶data: m2¶¶
send data: m3¶¶data: m4¶¶data: m5¶¶

/slow 200 content-type: text/event-stream | !stream
wait 1500
send data: m1¶¶
wait 700
send data: m2¶¶
wait 700
send data: m3¶¶

/silent 200 content-type: text/event-stream | !stream
*/
const got = (name) => sse.checkMessage(name);
const saved = (name, attribute) => got(name).check(regex("m(.)").saveAs(attribute));
const five = sse("connect").get("/five");
const slow = sse("connect").get("/slow");
const close = sse("close").close();
const failed = [exec((s) => s.set("f", s.isFailed())), say("#{f}")];
const set = (within, ...checks) => sse("set").setCheck().await(within).on(...checks);
export default run(
  own("unchecked", five, say("on"), close),
  own("one", five.await(3).on(saved("o1", "a")), say("#{a}"), close),
  own("sequence", five.await(3).on(saved("s1", "a"), saved("s2", "b"), saved("s3", "c")), say("#{a}#{b}#{c}"), close),
  own("sequences", five.await(3).on(saved("q1", "a")).await(1).on(saved("q2", "b"), saved("q3", "c")), say("#{a}#{b}#{c}"), close),
  own("matching", five.await(3).on(saved("m3", "a").matching(substring("m3")), saved("m5", "b").matching(jsonPath("$.data").is("m5"))), say("#{a}#{b}"), close),
  own("never", five.await(ms(200)).on(got("m2").matching(substring("m2")), got("m1 again").matching(substring("m1")), got("skipped")), ...failed, close),
  own("failing", five.await(3).on(got("bad").check(regex("(m)").saveAs("m"), substring("zz"), jsonPath("$.no")), got("skipped")), say("#{m}"), ...failed, close),
  own("skipped", five.await(3).on(got("k1").check(substring("zz"))).await(1).on(got("k2")), close),
  own("late", slow.await(ms(500)).on(got("late")), ...failed, set(3, saved("later", "a")), say("#{a}"), close),
  own("set", slow, set(5, saved("set1", "a")), say("#{a}"), set(5, saved("set2", "b"), saved("set3", "c")), say("#{b}#{c}"), close),
  own("setTwo", slow, sse("set").setCheck().await(5).on(saved("t1", "a")).await(5).on(saved("t2", "b")), say("#{a}#{b}"), close),
  own("setMissed", five, pause(1), set(ms(200), got("missed")), ...failed, close),
  own("setFails", slow, set(5, got("set bad").check(substring("zz"))), ...failed, set(5, got("set good")), close),
  own("quiet", sse("connect").get("/silent").await(ms(150)).on(got("nothing")), ...failed, close),
  own("typed", five.await(3).on(got("c0").checkIf((m, s) => { throw new Error(`${m} ${s.contains("a")}`); }).then(bodyString().is("x"))), close),
  own("untyped", five.await(3).on(got("c1").check(bodyString().saveAs("a")).checkIf("#{nope.exists()}").then(bodyString().is("x")).checkIf((s) => true).then(regex("m(.)").saveAs("b"))), say("#{a} #{b}"), close),
  own("missing", five.await(3).on(got("c2").checkIf("#{nope}").then(bodyString().is("x"))), ...failed, close),
  own("checkEl", five.await(3).on(got("c3").check(substring("#{nope}"))), ...failed, close),
  own("nameEl", exec((s) => s.set("n", "named")), five.await(3).on(got("by #{n}")), close),
  own("nameMissing", five.await(3).on(got("by #{nope}")), ...failed, close),
  own("time", exec((s) => s.set("d", "5")), slow.await("#{d}").on(got("time el")), set((s) => ms(5000), got("time fn")), close),
  own("timeInt", exec((s) => s.set("d", 1)), five.await("#{d}").on(got("time int"))),
  own("timeMissing", five.await("#{nope}").on(got("never")), ...failed, close),
  own("grouped", group("g").on(five.await(3).on(got("g1").check(substring("zz"))), close), ...failed),
);
