// bodyString, bodyLength, bodyBytes, md5, sha1: they never show the value.
import { bodyString, bodyLength, bodyBytes, md5, sha1, StringBody, RawFileBody, ElFileBody, exec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/b 200 content-type: text/plain; charset=utf-8
héllo

/raw 200 content-type: text/plain
raw #{user}¶

/empty 200 content-type: text/plain

/el 200 content-type: application/json
{"user":"ann","n":3}
*/
const get = (name, ...checks) => http(name).get("/b").check(...checks);
export default run(
  one("body",
    get("save", bodyString().saveAs("s"), bodyLength().saveAs("l"), md5().saveAs("m"), sha1().saveAs("h")),
    say("#{s} #{l} #{m} #{h}"),
    get("is", bodyString().is("x")),
    get("length", bodyLength().is(9)),
    get("lengthlt", bodyLength().lt(3)),
    get("md5", md5().is("abc")),
    get("sha1", sha1().is("abc")),
    get("bytesok", bodyBytes().exists()),
    get("in", bodyString().in("a", "b")),
    get("notExists", bodyString().notExists()),
    http("empty").get("/empty").check(bodyString().saveAs("e"), bodyLength().saveAs("el")), say("[#{e}] #{el}"),
    exec((s) => s.set("user", "ann").set("n", 3)),
    http("el").get("/el").check(bodyString().is(ElFileBody("el.json"))),
    http("string").get("/b").check(bodyString().is(StringBody("héllo"))),
  ),
);
