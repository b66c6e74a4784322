// Pebble templates.
import { PebbleStringBody, PebbleFileBody, exec } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { one, run } from "./lib.js";

const p = (text) => http("p").post("/b").body(PebbleStringBody(text));
export default run(
  one("pebble", exec((s) => s.set("user", "ann").set("n", 3).set("l", ["a", "b"]).set("m", { k: "<v>" }).set("yes", true)),
    p("{{ user }} {{ n + 1 }} {{ m.k }} [{{ nope }}]"), p("{% for x in l %}{{ loop.index }}={{ x }}{% if not loop.last %},{% endif %}{% endfor %}"), p("{% if yes %}y{% else %}n{% endif %} {{ user | upper }} {{ l | length }} {{ l | join('-') }}"), p("{# comment #}{% set q = 'v' %}{{ q }} {{ user == 'ann' }} {{ nope | default('d') }}")),
);
