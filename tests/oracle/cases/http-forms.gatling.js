// Form bodies: encoding, lists, maps, order, beside a body.
// @differs sent.forms.3.* | each value of a list is a parameter | lists and maps that came from
// @differs sent.forms.4.* | each value of a list is a parameter | lists and maps that came from
import { StringBody, exec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run } from "./lib.js";

const p = (name) => http(name).post("/form");
export default run(
  one("forms",
    exec((s) => s.set("l", ["a", "b c"]).set("m", { k: "v 1", l: ["x", "y"] }).set("n", 5)),
    p("one").formParam("a", "b c").formParam("~!*()'-._", "~!*()'-._+&=é%").formParam("n", "#{n}").formParam("num", 7).formParam("b", true),
    p("multi").multivaluedFormParam("l", ["x", "y"]).multivaluedFormParam("e", "#{l}").multivaluedFormParam("f", (s) => ["p"]),
    p("map").formParamMap({ a: "1", b: "#{n}" }), 
    p("form").form("#{m}"), p("override").form("#{m}").formParam("k", "new").formParam("z", "1"), p("twice").formParam("a", "1").formParam("a", "2"),
    p("body").body(StringBody("b")).formParam("a", "1"), p("empty").formParam("a", ""), p("type").header("Content-Type", "x/y").formParam("a", "1"), http("get").get("/form").formParam("a", "1"), p("urlencoded").asFormUrlEncoded(), http("put").put("/form").formParam("a", "1")),
);
