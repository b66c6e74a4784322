// Functions: their values are random or the time, so the answer is whether they have the right form.
// @differs sent.functions.* | drawn at random, or the time | `Math.random`
import { exec } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

const forms = {
  uuid: ["#{randomUuid()}", /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/],
  secure: ["#{randomSecureUuid()}", /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/],
  int: ["#{randomInt(1,2)}", /^1$/],
  range: ["#{randomInt(5,7)}", /^[56]$/],
  negative: ["#{randomInt(-2,-1)}", /^-2$/],
  long: ["#{randomLong(10,11)}", /^10$/],
  double: ["#{randomDouble(0.5,0.75)}", /^0\.[567]\d*$/],
  digits: ["#{randomDouble(0.50,0.75,2)}", /^0\.\d{1,2}$/],
  letters: ["#{randomAlphanumeric(8)}", /^[0-9A-Za-z]{8}$/],
  millis: ["#{currentTimeMillis()}", /^\d{13}$/],
  date: ["#{currentDate(yyyy-MM-dd'T'HH:mm)}", /^\d{4}-\d\d-\d\dT\d\d:\d\d$/],
  chosen: ["#{list.random()}", /^[ab]$/],
};
const names = Object.keys(forms);

import { StringBody } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { bodyString } from "@gatling.io/core";

export default run(
  one(
    "functions",
    exec((s) => s.set("list", ["a", "b"]).set("html", "&lt;a href=&quot;x&quot;&gt; &amp; &eacute; &#39; &nbsp;|")),
    ...names.map((name) =>
      http("echo").post("/echo").body(StringBody(forms[name][0])).check(bodyString().saveAs(name))),
    exec((s) => s.set("wrong", names.filter((name) => !forms[name][1].test(String(s.get(name)))).join(","))),
    say("wrong=[#{wrong}] unescaped=#{html.htmlUnescape()}"),
  ),
);
