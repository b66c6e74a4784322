// Strategies, several records at once, and that one feeder object is shared by scenarios and users.
// @differs sent.array.* | `[a, b]`, `{k=v}` everywhere | lists and maps that came from
// @differs sent.json.* | `[a, b]`, `{k=v}` everywhere | lists and maps that came from
import { csv, arrayFeeder, jsonFile, exec, feed, repeat, scenario, atOnceUsers, rampUsers } from "@gatling.io/core";
import { one, run, say, ms } from "./lib.js";

const set = (f) => exec((s) => s.set("r", f(s)));
export default run(
  one("circular", repeat(5).on(feed(csv("users.csv").circular()), say("#{user}"))),
  one("pair", repeat(2).on(feed(csv("users.csv").circular(), 2), say("#{user} #{pass(1)} #{user.size()}"))),
  one("single", feed(csv("users.csv"), 1), say("#{user} #{user(0)}")),
  one("shuffle", repeat(3, "i").on(feed(csv("users.csv").shuffle()), exec((s) => s.set("all", (s.get("all") ?? "") + s.get("pass")))),
    set((s) => [...s.get("all")].sort().join("")), say("#{r}")),
  one("random", repeat(20).on(feed(csv("users.csv").random()), exec((s) => s.set("wrong", s.get("wrong") || !["1", "2", "3"].includes(s.get("pass"))))), say("#{wrong}")),
  one("el", exec((s) => s.set("n", 2)), feed(csv("users.csv"), "#{n}"), say("#{user}")),
  one("fn", feed(csv("users.csv"), () => 3), say("#{user}")),
  one("json", repeat(2).on(feed(jsonFile("rows.json")), exec((s) => s.set("more?", s.contains("more"))), say("#{id} #{tags} #{tags.size()} #{more?}"))),
  one("array", repeat(2).on(feed(arrayFeeder([{ a: 1, b: [1, 2] }, { a: "x", c: { d: 1 } }])), say("#{a} #{b}"))),
  one("transform", feed(csv("users.csv").transform((k, v) => (k === "pass" ? Number(v) * 10 : v.toUpperCase()))), say("#{user} #{pass}")),
);
