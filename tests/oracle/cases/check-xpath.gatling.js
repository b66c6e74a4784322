// xpath: elements, attributes, namespaces, functions, errors.
// @differs errors.*crashed: * | the words after are the parser's own | words of parsers
import { xpath } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/xml 200 content-type: application/xml
<?xml version="1.0"?><r xmlns:p="urn:p"><i id="1"> one </i><i id="2">two</i><p:q>ns</p:q><e/></r>

/text 200 content-type: text/plain
not xml
*/
const get = (name, ...checks) => http(name).get("/xml").check(...checks);
export default run(
  one("xpath",
    get("first", xpath("//i").saveAs("v")), say("[#{v}]"),
    get("all", xpath("//i").findAll().saveAs("v")), say("#{v}"),
    get("attr", xpath("//i[2]/@id").saveAs("v")), say("#{v}"),
    get("ns", xpath("//n:q", { n: "urn:p" }).saveAs("v")), say("#{v}"),
    get("count", xpath("count(//i)").saveAs("v")), say("#{v}"),
    get("text", xpath("/r/i[@id='2']/text()").saveAs("v")), say("#{v}"),
    get("none", xpath("//z")),
    get("far", xpath("//i").find(4)),
    get("is", xpath("//i[2]").is("zwei")),
    get("empty", xpath("//e").saveAs("v")), say("[#{v}]"),
    http("notxml").get("/text").check(xpath("//i")),
  ),
);
