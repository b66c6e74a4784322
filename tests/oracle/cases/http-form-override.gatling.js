// What formParam does to a field of form(...), and the order in which they go out.
import { exec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run } from "./lib.js";
const has = exec((s) => s.set("f", { a: "1", b: "2" }));
export default run(
  one("override", has, http("p").post("/").form("#{f}").formParam("a", "9")),
  one("before", has, http("p").post("/").formParam("b", "8").form("#{f}")),
  one("both", has, http("p").post("/").form("#{f}").formParam("c", "7").multivaluedFormParam("a", ["x", "y"])),
  one("mapped", has, http("p").post("/").form("#{f}").formParamMap({ b: "6" })),
  one("same", http("p").post("/").formParam("a", "1").formParam("a", "2")),
);
