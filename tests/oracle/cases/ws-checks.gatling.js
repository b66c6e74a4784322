// Checks of messages: each counted by its own name; sequences, matching, what fails and what is skipped.
// @differs sent.*.extensions | none are offered | WebSocket extensions
import { bodyBytes, bodyLength, bodyString, exec, group, jmesPath, jsonPath, pause, regex, substring } from "@gatling.io/core";
import { ws } from "@gatling.io/http";
import { ms, own, runWith, say, streams } from "./lib.js";
/* pages
/w 101
on burst: send m1 ; send m2 ; send m3 ; send m4
on json: send {"a": [1, 2], "b": "x"}
on slow: wait 1500 ; send late
on mixed: binary 0102 ; send text ; binary 0304
on quiet:
on spaced: wait 1000 ; send s1 ; wait 1000 ; send s2

/greet 101
send hello
send world
binary 07

/late 101
wait 1500
send late
*/
const text = (name) => ws.checkTextMessage(name);
const binary = (name) => ws.checkBinaryMessage(name);
const open = ws("connect").connect("/w");
const close = ws("close").close();
export default runWith(streams,
  own("echo", open, ws("send").sendText("hi").await(2).on(text("echo").check(bodyString().is("hi"), regex("(h)").saveAs("h"))), say("#{h}"), close),
  own("sequence", open, ws("send").sendText("burst").await(2).on(text("s1").check(regex("m(.)").saveAs("a")), text("s2").check(regex("m(.)").saveAs("b")), text("s3").check(regex("m(.)").saveAs("c"))), say("#{a}#{b}#{c}"), close),
  own("sequences", open, ws("send").sendText("burst").await(2).on(text("q1"), text("q2").check(regex("m(.)").saveAs("a"))).await(2).on(text("q3").check(regex("m(.)").saveAs("b"))), say("#{a}#{b}"), close),
  own("matching", open, ws("send").sendText("burst").await(2).on(text("m3").matching(substring("m3")).check(regex("m(.)").saveAs("a")), text("m4").matching(regex("m(.)").is("4"), substring("4")).check(bodyString().saveAs("b"))), say("#{a} #{b}"), close),
  own("never", open, ws("send").sendText("burst").await(ms(200)).on(text("m2").matching(substring("m2")), text("m1 again").matching(substring("m1")), text("skipped")), close),
  own("failing", open, ws("send").sendText("hi").await(2).on(text("bad").check(regex("(h)").saveAs("h"), bodyString().is("ho"), substring("zz"))), say("#{h}"), ws("go on").sendText("ho").await(2).on(text("good").check(bodyString().is("ho"))), close),
  own("skipped", open, ws("send").sendText("burst").await(2).on(text("k1").check(bodyString().is("x")), text("k2")).await(2).on(text("k3")), pause(1), ws("next").sendText("hi").await(2).on(text("k4").check(bodyString().saveAs("k"))), say("#{k}"), close),
  own("timeout", open, ws("send").sendText("quiet").await(ms(150)).on(text("late").check(bodyString().is("x"))), ws("next").sendText("hi").await(2).on(text("n")), close),
  own("timeoutTwo", open, ws("send").sendText("hi").await(1).on(text("t1"), text("t2"), text("t3")), close),
  own("timeShared", open, ws("send").sendText("spaced").await(ms(1500)).on(text("s1"), text("s2")), pause(1), close),
  own("timeEach", open, ws("send").sendText("spaced").await(ms(1500)).on(text("e1")).await(ms(1500)).on(text("e2")), close),
  own("slow", open, ws("send").sendText("slow").await(ms(500)).on(text("too late")), ws("next").sendText("hi").await(5).on(text("either").check(bodyString().saveAs("e"))), say("#{e}"), close),
  own("kinds", open, ws("send").sendText("mixed").await(2).on(text("text of mixed").check(bodyString().saveAs("t")), binary("binary of mixed").check(bodyBytes().is([3, 4]), bodyLength().is(2))), say("#{t}"), close),
  own("json", open, ws("send").sendText("json").await(2).on(text("j").check(jsonPath("$.a[1]").ofInt().saveAs("a"), jmesPath("b").saveAs("b"), jsonPath("$.c").notExists())), say("#{a} #{b}"), close),
  own("greet", ws("connect").connect("/greet").await(2).on(text("hello").check(bodyString().is("hello")), text("world").check(bodyString().saveAs("w")), binary("seven").check(bodyBytes().is([7]))), say("#{w}"), close),
  own("greetFails", ws("connect").connect("/greet").await(2).on(text("bad greeting").check(bodyString().is("no"))), say("still"), ws("send").sendText("hi").await(2).on(text("after bad")), close),
  own("late", ws("connect").connect("/late").await(ms(500)).on(text("late greeting")), ws("send").sendText("hi").await(5).on(text("first")), close),
  own("silent", open, ws("send").sendText("hi").await(2).on(text("quietly").silent().check(bodyString().saveAs("x"))), say("#{x}"), ws("send").sendText("hi").await(2).on(text("quietly bad").silent().check(bodyString().is("x"))), exec((s) => s.set("f", s.isFailed())), say("#{f}"), close),
  own("silentThen", open, ws("send").sendText("burst").await(2).on(text("quiet").silent().check(bodyString().is("x")), text("loud")), say("on"), close),
  own("bare", open, ws("send").sendText("hi").await(2).on(text("no checks")), close),
  own("grouped", group("g").on(open, ws("send").sendText("hi").await(2).on(text("in g").check(bodyString().is("x"))), close)),
);
