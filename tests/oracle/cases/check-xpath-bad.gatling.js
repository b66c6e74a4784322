// xpath: a path that does not parse.
// @differs * | refused when loaded | `xpath`
import { xpath } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run } from "./lib.js";
/* pages
/xml 200 content-type: application/xml
<r><i>one</i></r>
*/
export default run(one("bad", http("bad").get("/xml").check(xpath("//i["))));
