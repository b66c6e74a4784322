// How a failed session looks after each thing that fails, and what markAsSucceeded mends.
import { exec, group, pause, feed, csv, doIf, dummy } from "@gatling.io/core";
import { http, status } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/bad 500
*/
const look = (label) => [exec((s) => s.set("was", s.isFailed())), say(`${label} failed=#{was}`)];

export default run(
  one("ko", http("ko").get("/bad"), ...look("ko"), exec((s) => s.markAsSucceeded()), ...look("mended")),
  one("throws", exec(() => { throw new Error("boom"); }), ...look("throws")),
  one("nothing", exec(() => undefined), ...look("nothing")),
  one("dummy", dummy("d", 5).withSuccess(false), ...look("dummy")),
  one("dummyok", dummy("d", 5).withSuccess(true).withSessionUpdate((s) => s.set("x", "y")), say("x=#{x}"), ...look("dummy")),
  one("dummyel", exec((s) => s.set("ok", "false")), dummy("d2", "7").withSuccess("#{ok}"), ...look("dummyel")),
  one("mark", exec((s) => s.markAsFailed()), http("next").get("/fine"), ...look("mark")),
  one("silent", http("quiet").get("/bad").silent(), ...look("silent")),
  one("group", group("g").on(http("in").get("/bad"), exec((s) => s.markAsSucceeded())), ...look("group")),
);
