// jsonPath: blanks, what filters look at, and what `..name` does not look into.
// @differs errors.*crashed: * | the words after are the parser's own | words of parsers
import { exec, jsonPath } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
/* pages
/json 200 content-type: application/json
{"l":[1,"x",2.5,null,true,3],"m":{"zeta":1,"alpha":2,"mid":{"b":1,"a":2}},"deep":{"id":9,"in":[{"id":{"id":8}},{"x":{"id":7}}],"none":{}},"my-key":{"1a":5}," a":"blank","a":"plain","*":"star","it's":"quote","big":[9007199254740993,18446744073709551615]}
*/
const paths = [
  " $ . m . zeta ", "$.m [ 'zeta' ]", "$['m'] .zeta", "$.m['zeta' , 'alpha', 'no']", "$.l[ 0 ]", "$.l[0 , -2,9]", "$.l[ 0 : 2 ]", "$.l[?( @==1 )]", "$.l[? (@==1)]", "$.l[?(@==1) ]", "$. .id",
  "$.l[::2]", "$.l[:-4]", "$.l[::-1]", "$.l[-1:-3:-1]", "$.l[2::-1]", "$.m[*]", "$.l.*", "$.m.mid.*", "$['*']", "$[' a']", "$[\"a\"]", "$['it\\'s']", "$.my-key.1a", "$.mid",
  "$..id", "$.m.mid..*", "$..*.b", "$['m']..['b']", "$.l[?(@ > 1)]", "$.l[?(@ != 1)]", "$.l[?(@ == null)]", "$.l[?('x' == @ || @ == true && @ != 3)]", "$.l[?(@ < 'y')]",
  "$.m.mid[?(@.a == 2)].b", "$.m.mid[?(@.a > @.b)].a", "$.m.mid[?(@.a == $.m.alpha)].a", "$.m.mid[?(@.no != 1)]", "$..[?(@.b)].a", "$..*[?(@.b)].a", "$.big[?(@ == 9007199254740993)]", "$.big[?(@ > 9007199254740993)]", "$.a[?(@.b && 2)]", "$f", "$.a[1:2,3]",
];
export default run(
  one("dialect", ...paths.flatMap((path, i) => [
    exec((s) => s.set("v", "-")),
    http(`p${i}`).get("/json").check(jsonPath(path).findAll().optional().saveAs("v")),
    say(`${i} #{v.jsonStringify()}`),
  ])),
);
