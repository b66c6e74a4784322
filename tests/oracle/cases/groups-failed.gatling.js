// A group's own status: what makes it KO, and what does not.
import { exec, group, dummy, doIf, tryMax, exitHereIfFailed, repeat, pause } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say, ms } from "./lib.js";
/* pages
/bad 500
*/
const ok = http("ok").get("/ok");
const bad = http("bad").get("/bad");
const mark = exec((s) => s.markAsFailed());
const mend = exec((s) => s.markAsSucceeded());
const failed = (label) => exec(exec((s) => s.set("was", s.isFailed())), say(`${label} failed=#{was}`));
export default run(
  one("a", group("ok").on(ok), group("bad").on(bad), failed("after bad"), group("after bad").on(ok), group("again").on(bad, ok)),
  one("b", group("outer").on(ok, group("inner").on(bad)), failed("nested")),
  one("c", group("outer2").on(bad, group("inner2").on(ok))),
  one("d", mark, group("entered failed").on(ok), failed("entered failed")),
  one("e", group("marked").on(mark), group("mended").on(bad, mend), failed("mended")),
  one("f", group("silent ko").on(http("quiet").get("/bad").silent()), group("empty").on(exec((s) => s))),
  one("g", group("unbuilt").on(http("u").get("#{nope}"))),
  one("h", group("thrown").on(exec(() => { throw new Error("boom"); }))),
  one("i", group("doif").on(doIf("#{nope}").then(ok)), group("loop").on(repeat("#{nope}").on(ok))),
  one("j", group("exits").on(bad, exitHereIfFailed(), ok), ok),
  one("k", group("#{nope}").on(ok), group("named #{x.exists()}").on(ok), group((s) => "fn " + s.scenario()).on(ok)),
  one("l", group("tried").on(tryMax(2).on(bad)), failed("tried"), group("tried in").on(tryMax(2).on(group("deep").on(bad)))),
  one("m", mark, group("failed again").on(bad), mend, group("marks").on(ok, mark, ok), group("twice").on(ok), group("twice").on(bad)),
  one("n", group("dummies").on(dummy("d", 5).withSuccess(false)), group("pause").on(pause("#{nope}"))),
  one("o", group("a").on(group("b").on(group("c").on(ok)))),
  one("p", group("outer3").on(group("in1").on(bad), group("in2").on(ok), mend, ok), failed("outer3")),
);
