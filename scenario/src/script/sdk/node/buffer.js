// "buffer": Buffer, a Uint8Array that converts from and to texts.

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES = new Map([...BASE64].map((letter, value) => [letter, value]).concat([["-", 62], ["_", 63]]));

const utf8 = {
  encode(text) {
    const out = [];
    for (const letter of text) {
      let code = letter.codePointAt(0);
      if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
      if (code < 0x80) out.push(code);
      else if (code < 0x800) out.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      else if (code < 0x10000) out.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      else out.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
    return out;
  },
  decode(bytes) {
    let text = "";
    for (let at = 0; at < bytes.length;) {
      const first = bytes[at];
      const more = first < 0x80 ? 0 : first >= 0xf0 && first < 0xf5 ? 3 : first >= 0xe0 ? 2 : first >= 0xc2 ? 1 : -1;
      let code = more === 0 ? first : first & (0x3f >> more);
      let read = 0;
      while (more > 0 && read < more && (bytes[at + read + 1] & 0xc0) === 0x80) {
        code = (code << 6) | (bytes[at + read + 1] & 0x3f);
        read += 1;
      }
      const least = [0, 0x80, 0x800, 0x10000][more];
      const whole = more >= 0 && first < 0xf5 && read === more && code >= least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
      text += whole ? String.fromCodePoint(code) : "\ufffd";
      // What is complete and still no character is wrong byte by byte.
      at += whole || read < more ? 1 + read : 1;
    }
    return text;
  },
};
const single = (mask) => ({
  encode: (text) => Array.from({ length: text.length }, (_, at) => text.charCodeAt(at) & 0xff),
  decode: (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte & mask)).join(""),
});
const base64 = (letters, padded) => ({
  encode(text) {
    const out = [];
    let [bits, held] = [0, 0];
    for (const letter of text) {
      const value = VALUES.get(letter);
      if (value === undefined) {
        if (letter === "=") break;
        continue;
      }
      held = (held << 6) | value;
      bits += 6;
      if (bits >= 8) {
        bits -= 8;
        out.push((held >> bits) & 0xff);
        held &= (1 << bits) - 1;
      }
    }
    return out;
  },
  decode(bytes) {
    let text = "";
    for (let at = 0; at < bytes.length; at += 3) {
      const [a, b = 0, c = 0] = bytes.subarray(at, at + 3);
      const four = [a >> 2, ((a & 3) << 4) | (b >> 4), ((b & 15) << 2) | (c >> 6), c & 63];
      const count = Math.min(3, bytes.length - at) + 1;
      text += four.slice(0, count).map((value) => letters[value]).join("");
      if (padded) text += "=".repeat(4 - count);
    }
    return text;
  },
});
const codecs = {
  utf8,
  latin1: single(0xff),
  ascii: single(0x7f),
  base64: base64(BASE64, true),
  base64url: base64(`${BASE64.slice(0, 62)}-_`, false),
  hex: {
    encode(text) {
      const out = [];
      for (let at = 0; at + 1 < text.length; at += 2) {
        const pair = text.slice(at, at + 2);
        if (!/^[0-9a-f]{2}$/i.test(pair)) break;
        out.push(Number.parseInt(pair, 16));
      }
      return out;
    },
    decode: (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(""),
  },
  utf16le: {
    encode: (text) => Array.from({ length: text.length * 2 }, (_, at) => (text.charCodeAt(at >> 1) >> (8 * (at & 1))) & 0xff),
    decode: (bytes) => Array.from({ length: bytes.length >> 1 }, (_, at) =>
      String.fromCharCode(bytes[2 * at] | (bytes[2 * at + 1] << 8))).join(""),
  },
};
const aliases = { "utf-8": "utf8", binary: "latin1", ucs2: "utf16le", "ucs-2": "utf16le", "utf-16le": "utf16le" };
const codec = (encoding = "utf8") => {
  const name = String(encoding).toLowerCase();
  const found = codecs[aliases[name] ?? name];
  if (found === undefined) throw new TypeError(`Unknown encoding: ${encoding}`);
  return found;
};

class Buffer extends Uint8Array {
  static from(value, second, third) {
    if (typeof value === "string") return super.from(codec(second).encode(value));
    if (value instanceof ArrayBuffer) return new Buffer(value, second, third);
    if (ArrayBuffer.isView(value) || Array.isArray(value)) return super.from(value);
    if (value?.type === "Buffer" && Array.isArray(value.data)) return super.from(value.data);
    throw new TypeError("Buffer.from takes a string, an array, a buffer or an ArrayBuffer");
  }
  static alloc(size, fill = 0, encoding = undefined) {
    const made = new Buffer(size);
    return fill === 0 ? made : made.fill(fill, 0, size, encoding);
  }
  static allocUnsafe(size) {
    return new Buffer(size);
  }
  static isBuffer(value) {
    return value instanceof Buffer;
  }
  static isEncoding(encoding) {
    const name = String(encoding).toLowerCase();
    return (aliases[name] ?? name) in codecs;
  }
  static byteLength(value, encoding) {
    return typeof value === "string" ? codec(encoding).encode(value).length : value.byteLength;
  }
  static concat(list, length = list.reduce((sum, part) => sum + part.length, 0)) {
    const whole = Buffer.alloc(length);
    let at = 0;
    for (const part of list) {
      const fits = part.subarray(0, length - at);
      whole.set(fits, at);
      at += fits.length;
    }
    return whole;
  }
  static compare(a, b) {
    for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
      if (a[at] !== b[at]) return a[at] < b[at] ? -1 : 1;
    }
    return Math.sign(a.length - b.length);
  }
  toString(encoding, start = 0, end = this.length) {
    return codec(encoding).decode(this.subarray(start, end));
  }
  toJSON() {
    return { type: "Buffer", data: Array.from(this) };
  }
  equals(other) {
    return Buffer.compare(this, other) === 0;
  }
  compare(other) {
    return Buffer.compare(this, other);
  }
  /** As in Node: a view of the same bytes. */
  slice(start, end) {
    return this.subarray(start, end);
  }
  write(text, offset = 0, length = this.length - offset, encoding = "utf8") {
    const bytes = codec(encoding).encode(text).slice(0, Math.min(length, this.length - offset));
    this.set(bytes, offset);
    return bytes.length;
  }
  copy(target, at = 0, start = 0, end = this.length) {
    const part = this.subarray(start, Math.min(end, start + target.length - at));
    target.set(part, at);
    return part.length;
  }
  fill(value, start = 0, end = this.length, encoding = undefined) {
    if (typeof value === "number") return super.fill(value, start, end);
    const bytes = typeof value === "string" ? codec(encoding).encode(value) : value;
    for (let at = start; at < end && bytes.length > 0; at += 1) this[at] = bytes[(at - start) % bytes.length];
    return this;
  }
  indexOf(value, from = 0, encoding = undefined) {
    if (typeof value === "number") return super.indexOf(value, from);
    const bytes = typeof value === "string" ? codec(encoding).encode(value) : value;
    for (let at = from; at + bytes.length <= this.length; at += 1) {
      if (bytes.every((byte, index) => this[at + index] === byte)) return at;
    }
    return -1;
  }
  includes(value, from, encoding) {
    return this.indexOf(value, from, encoding) >= 0;
  }
}

for (const [name, size] of [["Int8", 1], ["Int16", 2], ["Int32", 4], ["Uint8", 1], ["Uint16", 2], ["Uint32", 4], ["Float32", 4], ["Float64", 8]]) {
  const named = { Float32: "Float", Float64: "Double" }[name] ?? name.replace("Uint", "UInt");
  for (const [ending, little] of size === 1 ? [["", true]] : [["LE", true], ["BE", false]]) {
    const view = (buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    const define = (method, value) => Object.defineProperty(Buffer.prototype, method, { value, writable: true, configurable: true });
    const read = function (at = 0) {
      return view(this)[`get${name}`](at, little);
    };
    const write = function (value, at = 0) {
      view(this)[`set${name}`](at, value, little);
      return at + size;
    };
    for (const spelt of new Set([named, named.replace("UInt", "Uint")])) {
      define(`read${spelt}${ending}`, read);
      define(`write${spelt}${ending}`, write);
    }
  }
}

module.exports = {
  Buffer,
  kMaxLength: 2 ** 31 - 1,
  atob: (text) => Buffer.from(String(text), "base64").toString("latin1"),
  btoa: (text) => Buffer.from(String(text), "latin1").toString("base64"),
};
