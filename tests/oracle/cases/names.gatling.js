// Names of several requests and groups: slashes, spaces, empty ones, the same name in two places.
import { exec, group } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run } from "./lib.js";

export default run(
  one("names", http(" spaced ").get("/1"), group("a / b").on(http("c").get("/2")), group("a").on(group("b").on(http("c").get("/3"))), http("é ✓").get("/4"), http("").get("/5"), group("").on(http("in").get("/6"))),
);
