// in() of nothing matches nothing.
import { exec, regex } from "@gatling.io/core";
import { header, http, status } from "@gatling.io/http";
import { own, run } from "./lib.js";

const get = (name, ...checks) => http(name).get("/x").check(...checks);

export default run(
  own("nothing", get("status", status().in()), get("header", header("none").in()), get("all", regex("o").findAll().in())),
  own("list", get("find", regex("o").find().in([])), get("function", status().in(() => []))),
  own("session", exec((s) => s.set("none", [])), get("el", status().inEL("#{none}"))),
);
