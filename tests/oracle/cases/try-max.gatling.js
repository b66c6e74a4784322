// tryMax and exitBlockOnFail: what triggers a retry, what is skipped, what is left.
// @differs sent.counter.* | the counter is set | `tryMax(n, counter)`
// @differs requests.say | the counter is set | `tryMax(n, counter)`
// @differs requests.flaky2 | the counter is set | `tryMax(n, counter)`
// @differs errors.say:* | the counter is set | `tryMax(n, counter)`
// @differs errors.status* | the counter is set | `tryMax(n, counter)`
import { exec, tryMax, exitBlockOnFail, group, doIf, pause, exitHereIfFailed, repeat } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/bad 500

/flaky 500

/flaky 200

/flaky2 500

/flaky2 500

/flaky2 200
*/
const bad = http("bad").get("/bad");
const note = (x) => exec((s) => s.set("log", (s.get("log") ?? "") + x));
const look = [exec((s) => s.set("was", s.isFailed())), say("failed=#{was} log=#{log}")];
const mark = exec((s) => s.markAsFailed());
export default run(
  one("flaky", tryMax(3).on(note("a"), http("flaky").get("/flaky"), note("b")), ...look),
  one("exhausted", tryMax(2).on(note("a"), bad, note("b"), say("skipped")), ...look),
  one("counter", tryMax(3, "i").on(say("pass #{i}"), http("flaky2").get("/flaky2")), say("#{i.exists()}"), ...look),
  one("block", exitBlockOnFail().on(say("1"), bad, note("x"), say("skipped")), ...look),
  one("nested", tryMax(2).on(note("o"), tryMax(2).on(note("i"), bad)), ...look),
  one("nestedblock", exitBlockOnFail().on(exitBlockOnFail().on(bad, say("no")), say("outer no")), ...look),
  one("hook", tryMax(2).on(note("a"), exec(() => { throw new Error("boom"); }), note("b")), note("c"), ...look),
  one("mark", tryMax(2).on(note("a"), mark, note("b"), say("skipped")), ...look),
  one("unbuilt", tryMax(2).on(note("a"), http("u").get("#{nope}"), note("b")), ...look),
  one("condition", tryMax(2).on(note("a"), doIf("#{nope}").then(say("x")), note("b")), ...look),
  one("silent", tryMax(2).on(note("a"), http("quiet").get("/bad").silent(), note("b")), ...look),
  one("entered", mark, note("z"), tryMax(2).on(note("a"), say("runs")), ...look),
  one("zero", tryMax(0).on(note("a"), bad), ...look),
  one("el", exec((s) => s.set("n", 2)), tryMax("#{n}").on(note("a"), bad), ...look),
  one("elnone", tryMax("#{nope}").on(note("a"), bad), ...look),
  one("exit", tryMax(2).on(note("a"), bad, exitHereIfFailed()), note("never"), ...look),
  one("exit2", tryMax(2).on(note("a"), mark, exitHereIfFailed()), say("never")),
  one("group", tryMax(2).on(group("g").on(note("a"), bad, say("skipped")), say("skipped too")), ...look),
  one("ingroup", group("around").on(exitBlockOnFail().on(bad), say("after")), ...look),
  one("loop", repeat(2, "i").on(exitBlockOnFail().on(say("try #{i}"), bad, say("skipped"))), ...look),
  one("inner loop", exitBlockOnFail().on(repeat(3, "i").on(say("try #{i}"), bad)), ...look),
  one("mended", exitBlockOnFail().on(bad, exec((s) => s.markAsSucceeded()), say("skipped")), ...look),
  one("pause", tryMax(2).on(note("a"), pause("#{nope}"), note("b")), ...look),
);
