// The same missing attribute in every part of a request: the texts, and which of them are errors.
import { ElFileBody, StringBody, exec, pause, doIf, repeat, feed, csv, group, dummy } from "@gatling.io/core";
import { http, status } from "@gatling.io/http";
import { one, run, say } from "./lib.js";

const failed = (name) => [
  exec((s) => s.set("was", s.isFailed())),
  say(`${name} failed=#{was}`),
];

export default run(
  one("url", http("url").get("/x/#{nope}"), ...failed("url")),
  one("query", http("query").get("/x").queryParam("a", "#{nope}"), ...failed("query")),
  one("querykey", http("querykey").get("/x").queryParam("#{nope}", "a"), ...failed("querykey")),
  one("header", http("header").get("/x").header("a", "#{nope}"), ...failed("header")),
  one("body", http("body").post("/x").body(StringBody("#{nope}")), ...failed("body")),
  one("form", http("form").post("/x").formParam("a", "#{nope}"), ...failed("form")),
  one("file", http("file").post("/x").body(ElFileBody("missing.txt")), ...failed("file")),
  one("filename", http("filename").post("/x").body(ElFileBody("#{nope}")), ...failed("filename")),
  one("fn", http("fn").get(() => { throw new Error("boom"); }), ...failed("fn")),
  one("bodyfn", http("bodyfn").post("/x").body(StringBody(() => { throw new Error("boom"); })), ...failed("bodyfn")),
  one("name", http("#{nope}").get("/x"), ...failed("name")),
  one("namefn", http(() => { throw new Error("boom"); }).get("/x"), ...failed("namefn")),
  one("pause", pause("#{nope}"), ...failed("pause")),
  one("doif", doIf("#{nope}").then(say("then")), ...failed("doif")),
  one("repeat", repeat("#{nope}").on(say("pass")), ...failed("repeat")),
  one("group", group("#{nope}").on(say("inside")), ...failed("group")),
  one("dummy", dummy("#{nope}", 10), ...failed("dummy")),
  one("dummytime", dummy("dummytime", "#{nope}"), ...failed("dummytime")),
  one("auth", http("auth").get("/x").basicAuth("#{nope}", "p"), ...failed("auth")),
  one("check", http("check").get("/x").check(status().isEL("#{nope}")), ...failed("check")),
);
