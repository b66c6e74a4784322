// "string_decoder": text from bytes that come in pieces; what is not whole yet waits.

const { Buffer } = require("buffer");

/** Bytes at the end that begin a character and do not finish it. */
const unfinished = (bytes, encoding) => {
  if (encoding === "base64") return bytes.length % 3;
  if (encoding === "utf16le") return bytes.length % 2;
  if (encoding !== "utf8") return 0;
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back];
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
    if (byte < 0x80) return 0;
  }
  return 0;
};
const known = { "utf-8": "utf8", ucs2: "utf16le", "utf-16le": "utf16le", binary: "latin1" };

class StringDecoder {
  constructor(encoding = "utf8") {
    const name = encoding.toLowerCase();
    this.encoding = known[name] ?? name;
    this.waiting = Buffer.alloc(0);
  }
  write(bytes) {
    const whole = Buffer.concat([this.waiting, Buffer.from(bytes)]);
    const end = whole.length - unfinished(whole, this.encoding);
    this.waiting = whole.subarray(end);
    return whole.subarray(0, end).toString(this.encoding);
  }
  end(bytes) {
    const text = bytes === undefined ? "" : this.write(bytes);
    const rest = this.waiting.toString(this.encoding);
    this.waiting = Buffer.alloc(0);
    return text + rest;
  }
}

module.exports = { StringDecoder };
