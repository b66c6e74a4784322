// inferHtmlResources: what is fetched, names, lists.
// @order any
import { AllowList, DenyList, simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, protocol } from "./lib.js";
/* pages
/page 200 content-type: text/html
<!doctype html><html><head><link rel="stylesheet" href="/css/a.css"><link rel="icon" href="i.ico"><link rel="preload" href="/no1"><link rel="alternate" href="/no2"><script src="/js/s.js?v=1"></script><style>@import url("/no3.css");</style></head><body background="/bg.png" style="background: url(/style.png)"><img src="img.png"><img src="img.png"><img srcset="/no4.png 2x"><iframe src="/no5"></iframe><audio src="/no6"></audio><input type="image" src="/in.png"><embed src="/em"><object data="/obj"></object><img src="data:image/png;base64,AAAA"><a href="/no7">x</a></body></html>

/css/a.css 200 content-type: text/css
@import url("b.css");¶body { background: url(/css/bg.png) }
*/
const page = http("page").get("/page");
export default simulation((setUp) => {
  const p = protocol.inferHtmlResources();
  setUp(
    one("all", page), one("off", page).protocols(protocol),
    one("allow", page).protocols(protocol.inferHtmlResources(AllowList(".*png"))), one("deny", page).protocols(protocol.inferHtmlResources(DenyList(".*png", ".*js.*"))),
    one("absolute", page).protocols(p.nameInferredHtmlResourcesAfterAbsoluteUrl()), one("relative", page).protocols(p.nameInferredHtmlResourcesAfterRelativeUrl()), one("path", page).protocols(p.nameInferredHtmlResourcesAfterPath()), one("last", page).protocols(p.nameInferredHtmlResourcesAfterLastPathElement()), one("tail", page).protocols(p.nameInferredHtmlResourcesAfterUrlTail()),
    one("explicit", http("page").get("/page").resources(http("mine").get("/img.png"))),
  ).protocols(p);
});
