// CommonJS: `require` for packages, and what Node has that packages may ask for (sdk/node).

import { fail, native } from "onrush:base";

const modules = new Map();
const folderOf = (path) => path.slice(0, Math.max(0, path.lastIndexOf("/")));
/** Of Node's, what packages ask without being asked to. */
const process = { env: { NODE_ENV: "production" }, argv: [], platform: "onrush", version: "", versions: {} };

/** The exports of a file, which runs once; in a cycle, what it has exported so far. */
const load = (path) => {
  const known = modules.get(path);
  if (known !== undefined) return known.exports;
  const module = { id: path, filename: path, exports: {}, loaded: false, children: [] };
  modules.set(path, module);
  try {
    if (path.endsWith(".json")) {
      module.exports = native.jsonFile(path);
    } else {
      const require = (name) => load(native.requirePath(path, String(name)));
      require.resolve = (name) => native.requirePath(path, String(name));
      require.cache = {};
      const args = [module.exports, require, module, path, folderOf(path), globalThis, process];
      native.compile(path).apply(module.exports, args);
    }
    module.loaded = true;
  } catch (error) {
    modules.delete(path);
    throw error;
  }
  return module.exports;
};

/** What an import of the file gets: exports by name, and the whole as the default. */
export const get = (path) => {
  const exports = load(path);
  const holds = (typeof exports === "object" && exports !== null) || typeof exports === "function";
  const named = holds ? exports : {};
  const names = Object.keys(named).filter((key) => key !== "default");
  // Compiled from an ES module: its default is the default.
  const whole = named.__esModule && "default" in named ? named.default : exports;
  return { names, named, whole, all: exports };
};
native.commonjs = get;

for (const [name, path] of [["Buffer", "node:buffer"], ["crypto", "node:crypto"]]) {
  const define = (value) =>
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
  Object.defineProperty(globalThis, name, {
    configurable: true,
    enumerable: false,
    get() {
      const exports = load(path);
      define(name === "Buffer" ? exports.Buffer : exports.webcrypto);
      return globalThis[name];
    },
    set: define,
  });
}

globalThis.require = () =>
  fail("require(...) is for CommonJS files of packages; a simulation imports: import x from \"package\"");
