// regex: what is Java's own: line ends, classes of ASCII, look-around, references, groups there are not.
import { StringBody, regex } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, say } from "./lib.js";
const take = (name, text, check) => [
  http(name).post("/echo").body(StringBody(text)).check(check.saveAs("v")),
  say("[#{v}]"),
];
const all = (pattern) => regex(pattern).findAll();
export default run(
  one(
    "regex-java",
    ...take("crlf", "a=1\r\nb=2\r\n", regex("a=(.*)")),
    ...take("lines", "a=1\r\nb=2\r\n", all("(?m)^(\\w)=.$")),
    ...take("end", "a=1\r\nb=2\r\n", regex("b=(\\d)$")),
    ...take("ascii", "noël été", all("\\w+")),
    ...take("unicode", "noël été", all("(?U)\\w+")),
    ...take("behind", "token=abc; id=7", regex("(?<=token=)\\w+")),
    ...take("ahead", "foobar foobaz", regex("foo(?!bar)(\\w+)")),
    ...take("reference", "<b>x</b><i>y</i>", all("<(\\w)>.</\\1>")),
    ...take("quote", "a.b a+b", regex("\\Qa+b\\E")),
    ...take("possessive", "\"a\" \"b\"", all("\"[^\"]*+\"")),
    ...take("class", "abcdef", regex("[a-f&&[^a-c]]+")),
    ...take("empty", "axb", all("x*")),
    ...take("missing", "a=1", regex("(\\w)=(\\d)").captureGroups(3)),
  ),
);
