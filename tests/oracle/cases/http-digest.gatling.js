// digestAuth: the challenge is counted and used from then on.
// @differs sent.plain.*.headers | no `qop` where none was offered | a digest challenge
import { simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, protocol } from "./lib.js";
/* pages
/d 401 www-authenticate: Digest realm="r", nonce="n1", qop="auth", opaque="o", algorithm=MD5
no

/d 200

/plain 401 www-authenticate: Digest realm="r", nonce="n2"

/plain 200

/no 401 www-authenticate: Digest realm="r", nonce="n3", qop="auth"
*/
export default simulation((setUp) => {
  setUp(
    one("digest", http("a").get("/d?x=1").digestAuth("u", "p"), http("b").get("/d").digestAuth("u", "p"), http("c").post("/d").digestAuth("u", "p")),
    one("plain", http("a").get("/plain").digestAuth("u", "p"), http("b").get("/plain").digestAuth("u", "p")),
    one("wrong", http("a").get("/no").digestAuth("u", "x"), http("b").get("/no").digestAuth("u", "x")),
  ).protocols(protocol);
});
