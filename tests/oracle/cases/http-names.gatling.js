// Request names: EL, functions, groups, the same name twice.
import { exec, group } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run } from "./lib.js";

export default run(
  one("names", exec((s) => s.set("n", "el")), http("#{n} name").get("/a"), http((s) => "fn " + s.scenario()).get("/a"), http("same").get("/1"), http("same").get("/2"), group("g").on(http("same").get("/3")), group("#{n}").on(group("in").on(http("x").get("/4"))), http("with / slash").get("/5")),
);
