// A news site: visitors search, read and comment, editors write drafts with a picture and publish
// them; each of their changes names the version that it changes.
//
//   onrush run cms.gatling.js target=http://127.0.0.1:7480 rate=5 duration=2

import {
  ElFileBody, StringBody, bodyLength, css, csv, details, doIf, exec, exitBlockOnFail,
  exitHereIfFailed, feed, form, global, group, jmesPath, jsonPath, pause, rampUsersPerSec, regex,
  repeat, roundRobinSwitch, scenario, simulation, stressPeakUsers, substring, xpath,
} from "@gatling.io/core";
import { header, headerRegex, status } from "@gatling.io/http";
import { customers } from "./lib/customers.js";
import { duration, get, ms, post, protocol, put, rate } from "./lib/settings.js";

const words = csv("words.csv").random();

// ---- visitors -----------------------------------------------------------------------------------

const home = get("Home", "/cms").check(
  status().is(200),
  css("title").is("News"),
  regex("Articles: ([\\d,]+)").transform((text) => Number(text.replace(",", ""))).is(1234),
  css("nav a", "href").saveAs("searchUrl"),
);

const results = (page) =>
  get("Search", "#{searchUrl}").queryParam("q", "#{word}").queryParam("page", page).check(
    status().is(200),
    css("span.total").transformWithSession((text, session) =>
      text === `7 results for ${session.get("word")}`).is(true),
    css("a.hit", "href").findAll().saveAs("hits"),
  );

const search = group("Search").on(
  results(1),
  doIf((session) => session.get("hits").length === 3).then(pause(ms(10), ms(30)), results(2)),
  exec((session) => {
    const hits = session.get("hits");
    return session.set("article", hits[Math.floor(Math.random() * hits.length)]);
  }),
);

const read = get("Article", "#{article}").check(
  css("meta[name=slug]", "content").transformWithSession((slug, session) =>
    session.get("article").endsWith(`/${slug}`)).is(true),
  css("form", "action").isEL("#{article}/comments"),
  form("form").saveAs("comment"),
  substring("<article>").count().is(1),
);

const comment = post("Comment", "#{article}/comments")
  .form("#{comment}")
  .formParamMap({ author: "#{author}", text: "Große Kunst, #{author} & co." })
  .check(
    status().is(201),
    css("p.comment", "data-author").isEL("#{author}"),
    bodyLength().gt(20),
  );

const browse = exec(
  home,
  repeat(2, "visit").on(
    exitBlockOnFail().on(
      feed(words),
      search,
      pause(ms(20)),
      group("Read").on(read, roundRobinSwitch().on(comment, pause(ms(1)))),
    ),
  ),
);

// ---- editors ------------------------------------------------------------------------------------

const login = post("Editor's login", "/cms/admin/login")
  .body(StringBody('{"user": "#{user}", "password": "#{password}"}')).asJson()
  .check(
    jmesPath("roles[?@ == 'editor'] | [0]").is("editor"),
    header("X-Auth-Token").saveAs("token"),
  );

const asEditor = (request) => request.header("X-Auth-Token", "#{token}");

const draft = asEditor(post("Draft", "/cms/admin/drafts"))
  .asMultipartForm()
  .formParam("title", "#{title}")
  .formParam("author", "#{user}")
  .formUpload("image", "logo.svg")
  .check(
    status().is(201),
    jsonPath("$.draft.id").saveAs("draft"),
    header("ETag").saveAs("etag"),
    headerRegex("ETag", '"v(\\d+)"').saveAs("version"),
  );

const write = asEditor(put("Write", "/cms/admin/drafts/#{draft}"))
  .header("If-Match", "#{etag}")
  .body(ElFileBody("article.xml"))
  .asXml()
  .check(
    header("ETag").saveAs("etag"),
    headerRegex("ETag", '"v(\\d+)"').saveAs("version"),
  );

const publish = asEditor(post("Publish", "/cms/admin/drafts/#{draft}/publish"))
  .header("If-Match", "#{etag}")
  .check(jsonPath("$.url").saveAs("url"));

const feedOfIt = get("Published", "#{url}").check(
  xpath("//entry/@id").isEL("#{draft}"),
  xpath("/feed/entry/title").is("New"),
);

const edit = exec(
  feed(customers),
  exec((session) => session.set("title", `What ${session.get("user")} says`)),
  group("Write").on(
    login,
    exitHereIfFailed(),
    draft,
    repeat((session) => 1 + (session.get("user").length % 2), "change").on(write, pause(ms(10))),
    publish,
    feedOfIt,
  ),
);

// ---- all of them --------------------------------------------------------------------------------

const visitors = scenario("Visitors").exec(browse);
const editors = scenario("Editors").exec(edit);

export default simulation((setUp) => {
  setUp(
    visitors.injectOpen(stressPeakUsers(rate * duration * 2).during(duration)),
    editors.injectOpen(rampUsersPerSec(1).to(rate).during(duration)),
  )
    .protocols(protocol)
    .assertions(
      global().failedRequests().count().is(0),
      global().responseTime().percentile(95).lt(5000),
      details("Write", "Published").allRequests().count().gt(0),
      details("Read", "Comment").responseTime().max().lt(10_000),
    );
});
