// Event streams that are closed, opened twice, or not open; names that are computed.
// @differs sent.*.connection | one of its own | connection of an event stream
// @differs *.endedTwice* | opens a new one | `connect` of a WebSocket or SSE name
// @differs *.tried* | opens a new one | `connect` of a WebSocket or SSE name
// @differs errors.Server returned* | opens a new one | `connect` of a WebSocket or SSE name
// @differs errors.*already exists | names the stream | an SSE name that is taken
import { exec, group, pause, tryMax } from "@gatling.io/core";
import { http, sse } from "@gatling.io/http";
import { ms, own, run, say } from "./lib.js";
/* pages
/e 200 content-type: text/event-stream | !stream
send data: x¶¶

/ends 200 content-type: text/event-stream | !stream
send retry: 60000¶data: x¶¶
end

/beat 200 content-type: text/event-stream | !stream
wait 400
send data: x¶¶
wait 400
send data: x¶¶
wait 400
send data: x¶¶

/404 404
*/
const got = (name) => sse.checkMessage(name);
const open = sse("connect").get("/e");
const close = sse("close").close();
const set = (name) => sse("set").setCheck().await(1).on(got(name));
const failed = [exec((s) => s.set("f", s.isFailed())), say("#{f}")];
export default run(
  own("closed", open, close, ...failed, set("c1"), sse("close again").close(), ...failed),
  own("never", set("n1"), ...failed, close, ...failed),
  own("twice", open, sse("connect two").get("/e"), ...failed, close),
  own("reopened", open, close, sse("connect two").get("/e").await(3).on(got("r1")), ...failed, close),
  own("ended", sse("connect").get("/ends").await(3).on(got("e1")), pause(1), close, ...failed),
  own("endedSet", sse("connect").get("/ends").await(3).on(got("e2")), pause(1), set("e3"), ...failed, close),
  own("endedTwice", sse("connect").get("/ends").await(3).on(got("e4")), pause(1), sse("connect two").get("/e"), ...failed, close),
  own("requests", open, http("a").get("/a"), http("b").get("/b"), close, http("c").get("/c")),
  own("beat", sse("connect").get("/beat"), http("a").get("/a"), set("b1"), set("b2"), close),
  own("names", exec((s) => s.set("n", "named")), sse("connect #{n}", "x").get("/e"), sse("set #{n}").sseName("x").setCheck().await(ms(50)).on(got("missed")), sse("connect y").sseName((s) => "y").get("/e").await(3).on(got("y1")), sse("close #{n}").sseName("x").close(), sse("close y", "y").close(), say("on")),
  own("missing", sse("connect #{nope}").get("/e"), say("on"), sse("connect").get("/#{nope}"), ...failed, sse("close").close(), say("on")),
  own("left", open, pause(ms(50))),
  own("grouped", group("g").on(set("g1"), say("in g"))),
  own("tried", tryMax(2).on(sse("connect").get("/404").await(3).on(got("t1")), say("not"))),
);
