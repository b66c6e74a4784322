// Every validator on a present and on a missing value: the texts.
// @differs requests.hidden-not | passes, as it should | `not(x).logActualValueInError(false)`
// @differs errors.*not(x), failed | passes, as it should | `not(x).logActualValueInError(false)`
import { regex, jsonPath, exec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/v 200 content-type: application/json
{"n":5,"s":"five"}
*/
const n = (path = "$.n") => jsonPath(path).ofInt();
const s = (path = "$.s") => jsonPath(path);
const get = (name, ...checks) => http(name).get("/v").check(...checks);
export default run(
  one("validators",
    exec((session) => session.set("six", 6).set("list", ["a", "b"]).set("numbers", [1, 2])),
    get("is", n().is(6)), get("isEL", n().isEL("#{six}")), get("isfn", n().is((x) => x.get("six"))),
    get("not", n().not(5)), get("notEL", s().notEL("five")), get("notok", n().not(6)),
    get("in", n().in(1, 2)), get("inEL", s().inEL("#{list}")), get("inok", n().in(4, 5)),
    get("lt", n().lt(5)), get("lte", n().lte(4)), get("gt", n().gt(5)), get("gte", n().gte(6)),
    get("ltEL", n().ltEL("#{nope}")), get("gtEL", n().gtEL("#{six}")), get("gteok", n().gte(5)),
    get("exists", n().exists()), get("notExists", n().notExists()), get("optional", n().optional()),
    get("isNull", n().isNull()), get("notNull", n().notNull()),
    get("m-is", n("$.z").is(6)), get("m-not", n("$.z").not(5)), get("m-in", n("$.z").in(1, 2)),
    get("m-lt", n("$.z").lt(5)), get("m-gte", n("$.z").gte(6)), get("m-exists", n("$.z").exists()),
    get("m-notExists", n("$.z").notExists()), get("m-optional", n("$.z").optional()),
    get("m-isNull", n("$.z").isNull()), get("m-notNull", n("$.z").notNull()),
    get("hidden-not", s().not("x").logActualValueInError(false)),
    get("hidden-is", s().is("x").logActualValueInError(false)),
    get("hidden-in", s().in("x", "y").logActualValueInError(false)),
    get("hidden-notExists", s().notExists().logActualValueInError(false)),
    get("hidden-lt", n().lt(1).logActualValueInError(false)),
    get("named", s().is("x").name("the name")), get("named-missing", s("$.z").name("the name")),
    get("named-save", s().saveAs("v").name("the name")), say("#{v}"),
  ),
);
