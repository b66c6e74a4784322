// Authorization on a redirect to another origin.
// @differs sent.auth.1.headers | dropped for another origin | `Authorization` on a redirect
import { http } from "@gatling.io/http";
import { one, run } from "./lib.js";
/* pages
/away 302 location: http://OTHER/there

/same 302 location: /there
*/
export default run(
  one("auth", http("away").get("/away").basicAuth("u", "p"), http("same").get("/same").basicAuth("u", "p"), http("own").get("/same").header("Authorization", "Bearer x")),
);
