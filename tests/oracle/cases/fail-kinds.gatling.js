// The four kinds of failure, and what each leaves behind.
import { exec, doIf, doIfOrElse, pause, doSwitch, onCase, exitHereIf, feed, csv, repeat, foreach, asLongAs, doWhile, during, randomSwitch, percent, doIfEquals } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/bad 500
*/
const look = [exec((s) => s.set("was", s.isFailed())), say("failed=#{was}")];
const boom = () => { throw new Error("boom"); };
const twice = (s) => s;
export default run(
  one("sent", http("bad").get("/bad"), ...look),
  one("refused", http("refused").get("#{closed}/x"), ...look),
  one("unbuilt", http("unbuilt").get("/#{nope}"), ...look),
  one("hook", exec(boom), ...look),
  one("if", doIf("#{nope}").then(say("then")), ...look),
  one("iffn", doIf(boom).then(say("then")), ...look),
  one("ifelse", doIfOrElse("#{nope}").then(say("then")).orElse(say("else")), ...look),
  one("ifequals", doIfEquals("#{nope}", 1).then(say("then")), ...look),
  one("switch", doSwitch("#{nope}").on(onCase("a").then(say("a")), onCase("b").then(say("b"))), ...look),
  one("pause", pause("#{nope}"), ...look),
  one("pausefn", pause(boom), ...look),
  one("exitif", exitHereIf("#{nope}"), ...look),
  one("exitiffn", exitHereIf(boom), ...look),
  one("repeat", repeat("#{nope}").on(say("in")), ...look),
  one("repeatfn", repeat(boom).on(say("in")), ...look),
  one("foreach", foreach("#{nope}", "x").on(say("in")), ...look),
  one("aslongas", asLongAs("#{nope}").on(say("in")), ...look),
  one("dowhile", doWhile("#{nope}").on(say("in")), ...look),
  one("during", during("#{nope}").on(say("in")), ...look),
);
