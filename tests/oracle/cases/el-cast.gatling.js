// Where a number, a boolean or a list is wanted: what text and other types become.
// @differs errors.h: * | in our own words | error texts
import { exec, repeat, doIf, foreach, pause, doIfEquals, asLongAs } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";

const set = exec((s) => s.set("two", "2").set("half", "1.5").set("word", "abc").set("yes", "true").set("YES", "TRUE")
  .set("one", 1).set("n", 2).set("d", 2.0).set("bool", true).set("list", ["a", "b"]).set("zero", 0).set("no", "no"));
const failed = [exec((s) => s.set("was", s.isFailed())), say("failed=#{was}")];

export default run(
  one("rep-text", set, repeat("#{two}", "i").on(say("pass #{i}")), ...failed),
  one("rep-int", set, repeat("#{n}", "i").on(say("pass #{i}")), ...failed),
  one("rep-double", set, repeat("#{d}", "i").on(say("pass #{i}")), ...failed),
  one("rep-half", set, repeat("#{half}", "i").on(say("pass #{i}")), ...failed),
  one("rep-word", set, repeat("#{word}", "i").on(say("pass #{i}")), ...failed),
  one("rep-fn-double", set, repeat(() => 1.5, "i").on(say("pass #{i}")), ...failed),
  one("rep-fn-text", set, repeat(() => "2", "i").on(say("pass #{i}")), ...failed),
  one("rep-neg", set, repeat(-1, "i").on(say("pass #{i}")), ...failed),
  one("if-text", set, doIf("#{yes}").then(say("then")), ...failed),
  one("if-TEXT", set, doIf("#{YES}").then(say("then")), ...failed),
  one("if-no", set, doIf("#{no}").then(say("then")), ...failed),
  one("if-one", set, doIf("#{one}").then(say("then")), ...failed),
  one("if-fn-one", set, doIf(() => 1).then(say("then")), ...failed),
  one("if-fn-text", set, doIf(() => "true").then(say("then")), ...failed),
  one("if-literal", set, doIf("true").then(say("then")), ...failed),
  one("each-text", set, foreach("#{word}", "x").on(say("x=#{x}")), ...failed),
  one("each-list", set, foreach("#{list}", "x", "i").on(say("x=#{x} i=#{i}")), ...failed),
  one("each-fn", set, foreach(() => [1, "b", true], "x").on(say("x=#{x}")), ...failed),
  one("pause-word", set, pause("#{word}"), ...failed),
  one("pause-zero", set, pause("#{zero}"), ...failed),
  one("eq-mixed", set, doIfEquals("#{n}", "2").then(say("equal")), ...failed),
  one("eq-text", set, doIfEquals("#{two}", "2").then(say("equal")), ...failed),
  one("eq-number", set, doIfEquals("#{n}", 2).then(say("equal")), ...failed),
  one("while-word", set, asLongAs("#{word}").on(say("pass")), ...failed),
  one("header-fn", set, http("h").get("/x").header("a", () => 5), ...failed),
);
