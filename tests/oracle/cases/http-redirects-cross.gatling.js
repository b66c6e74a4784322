// To another origin: which headers and cookies go along.
import { StringBody } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run, other } from "./lib.js";
/* pages
/away 302 location: http://OTHER/there | set-cookie: a=1; Path=/

/away7 307 location: http://OTHER/there
*/
export default run(
  one("away", http("away").get("/away").header("X-Own", "1").header("Accept", "a/b"), http("away7").post("/away7").header("Origin", "http://mine").header("Referer", "http://ref").body(StringBody("b"))),
);
