// jsonPath: the dialect.
// @differs errors.*crashed: * | the words after are the parser's own | words of parsers
import { foreach, jsonPath } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/json 200 content-type: application/json
{"a":{"b":[10,20,30,40]},"items":[{"id":1,"n":"x","p":5.5,"z":null},{"id":2,"n":"y"},{"id":3,"n":"z","p":1,"tags":["t"]}],"x y":"sp","a.b":"dot","null":null,"t":true,"big":12345678901,"e":1.0E3,"small":0.00000012,"deep":{"id":9,"items":[{"id":8}]},"list":[],"str":"a\"b\u00e9"}

/tree 200 content-type: application/json
{"a":{"b":[1,{"c":2}],"e":{}},"d":3,"f":[[4]]}
*/
const paths = [
  "$.a.b[0]", "$.a.b[-1]", "$.a.b[1:3]", "$.a.b[::2]", "$.a.b[0,2]", "$.a.b[*]", "$['x y']", "$['a.b']", "$..id", "$.items[*].n",
  "$.items[?(@.id==2)].n", "$.items[?(@.id>1)].n", "$.items[?(@.p)].id", "$.items[?(@.n=='x' || @.n=='z')].id",
  "$.items[?(@.id>1 && @.p<2)].id", "$.items[?(@.n!='x')].id", "$.a", "$.items[0]", "$.t", "$.big", "$.e", "$.small", "$.str", "$.list", "$.a.*",
  "$.nope", "$.null", "$.items[0]['id','n']", "$..items[?(@.id==8)].id", "$", "$.items[9]", "$.items.id", "$.a.b[1:]", "$.a.b[:-1]", "$.items[?(@.tags[0]=='t')].id",
  "$.items[?(@.z==null)].id", "$..*", "$.items[?(@.id <= 2)].id", "$[\"a\"].b[2]", "$.deep..id",
];
export default run(
  one(
    "jsonpath",
    ...paths.flatMap((path, i) => [
      http(`p${i}`).get("/json").check(jsonPath(path).findAll().optional().saveAs(`v${i}`)),
    ]),
    ...paths.map((path, i) => say(`${path.replace(/[#{}]/g, "")} -> #{v${i}.exists()}`)),
    ...paths.filter((_, i) => ![25, 30, 31].includes(i)).map((path) => http("first").get("/json").check(jsonPath(path).optional().saveAs("v"))).flatMap((r, i) => [r, say("#{v}")]),
  ),
  one("any", ...["$..*", "$.a..*", "$..*.c", "$..b[*]", "$.f..*", "$.d..*", "$..*..c"].map((path) => [
    http("any").get("/tree").check(jsonPath(path).findAll().saveAs("v")), say(`${path} #{v.size()}`), foreach("#{v}", "x").on(say("#{x}"))]).flat()),
  one("bad", ...["$.a[", "a.b", "$.a[?(@.x =~ /y/)]", "$.a.length()", "", "$.."].map((path, i) => http(`bad${i}`).get("/json").check(jsonPath(path)))),
);
