// Writes names.txt: every public name of the typings of Gatling's JavaScript packages, one a line,
// `package name` or `package Type.method`. Run it on unpacked packages:
//
//   npm pack @gatling.io/core@3.16.0 @gatling.io/http@3.15.108   # and unpack both
//   node tests/gatling/names.mjs CORE/package HTTP/package > tests/gatling/names.txt
//
// Types that a simulation never names at run time (aliases, and interfaces without members) are
// left out, as is `_underlying`, through which the package reaches its JVM object.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const files = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? files(path) : path.endsWith(".d.ts") ? [path] : [];
  });

const namesOf = (folder, title) => {
  const found = new Set();
  for (const file of files(join(folder, "target"))) {
    if (/target\/(utils|gatlingJvm\/app)/.test(file) && !file.includes("duration")) continue;
    const text = readFileSync(file, "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
    let type;
    for (const line of text.split("\n")) {
      const constant = /^export declare const (\w+)/.exec(line);
      if (constant) found.add(constant[1]);
      const opened = /^(?:export )?interface (\w+)/.exec(line);
      if (opened) type = opened[1].startsWith("Jvm") ? undefined : opened[1];
      if (line.startsWith("}")) type = undefined;
      const member = /^ {4}(\w+)\??(?:<[^>]*>)?[(:]/.exec(line);
      if (type && member && member[1] !== "_underlying") found.add(`${type}.${member[1]}`);
    }
  }
  return [...found].sort().map((name) => `${title} ${name}`);
};

const version = (folder) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
const [core, http] = process.argv.slice(2);
console.log(`# @gatling.io/core ${version(core)}, @gatling.io/http ${version(http)}; written by names.mjs`);
console.log([...namesOf(core, "core"), ...namesOf(http, "http")].join("\n"));
