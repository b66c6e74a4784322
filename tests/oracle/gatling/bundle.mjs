// node bundle.mjs OUT CASE…: each case and the SDK as one script, OUT/<case>.js, whose global `recorded`
// is the simulation. The SDK asks for classes by Java.type while it loads; those of protocols that
// are not installed become undefined, and two that Gatling's closed launcher brings are the recorder's.
import * as esbuild from "esbuild";
import { readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";

const [out, ...cases] = process.argv.slice(2);
const banner = `
const recorderTypes = {
  "io.gatling.js.callbacks.ByteArrays": "Recorder$Launcher",
  "io.gatling.js.Resources": "Recorder$Launcher",
};
const hostType = (name) => {
  try {
    return Java.type(recorderTypes[name] ?? name);
  } catch (absent) {
    return undefined;
  }
};`;

/** The SDK's `matching` of WebSocket checks calls `check` (3.15.108): recordings are of what the engine does. */
const matching = {
  name: "matching",
  setup: (build) =>
    build.onLoad({ filter: /@gatling\.io\/http\/target\/ws\.js$/ }, async ({ path }) => {
      const code = await readFile(path, "utf8");
      return { contents: code.replaceAll("_underlying.check(newMatch", "_underlying.matching(newMatch") };
    }),
};

for (const file of cases) {
  const name = basename(file).replace(/\.gatling\.[jt]s$/, "");
  try {
    await esbuild.build({
      stdin: {
        contents: `export { default as simulation } from ${JSON.stringify(resolve(file))};`,
        resolveDir: import.meta.dirname,
      },
      nodePaths: [join(import.meta.dirname, "node_modules")],
      outfile: join(out, `${name}.js`),
      bundle: true,
      format: "iife",
      globalName: "recorded",
      platform: "neutral",
      mainFields: ["main", "module"],
      define: { "Java.type": "hostType" },
      banner: { js: banner },
      plugins: [matching],
      logLevel: "error",
    });
  } catch (error) {
    console.error(`${file}: ${error.message}`);
    process.exitCode = 1;
  }
}
