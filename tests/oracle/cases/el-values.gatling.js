// What values look like in text: numbers, booleans, lists, maps, nested access.
import { exec } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(
  one(
    "el",
    exec((s) => s
      .set("int", 42).set("double", 1.5).set("yes", true)
      .set("text", "a b").set("empty", "").set("list", ["x", "y", "z"]).set("numbers", [0.5, 2.5])
      .set("map", { a: 1, b: { c: "deep" }, "d e": "spaced" }).set("i", 1)
      .set("rows", [{ id: 1, tags: ["p", "q"] }, { id: 2, tags: [] }])),
    say("int=#{int} double=#{double} yes=#{yes} text=#{text} empty=[#{empty}]"),
    say("list=#{list} first=#{list(0)} last=#{list(-1)} by=#{list(i)} size=#{list.size()}"),
    say("map=#{map.a} deep=#{map.b.c} spaced=#{map.d e} size=#{map.size()} rows=#{rows(1).id} tag=#{rows(0).tags(1)}"),
    say("numbers=#{numbers} one=#{numbers(1)}"),
    say("exists=#{int.exists()} no=#{nope.exists()} undefined=#{nope.isUndefined()} deep=#{map.b.c.exists()} gone=#{map.zz.exists()}"),
    say("json=#{list.jsonStringify()} #{map.jsonStringify()} #{int.jsonStringify()} #{text.jsonStringify()} #{yes.jsonStringify()} #{double.jsonStringify()}"),
    say("escaped \\#{int} $#{int} # {int} #int {int} $ #"),
    say("#{int}#{int}"),
  ),
);
