// Event streams that do not open, and what is done with them afterwards.
// @differs sent.*.connection | one of its own | connection of an event stream
// @differs errors.*Please report. | its status | an event stream that is answered 204
// @differs errors.*code 204 | its status | an event stream that is answered 204
import { http, sse } from "@gatling.io/http";
import { closed, ms, own, run, say } from "./lib.js";
/* pages
/e 200 content-type: text/event-stream | !stream
send data: x¶¶

/404 404 content-type: text/plain
none

/404events 404 content-type: text/event-stream
data: x¶¶

/500 500

/204 204

/text 200 content-type: text/plain
data: x¶¶

/json 200 content-type: application/json
{}

/notype 200 x-none: 1
data: x¶¶

/charset 200 content-type: text/event-stream; charset=utf-8 | !stream
send data: x¶¶

/upper 200 content-type: Text/Event-Stream | !stream
send data: x¶¶

/301 301 location: /e

/302 302 location: /e

/close 200 !close

/reset 200 !reset

/201 201 content-type: text/event-stream | !stream
send data: x¶¶
*/
const got = (name) => sse.checkMessage(name);
const tried = (path, name = path.slice(1)) => own(name,
  sse(`connect ${name}`).get(path).await(1).on(got("got")),
  say("after"),
  sse("check").setCheck().await(ms(100)).on(got("set")),
  sse("close").close(),
  sse("again").get("/e").await(3).on(got("then")),
  sse("last").close());
export default run(
  ...["/404", "/404events", "/500", "/204", "/text", "/json", "/notype", "/charset", "/upper", "/302", "/301", "/close", "/reset", "/201"].map((path) => tried(path)),
  tried(`${closed}/e`, "closed"),
  own("unchecked", sse("connect").get("/404"), say("after"), sse("close").close()),
  own("uncheckedText", sse("connect").get("/text"), say("after"), sse("close").close()),
);
