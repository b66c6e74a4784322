// Loops: counters start at 0, are removed on exit; an attribute that exists is continued.
// @differs sent.foreachlit.3.* | `[a, b]`, `{k=v}` everywhere | lists and maps that came from
import { exec, repeat, foreach, asLongAs, doWhile, forever, during, exitHereIf, asLongAsDuring, doWhileDuring } from "@gatling.io/core";
import { one, run, say, ms } from "./lib.js";

const small = (name, n) => (s) => (s.get(name) ?? 0) < n;
const add = (name) => exec((s) => s.set(name, (s.get(name) ?? 0) + 1));
export default run(
  one("repeat", repeat(3, "i").on(say("i=#{i}")), say("#{i.exists()}"), repeat(0).on(say("never")), repeat((s) => 2).on(say("fn"))),
  one("nested", repeat(2, "i").on(repeat(2, "j").on(say("#{i}#{j}")))),
  one("continued", exec((s) => s.set("pre", 5)), repeat(8, "pre").on(say("#{pre}")), say("after #{pre}")),
  one("text", exec((s) => s.set("pre", "x")), repeat(2, "pre").on(say("#{pre}")), say("after #{pre}")),
  one("changed", repeat(6, "i").on(say("#{i}"), exec((s) => s.set("i", s.get("i") + 1)))),
  one("foreach", exec((s) => s.set("l", ["a", "b"])), foreach("#{l}", "x", "i").on(say("#{x}#{i}")), say("#{x} #{i.exists()}")),
  one("foreachlit", foreach(["p", 1, true, { k: "v" }], "x").on(say("#{x}"))),
  one("foreachgrows", exec((s) => s.set("l", ["a"])), foreach("#{l}", "x").on(say("#{x}"), exec((s) => s.set("l", s.get("x") === "a" ? ["a", "z"] : s.get("l"))))),
  one("foreachempty", exec((s) => s.set("l", [])), foreach("#{l}", "x").on(say("never")), say("#{x.exists()}")),
  one("aslongas", asLongAs(small("n", 2), "c").on(say("c=#{c}"), add("n")), say("#{c.exists()}")),
  one("aslongasel", exec((s) => s.set("go", true)), asLongAs("#{go}").on(say("once"), exec((s) => s.set("go", false)), say("rest"))),
  one("aslongasap", exec((s) => s.set("go", true)), asLongAs("#{go}", "c", true).on(say("once"), exec((s) => s.set("go", false)), say("skipped"))),
  one("dowhile", doWhile(small("n", 2), "c").on(say("c=#{c}"), add("n"))),
  one("dowhilefalse", doWhile(() => false).on(say("once"))),
  one("forever", forever("c").on(say("c=#{c}"), exitHereIf((s) => s.get("c") === 2))),
  one("during0", during(0).on(say("once?"))),
  one("aslongasduring", asLongAsDuring(small("n", 2), 5, "c").on(say("c=#{c}"), add("n"))),
  one("dowhileduring", doWhileDuring(() => false, 5, "c").on(say("c=#{c}"))),
  one("counterset", exec((s) => s.set("n", 3)), repeat("#{n}", "i").on(say("#{i} of #{n}"), exec((s) => s.set("n", 2)))),
);
