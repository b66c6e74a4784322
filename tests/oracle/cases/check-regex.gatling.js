// regex: groups, arity, errors, saves.
import { regex } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/text 200 content-type: text/plain
a1 b2 c3 <i>x</i> a=1;b=2 end
*/
const get = (name, ...checks) => http(name).get("/text").check(...checks);
export default run(
  one(
    "regex",
    get("whole", regex("[a-c]\\d").saveAs("v")), say("#{v}"),
    get("group", regex("b(\\d)").saveAs("v")), say("#{v}"),
    get("second", regex("[a-c](\\d)").find(1).saveAs("v")), say("#{v}"),
    get("all", regex("([a-c])\\d").findAll().saveAs("v")), say("#{v} #{v.size()}"),
    get("groups", regex("(\\w)=(\\d)").captureGroups(2).saveAs("v")), say("#{v} #{v(0)} #{v(1)}"),
    get("allgroups", regex("(\\w)=(\\d)").captureGroups(2).findAll().saveAs("v")), say("#{v.size()} #{v(1)(0)}"),
    get("either", regex("(zz)|(b2)").saveAs("v")), say("#{v}"),
    get("empty", regex("<i>(y*)").saveAs("v")), say("[#{v}]"),
    get("none", regex("zzz").saveAs("none")),
    get("far", regex("[a-c]\\d").find(7)),
    get("allnone", regex("zzz").findAll()),
    get("is", regex("b(\\d)").is("9")),
    get("in", regex("b(\\d)").in("7", "8")),
    get("not", regex("b(\\d)").not("2")),
    get("notExists", regex("b(\\d)").notExists()),
    get("el", regex("#{v.exists()}")),
    get("noattr", regex("#{nope}")),
    get("elvalue", regex("b(\\d)").isEL("#{nope}")),
    get("optional", regex("zzz").optional().saveAs("opt")),
    get("random", regex("q(\\d)").findRandom()),
    get("random2", regex("[a-c](\\d)").findRandom(2).saveAs("two")), say("#{two.size()}"),
    get("random9", regex("[a-c](\\d)").findRandom(9).saveAs("two")), say("#{two.size()}"),
    get("random9t", regex("[a-c](\\d)").findRandom(9, true)),
    get("name", regex("b(\\d)").is("9").name("my name")),
    get("hidden", regex("b(\\d)").is("9").logActualValueInError(false)),
    say("opt=#{opt.exists()} none=#{none.exists()}"),
  ),
);
