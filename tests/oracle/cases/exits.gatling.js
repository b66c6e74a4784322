// exitHere, exitHereIf, exitHereIfFailed: groups are closed, the user ends.
import { exec, exitHere, exitHereIf, exitHereIfFailed, group, repeat, doIf } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/bad 500
*/
const bad = http("bad").get("/bad");
export default run(
  one("here", group("g").on(say("1"), exitHere(), say("2")), say("3")),
  one("if", exec((s) => s.set("yes", true)), exitHereIf("#{yes}"), say("never")),
  one("ifnot", exec((s) => s.set("no", false)), exitHereIf("#{no}"), say("on")),
  one("iffn", group("h").on(exitHereIf((s) => s.scenario() === "iffn")), say("never")),
  one("failed", bad, exitHereIfFailed(), say("never")),
  one("notfailed", say("x"), exitHereIfFailed(), say("on")),
  one("ingroup", group("o").on(group("i").on(bad, exitHereIfFailed(), say("never")))),
  one("mended", bad, exec((s) => s.markAsSucceeded()), exitHereIfFailed(), say("on")),
  one("loop", repeat(3, "i").on(say("#{i}"), doIf((s) => s.get("i") === 1).then(exitHere())), say("never")),
);
