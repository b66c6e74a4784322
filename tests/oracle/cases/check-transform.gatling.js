// transform, transformWithSession, withDefault, validate: names, missing values, throws.
import { regex, jsonPath, exec, bodyString } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/t 200 content-type: text/plain
a5 b6
*/
const get = (name, ...checks) => http(name).get("/t").check(...checks);
export default run(
  one("transform",
    exec((s) => s.set("k", "K")),
    get("t", regex("a(\\d)").transform((x) => Number(x) * 2).saveAs("v")), say("#{v}"),
    get("tis", regex("a(\\d)").transform((x) => x + "!").is("6!")),
    get("twice", regex("a(\\d)").transform((x) => x + "!").transform((x) => x + "?").is("6")),
    get("session", regex("a(\\d)").transformWithSession((x, s) => x + s.get("k")).saveAs("v")), say("#{v}"),
    get("throws", regex("a(\\d)").transform(() => { throw new Error("boom"); })),
    get("missing", regex("z(\\d)").transform((x) => (x == null ? "made" : x)).saveAs("v")), say("#{v}"),
    get("null", regex("a(\\d)").transform(() => null)),
    get("undefined", regex("a(\\d)").transform(() => undefined)),
    get("default", regex("z(\\d)").withDefault("d").saveAs("v")), say("#{v}"),
    get("defaultEL", regex("z(\\d)").withDefaultEL("#{k}2").saveAs("v")), say("#{v}"),
    get("defaultfn", regex("z(\\d)").withDefault((s) => s.get("k") + "3").saveAs("v")), say("#{v}"),
    get("defaultmissing", regex("z(\\d)").withDefaultEL("#{nope}")),
    get("defaultis", regex("z(\\d)").withDefault("d").is("e")),
    get("all", regex("\\d").findAll().transform((l) => l.length).saveAs("v")), say("#{v}"),
    get("valid", regex("a(\\d)").validate("is five", (x) => { if (x !== "6") throw new Error(`found ${x}`); return x; })),
    get("validok", regex("a(\\d)").validate("is five", (x, s) => x + s.get("k")).saveAs("v")), say("#{v}"),
    get("validmissing", regex("z(\\d)").validate("mine", (x) => { if (x == null) throw new Error("nothing there"); return x; })),
    get("validmakes", regex("z(\\d)").validate("mine", () => "new").saveAs("v")), say("#{v}"),
    get("validtext", regex("a(\\d)").validate("mine", () => { throw "plain"; })),
    get("isfn", regex("a(\\d)").is((s) => s.get("k"))),
    get("isfnthrows", regex("a(\\d)").is(() => { throw new Error("boom"); })),
    get("type", regex("a(\\d)").transform(() => { throw new TypeError("wrong type"); })),
    get("ref", regex("a(\\d)").transform(() => nothing.there)),
  ),
);
