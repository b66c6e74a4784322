// Quotes in separated values: in the middle, doubled, behind a closed one, around separators and line ends; marks of byte order.
import { csv, exec, feed, repeat, separatedValues, ssv, tsv } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

const names = ["a", "b", "c", "d"];
const shown = (s) => s.set("r", names.map((name) => `${name}=${s.contains(name) ? `<${s.get(name)}>` : "-"}`).join(" "));
const all = (name, feeder, count) =>
  one(name, repeat(count).on(exec((s) => s.removeAll(...names)), feed(feeder), exec(shown), say("#{r}")));

export default run(
  all("csv", csv("quotes.csv"), 19),
  all("tsv", tsv("quotes.tsv"), 5),
  all("ssv", ssv("quotes.ssv"), 3),
  all("mark", csv("mark.csv"), 2),
  all("other", separatedValues("quotes.txt", "§", "«"), 5),
);
