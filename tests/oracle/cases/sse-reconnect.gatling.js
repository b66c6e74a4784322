// Event streams that end: the request is sent again after a while, with the last id.
// @differs sent.*.connection | one of its own | connection of an event stream
import { exec, pause, substring } from "@gatling.io/core";
import { sse } from "@gatling.io/http";
import { ms, own, run, say } from "./lib.js";
/* pages
/ends 200 content-type: text/event-stream | !stream
send retry: 100¶id: 1¶data: first¶¶
wait 700
end

/ends 200 content-type: text/event-stream | !stream
send id: 2¶data: second¶¶
wait 700
end

/ends 200 content-type: text/event-stream | !stream
send data: third¶¶

/properly 200 content-type: text/event-stream | !stream | !chunked
send retry: 100¶id: 1¶data: first¶¶
wait 700
end

/properly 200 content-type: text/event-stream | !stream
send data: second¶¶

/resets 200 content-type: text/event-stream | !stream
send retry: 100¶id: a b¶data: first¶¶
wait 50
reset

/resets 200 content-type: text/event-stream | !stream
send data: second¶¶

/cut 200 content-type: text/event-stream | !stream | !chunked
send retry: 100¶id: 1¶data: first¶¶
wait 300
cut

/cut 200 content-type: text/event-stream | !stream | !chunked
send id: 2¶data: second¶¶
wait 300
cut

/cut 200 content-type: text/event-stream | !stream | !chunked
send data: third¶¶

/cutLate 200 content-type: text/event-stream | !stream | !chunked
send retry: 100¶id: 1¶data: first¶¶
wait 1500
cut

/cutLate 200 content-type: text/event-stream | !stream | !chunked
send data: second¶¶

/resetChunk 200 content-type: text/event-stream | !stream | !chunked
send retry: 100¶id: 1¶data: first¶¶
wait 300
reset

/resetChunk 200 content-type: text/event-stream | !stream | !chunked
send data: second¶¶

/half 200 content-type: text/event-stream | !half
retry: 100¶id: 1¶data: first¶¶data: lost, as it is the half of what was promised¶¶

/half 200 content-type: text/event-stream | !stream
send data: second¶¶

/noid 200 content-type: text/event-stream | !stream
send retry: 100¶data: first¶¶
wait 700
end

/noid 200 content-type: text/event-stream | !stream
send data: second¶¶

/default 200 content-type: text/event-stream | !stream
send id: 1¶data: first¶¶
wait 700
end

/default 200 content-type: text/event-stream | !stream
send data: second¶¶

/refused 200 content-type: text/event-stream | !stream
send retry: 100¶id: 1¶data: first¶¶
wait 700
end

/refused 500

/refused 200 content-type: text/event-stream | !stream
send data: third¶¶

/gone 200 content-type: text/event-stream | !stream
send retry: 100¶id: 1¶data: first¶¶
wait 700
end

/gone 204

/cleared 200 content-type: text/event-stream | !stream
send retry: 100¶id: 1¶data: first¶¶id¶data: again¶¶
wait 700
end

/cleared 200 content-type: text/event-stream | !stream
send data: second¶¶

/empty 200 content-type: text/event-stream | !stream
end

/length 200 content-type: text/event-stream
retry: 100¶id: 1¶data: first¶¶
*/
const got = (name) => sse.checkMessage(name);
const is = (word) => got(word).matching(substring(word));
const open = (path) => sse("connect").get(path).await(3).on(is("first"));
const then = (word) => sse("set").setCheck().await(3).on(is(word));
const close = sse("close").close();
const failed = [exec((s) => s.set("f", s.isFailed())), say("#{f}")];
const twice = (path, name = path.slice(1)) => own(name, open(path), then("second"), ...failed, close);
export default run(
  own("ends", open("/ends"), then("second"), then("third"), ...failed, close),
  twice("/properly"),
  twice("/resets"),
  twice("/noid"),
  own("cut", open("/cut"), then("second"), then("third"), ...failed, close),
  own("cutIdle", sse("connect").get("/cutLate").await(1).on(is("first")), pause(5), ...failed, close),
  own("cutClose", sse("connect").get("/cutLate").await(1).on(is("first")), pause(5), close, ...failed),
  twice("/resetChunk"),
  twice("/half"),
  twice("/cleared"),
  own("default", sse("connect").get("/default").await(5).on(got("first")), sse("set").setCheck().await(5).on(got("second")), ...failed, close),
  own("refused", open("/refused"), sse("set").setCheck().await(2).on(is("third")), ...failed, close),
  own("gone", open("/gone"), sse("set").setCheck().await(1).on(is("second")), ...failed, close, say("end")),
  own("waiting", sse("connect").get("/ends").await(2).on(is("first"), is("second"), is("third")), ...failed, close),
  own("idle", sse("connect").get("/ends"), pause(2), ...failed, close),
  own("closed", open("/ends"), close, pause(2), ...failed),
  own("empty", sse("connect").get("/empty").await(1).on(got("never")), ...failed, close),
  own("length", open("/length"), pause(1), sse("set").setCheck().await(1).on(got("once more")), ...failed, close),
  own("left", open("/ends")),
);
