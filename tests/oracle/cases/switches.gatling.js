// doIf and its kin, doSwitch, random switches whose outcome is certain.
import { exec, doIf, doIfOrElse, doIfEquals, doIfEqualsOrElse, doSwitch, doSwitchOrElse, onCase, randomSwitch, randomSwitchOrElse, percent, uniformRandomSwitch, repeat } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

const set = exec((s) => s.set("a", "x").set("n", 1).set("yes", true).set("no", false).set("one", "1").set("z", null));
export default run(
  one("if", set, doIf("#{yes}").then(say("yes")), doIf("#{no}").then(say("never")), doIf((s) => s.get("n") === 1).then(say("fn"))),
  one("orelse", set, doIfOrElse("#{no}").then(say("never")).orElse(say("else")), doIfOrElse("#{yes}").then(say("then")).orElse(say("never"))),
  one("equals", set, doIfEquals("#{a}", "x").then(say("x")), doIfEquals("#{n}", 1).then(say("1")), doIfEquals("#{n}", "1").then(say("text 1")), doIfEquals("#{one}", 1).then(say("number 1")), doIfEqualsOrElse("#{a}", "y").then(say("never")).orElse(say("other")), doIfEquals((s) => s.get("a"), (s) => "x").then(say("fns"))),
  one("switch", set, doSwitch("#{a}").on(onCase("y").then(say("never")), onCase("x").then(say("x"))), doSwitch("#{a}").on(onCase("p").then(say("never")), onCase("q").then(say("never"))), doSwitchOrElse("#{a}").on(onCase("p").then(say("never")), onCase("q").then(say("never"))).orElse(say("else")), doSwitch("#{n}").on(onCase(1).then(say("1")), onCase("1").then(say("text")))),
  one("switchtext", set, doSwitch("#{one}").on(onCase(1).then(say("number")), onCase("1").then(say("text"))), doSwitch((s) => s.get("n")).on(onCase(2).then(say("never")), onCase(1).then(say("fn")))),
  one("random", repeat(5).on(randomSwitch().on(percent(100).then(say("always")))), randomSwitch().on(percent(0).then(say("never"))), randomSwitchOrElse().on(percent(0).then(say("never"))).orElse(say("else"))),
  one("uniform", repeat(3).on(uniformRandomSwitch().on(say("same"), say("same")))),
  one("null", set, doIf("#{z.exists()}").then(say("never")), doIf("#{z.isUndefined()}").then(say("never"))),
);
