// sitemap: one record per url.
import { feed, repeat } from "@gatling.io/core";
import { sitemap } from "@gatling.io/http";
import { one, run, say } from "./lib.js";

export default run(one("map", repeat(2).on(feed(sitemap("sitemap.xml")), say("#{loc} #{lastmod.exists()} #{priority.exists()}"))));
