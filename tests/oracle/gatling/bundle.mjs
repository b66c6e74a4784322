// node bundle.mjs OUT CASE…: each case and the SDK as one script, OUT/<case>.js, whose global `recorded`
// is the simulation. The SDK asks for classes by Java.type while it loads; those of protocols that
// are not installed become undefined, and two that Gatling's closed launcher brings are the recorder's.
import * as esbuild from "esbuild";
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
      logLevel: "error",
    });
  } catch (error) {
    console.error(`${file}: ${error.message}`);
    process.exitCode = 1;
  }
}
