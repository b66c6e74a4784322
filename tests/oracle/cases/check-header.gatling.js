// status, header, headerRegex, currentLocation: values, arity, errors, order.
import { http, status, header, headerRegex, currentLocation, currentLocationRegex } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/h 201 X-One: a=1, b=2 | x-two: first | x-two: second | location: /elsewhere
body

/q 500 content-type: text/plain
*/
const get = (name, ...checks) => http(name).get("/h?k=v").check(...checks);
export default run(
  one("header",
    get("one", header("x-one").saveAs("v")), say("#{v}"),
    get("case", header("X-ONE").is("a=1, b=2")),
    get("two", header("x-two").findAll().saveAs("v")), say("#{v}"),
    get("find1", header("x-two").find(1).saveAs("v")), say("#{v}"),
    get("none", header("nope")),
    get("is", header("x-one").is("z")),
    get("regex", headerRegex("x-one", "b=(\\d)").saveAs("v")), say("#{v}"),
    get("regexgroups", headerRegex("x-one", "(\\w)=(\\d)").captureGroups(2).findAll().saveAs("v")), say("#{v.size()} #{v(1)(1)}"),
    get("regexnone", headerRegex("x-one", "zz")),
    get("regexnoheader", headerRegex("nope", "zz")),
    get("location", currentLocation().saveAs("v")), say("#{v}"),
    get("locationis", currentLocation().is("x")),
    get("locationregex", currentLocationRegex("k=(.)").saveAs("v")), say("#{v}"),
    get("locationregexno", currentLocationRegex("zz(.)")),
    get("status", status().saveAs("v")), say("#{v}"),
    get("is200", status().is(200)),
    get("in", status().in(200, 202)),
    get("not", status().not(201)),
    get("lt", status().lt(200)),
    get("gte", status().gte(300)),
    get("isEL", status().isEL("#{v}")),
    get("isELbad", status().isEL("abc")),
    http("implicit").get("/q"),
    http("explicit").get("/q").check(status().is(500)),
    http("two").get("/q").check(status().is(200), status().is(500)),
  ),
);
