// The JSON that checks see of an event, by its fields.
// @differs *.soon* | passed over | `retry` of an event
// @differs errors.*"soon" | passed over | `retry` of an event
// @differs errors.say: No attribute named 'soon* | passed over | `retry` of an event
import { bodyString, jmesPath, jsonPath, regex, substring } from "@gatling.io/core";
import { http, sse } from "@gatling.io/http";
import { ms, own, run, say } from "./lib.js";
/* pages
/fields 200 content-type: text/event-stream | !stream
send data: only data¶¶
send event: kind¶data: x¶¶
send id: 7¶event: kind¶data: x¶¶
send retry: 5000¶data: x¶id: 8¶event: k¶¶
send data: one¶data: two¶data:¶data: four¶¶
send data: say "hi" \\ back	tab¶¶
send data: ä€😀¶¶

/values 200 content-type: text/event-stream | !stream
send data: {"a": 1, "b": [1, 2]}¶¶
send data: [1, "x"]¶¶
send data: 12¶¶
send data: true¶¶
send data: null¶¶
send data: "text"¶¶
send data: {broken¶¶
send data: [broken]¶¶
send data: {"a":¶data:  1}¶¶
send data:  {"a": 1} ¶¶

/odd 200 content-type: text/event-stream | !stream
send id: only¶¶
send event: only¶¶
send retry: 4000¶¶
send : comment¶¶
send data¶¶
send data:¶¶
send data: x¶id¶event:¶¶
send data: x¶other: y¶¶
send data: x¶: comment¶data: y¶¶
send data:no space¶¶
send data:  two spaces ¶¶
send event: a¶event: b¶id: 1¶id: 2¶data: x¶¶
send DATA: x¶Data: y¶¶
send data: last¶¶

/soon 200 content-type: text/event-stream | !stream
send data: x¶retry: soon¶¶
send data: y¶¶

/lines 200 content-type: text/event-stream | !stream
send da
wait 50
send ta: spl
wait 50
send it¶
wait 50
send ¶data: a¶¶data: b¶¶¶¶data: c¶¶
send data: unfinished¶
wait 50
send id: 9¶¶

/chunked 200 content-type: text/event-stream | !stream | !chunked
send data: a¶¶
wait 50
send data: b¶
send data: c¶¶data: d¶¶
*/
const all = (name) => sse.checkMessage(name).check(bodyString().saveAs(name));
const read = (path, count) => {
  const names = Array.from({ length: count }, (_, index) => `${path.slice(1)}${index}`);
  return own(path.slice(1), sse("connect").get(path).await(ms(1500)).on(...names.map(all)), ...names.map((name) => say(`${name} #{${name}}`)), sse("close").close());
};
export default run(
  read("/fields", 7),
  read("/values", 10),
  read("/odd", 12),
  read("/soon", 2),
  read("/lines", 6),
  read("/chunked", 3),
  own("paths", sse("connect").get("/fields").await(1).on(
    sse.checkMessage("data").check(jsonPath("$.data").saveAs("a"), jmesPath("data").is("only data"), substring("only"), regex("\"data\":\"(.*?)\"").saveAs("b")),
    sse.checkMessage("event").check(jsonPath("$.event").is("kind")),
    sse.checkMessage("id").check(jsonPath("$.id").saveAs("c"), jsonPath("$.id").is("7")),
    sse.checkMessage("retry").check(jsonPath("$.retry").ofInt().is(5000))), say("#{a} #{b} #{c}"), sse("close").close()),
  own("nested", sse("connect").get("/values").await(1).on(
    sse.checkMessage("object").check(jsonPath("$.data.a").ofInt().is(1), jsonPath("$.data.b[1]").saveAs("a")),
    sse.checkMessage("array").check(jsonPath("$.data[1]").saveAs("b")),
    sse.checkMessage("number").check(jsonPath("$.data").saveAs("c"), jsonPath("$.data").is("12"))), say("#{a} #{b} #{c}"), sse("close").close()),
);
