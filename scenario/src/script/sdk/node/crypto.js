// "crypto": random bytes and ids, from the job's seeded generator: for data, never for secrets.

const { Buffer } = require("buffer");

const BYTES_MAX = 65536;
const fill = (view) => {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = Math.floor(Math.random() * 256);
  return view;
};
const later = (callback, make) => {
  if (callback === undefined) return make();
  callback(null, make());
  return undefined;
};

const getRandomValues = (view) => {
  if (!ArrayBuffer.isView(view)) throw new TypeError("getRandomValues takes an array of integers");
  if (view.byteLength > BYTES_MAX) throw new Error(`getRandomValues gives at most ${BYTES_MAX} bytes`);
  return fill(view);
};
const randomBytes = (size, callback) => later(callback, () => fill(Buffer.alloc(size)));
const randomFillSync = (view) => fill(view);
const randomInt = (low, high, callback) => {
  const [from, to] = typeof high === "number" ? [low, high] : [0, low];
  return later(typeof high === "function" ? high : callback, () => from + Math.floor(Math.random() * (to - from)));
};
const randomUUID = () => {
  const bytes = randomBytes(16);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
};
const refused = (name, instead) => () => {
  throw new Error(`crypto.${name}(...) is not available in Onrush; ${instead}`);
};
const missing = Object.fromEntries(["createHash", "createHmac", "createCipheriv", "createDecipheriv", "createSign", "pbkdf2", "scrypt"]
  .map((name) => [name, refused(name, "available are randomBytes, randomFillSync, randomInt, randomUUID, getRandomValues")]));

module.exports = { ...missing, getRandomValues, randomBytes, randomFillSync, randomInt, randomUUID };
module.exports.webcrypto = { getRandomValues, randomUUID };
