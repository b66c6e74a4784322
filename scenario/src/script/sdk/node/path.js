// "path": POSIX paths.

const clean = (path) => {
  const absolute = path.startsWith("/");
  const parts = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (!absolute) parts.push("..");
  }
  return { absolute, parts };
};
const text = (path) => {
  if (typeof path !== "string") throw new TypeError(`a path must be a string, found ${typeof path}`);
  return path;
};

const normalize = (path) => {
  const { absolute, parts } = clean(text(path));
  const end = path.endsWith("/") && parts.length > 0 ? "/" : "";
  return (absolute ? "/" : "") + parts.join("/") + end || (absolute ? "/" : ".");
};
const join = (...parts) => normalize(parts.map(text).filter((part) => part !== "").join("/") || ".");
/** There is no current folder: what is relative begins at the root. */
const resolve = (...parts) => {
  let whole = "";
  for (const part of parts.map(text)) whole = part.startsWith("/") ? part : `${whole}/${part}`;
  return `/${clean(`/${whole}`).parts.join("/")}`;
};
const basename = (path, ending = "") => {
  const last = text(path).replace(/\/+$/, "").split("/").pop();
  return ending !== "" && last !== ending && last.endsWith(ending) ? last.slice(0, -ending.length) : last;
};
const dirname = (path) => {
  const trimmed = text(path).replace(/\/+$/, "");
  const at = trimmed.lastIndexOf("/");
  if (at < 0) return trimmed === "" && path !== "" ? "/" : ".";
  return trimmed.slice(0, at) || "/";
};
const extname = (path) => {
  const last = basename(path);
  const at = last.lastIndexOf(".");
  return at <= 0 ? "" : last.slice(at);
};
const relative = (from, to) => {
  const [a, b] = [clean(resolve(from)).parts, clean(resolve(to)).parts];
  let same = 0;
  while (same < a.length && same < b.length && a[same] === b[same]) same += 1;
  return [...a.slice(same).map(() => ".."), ...b.slice(same)].join("/");
};
const parse = (path) => {
  const [base, ext] = [basename(path), extname(path)];
  const root = path.startsWith("/") ? "/" : "";
  const dir = path.includes("/") ? dirname(path) : "";
  return { root, dir, base, ext, name: base.slice(0, base.length - ext.length) };
};
const format = ({ root = "", dir = root, base, name = "", ext = "" }) => {
  const last = base ?? name + ext;
  return dir === "" ? last : dir === root ? dir + last : `${dir}/${last}`;
};

module.exports = {
  basename, delimiter: ":", dirname, extname, format, isAbsolute: (path) => text(path).startsWith("/"),
  join, normalize, parse, relative, resolve, sep: "/",
};
module.exports.posix = module.exports;
