// ElFileBody, RawFileBody, PebbleStringBody, ByteArrayBody, in requests and as functions.
import { ElFileBody, RawFileBody, PebbleStringBody, ByteArrayBody, StringBody, exec, readResourceAsString, getParameter, getEnvironmentVariable } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";

const p = (name) => http(name).post("/b");
export default run(
  one("bodies", exec((s) => s.set("user", "ann").set("n", 3).set("l", ["a", "b"]).set("file", "el.json").set("m", { k: "<v>" })),
    p("el").body(ElFileBody("el.json")), p("raw").body(RawFileBody("raw.txt")), p("elname").body(ElFileBody("#{file}")), p("fnname").body(RawFileBody((s) => "raw.txt")),
    p("bytes").body(ByteArrayBody([1, 2, 127])), exec((s) => s.set("called", StringBody("x #{user}")(s) + ElFileBody("el.json")(s))), say("#{called}"),
    p("resource").body(StringBody(readResourceAsString("raw.txt"))), say(`${getParameter("none", "default")} ${getEnvironmentVariable("ORACLE_NONE", "fallback")}`)),
);
