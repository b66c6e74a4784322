// dummy: its time, outcome, name, session update.
// @times 120
import { dummy, exec, group } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(
  one("dummy", exec((s) => s.set("t", 200).set("ok", false).set("name", "el")),
    dummy("plain", 100), say("1"), dummy("text", "#{t}"), say("2"), dummy("fn", (s) => 150), say("3"),
    dummy("ko", 10).withSuccess(false), dummy("ok", 10).withSuccess((s) => true), dummy("kofn", 10).withSuccess((s) => false), dummy("koel", 10).withSuccess("#{ok}"),
    dummy("#{name}", 10), dummy((s) => "named " + s.scenario(), 10),
    dummy("update", 10).withSessionUpdate((s) => s.set("u", "v")), say("#{u}"),
    dummy("throws", 10).withSessionUpdate(() => { throw new Error("boom"); }), say("4"),
    dummy("sucthrows", 10).withSuccess(() => { throw new Error("boom"); }), say("5"),
    dummy("zero", 0), say("6")),
);
