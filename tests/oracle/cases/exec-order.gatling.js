// exec of several kinds, chains inside chains, functions that return nothing.
import { exec, pause, repeat } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";

const chain = exec(say("1"), say("2")).exec(say("3"));
export default run(
  one("chains", chain, exec(exec(say("4")), exec(say("5"), exec(say("6")))), chain),
  one("fn", exec((s) => s.set("a", 1)), say("#{a}"), exec((s) => s.set("a", s.get("a") + 1)), say("#{a}")),
);
