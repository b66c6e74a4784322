// Separated values: header and value trimming, quotes, blank lines, missing and extra fields.
import { csv, tsv, ssv, separatedValues, exec, feed, repeat } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(
  one("mixed", exec((s) => s.set("name", "before")), repeat(3).on(
    feed(csv("mixed.csv")),
    exec((s) => s.set("r", [s.get("id"), s.get("name"), s.get("x"), s.get("\"x\""), s.contains("")].join("~"))),
    say("[#{r}]"),
  )),
  one("bom", feed(csv("users.csv")), say("#{user} #{pass}")),
  one("tsv", feed(tsv("t.tsv")), say("#{a}-#{b}")),
  one("ssv", feed(ssv("s.ssv")), say("#{a}-#{b}")),
  one("quoted", feed(separatedValues("p.txt", "|", "'")), say("#{a}-#{b}")),
);
