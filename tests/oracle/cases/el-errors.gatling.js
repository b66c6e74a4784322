// Each failure of an expression in a request: its text, and that the request is not counted.
import { exec } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

const texts = [
  "#{nope}", "#{map.nope}", "#{map.deep.nope}", "#{list(9)}", "#{list(-9)}", "#{text.key}", "#{text(0)}",
  "#{text.size()}", "#{text.random()}", "#{n.htmlUnescape()}", "#{n.size()}", "#{list.key}", "#{list(nope)}",
  "#{nope.size()}", "#{nope.random()}", "#{nope.jsonStringify()}", "#{text._1}", "#{map(0)}",
  "#{nope.a.b}", "#{map.a.b}", "#{list(0).a}", "#{map.list(7)}",
];

export default run(
  one(
    "errors",
    exec((s) => s.set("text", "str").set("n", 5).set("map", { a: 1, deep: { b: 2 }, list: [1] })
      .set("list", ["x"]).set("empty", [])),
    ...texts.map((text, i) => say(`value ${text}`, `e${i}`)),
    exec((s) => s.set("failed", s.isFailed())),
    say("failed=#{failed}"),
  ),
);
