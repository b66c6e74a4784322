// Every function of a session, and what it leaves.
import { exec } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

const told = (s, key, value) => s.set(key, String(value));

export default run(
  one(
    "api",
    exec((s) => s.set("a", 1)),
    exec((s) => told(s, "r", [s.get("a"), s.get("zz") == null, s.contains("a"), s.contains("zz")].join())),
    say("get #{r}"),
    exec((s) => s.setAll({ b: 2, c: "three" })),
    say("setAll #{b} #{c}"),
    exec((s) => s.remove("b")),
    exec((s) => told(s, "r", s.contains("b"))),
    say("remove #{r}"),
    exec((s) => s.removeAll("a", "c")),
    exec((s) => told(s, "r", [s.contains("a"), s.contains("c")].join())),
    say("removeAll #{r}"),
    exec((s) => told(s, "r", [s.isFailed(), s.markAsFailed().isFailed(), s.markAsFailed().markAsSucceeded().isFailed()].join())),
    say("failed #{r}"),
    exec((s) => { s.set("lost", 1); return s; }),
    exec((s) => told(s, "r", s.contains("lost"))),
    say("immutable #{r}"),
    exec((s) => told(s, "r", [s.scenario(), typeof s.userId(), s.groups().length].join())),
    say("who #{r}"),
    exec((s) => s.set("x", 1).markAsFailed()),
    exec((s) => told(s.reset(), "r", [s.reset().contains("x"), s.reset().isFailed()].join())),
    say("reset #{r}"),
    exec((s) => s.setByteArray("bytes", [104, 105])),
    exec((s) => told(s, "r", s.contains("bytes"))),
    say("bytes #{r}"),
  ),
);
