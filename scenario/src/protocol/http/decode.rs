//! Response bodies: undoing `Content-Encoding`, and reading text by its charset. Bounded: a small
//! response cannot become a big one in memory.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use http::header::{CONTENT_ENCODING, HeaderName, TRANSFER_ENCODING};

use super::fields::Fields;
use crate::charset::Charset;

/// Of the body of one answer, as it came and as it is decoded; more is a failure of the request, not
/// of the engine.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// What one piece of a stream may become.
const PIECE_BYTES_MAX: usize = 16 << 20;
/// Of one answer, one in the other: each may be as long as the longest.
const CODINGS_MAX: usize = 5;
/// Behind a gzip stream, fewer bytes than another one's head are nothing.
const GZIP_HEAD_BYTES: usize = 10;

/// How an answer's body is encoded, beyond chunks: its first `Content-Encoding`, or else the first of
/// its transfer codings.
pub(super) fn coding(headers: &Fields) -> &str {
    let text = |name: HeaderName| headers.text(name.as_str());
    let transfer = || text(TRANSFER_ENCODING)?.split(',').next();
    text(CONTENT_ENCODING).or_else(transfer).unwrap_or_default()
}

/// Undoes the encodings of the header, last one first. Unknown ones are left alone, as browsers do;
/// of a body that ends too early, what has come counts, as in Gatling.
///
/// # Errors
/// `decode error: …` for broken data, or data that grows beyond [`BODY_BYTES_MAX`].
pub fn decode<'a>(body: &'a [u8], content_encoding: &str) -> Result<Cow<'a, [u8]>, String> {
    let mut current = Cow::Borrowed(body);
    if content_encoding.split(',').nth(CODINGS_MAX).is_some() {
        return Err(format!("decode error: more than {CODINGS_MAX} encodings"));
    }
    for coding in content_encoding.rsplit(',').filter_map(Coding::named) {
        if current.is_empty() {
            break;
        }
        let decoded = match coding {
            Coding::Gzip => gzip(&current)?,
            Coding::Deflate => deflate(&current)?,
            Coding::Brotli => {
                let mut out = Vec::new();
                inflate(brotli::Decompressor::new(Whole(&current), 4_096), "br", &mut out)?;
                out
            }
        };
        current = Cow::Owned(decoded);
    }
    Ok(current)
}

/// One that can be undone.
#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

impl Coding {
    fn named(name: &str) -> Option<Self> {
        const NAMES: [(&str, Coding); 5] = [
            ("gzip", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("x-deflate", Coding::Deflate),
            ("br", Coding::Brotli),
        ];
        let name = name.trim();
        let known = NAMES.iter().find(|(it, _)| name.eq_ignore_ascii_case(it));
        known.map(|(_, coding)| *coding)
    }
}

/// As much as can be read of a body that was cut, `max` bytes at most.
#[must_use]
pub fn beginning(body: &[u8], content_encoding: &str, max: usize) -> Vec<u8> {
    let reader: Box<dyn Read + '_> = match Coding::named(content_encoding) {
        Some(Coding::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(body)),
        Some(Coding::Deflate) => Box::new(flate2::read::ZlibDecoder::new(body)),
        Some(Coding::Brotli) => Box::new(brotli::Decompressor::new(body, 4_096)),
        None => Box::new(body),
    };
    let mut out = Vec::new();
    // The error that the cut makes is no news; what was read before it is there.
    let _ = reader.take(max as u64).read_to_end(&mut out);
    out
}

/// One stream, or several one after the other.
fn gzip(body: &[u8]) -> Result<Vec<u8>, String> {
    let (mut rest, mut out) = (body, Vec::new());
    loop {
        inflate(flate2::bufread::GzDecoder::new(&mut rest), "gzip", &mut out)?;
        if rest.len() < GZIP_HEAD_BYTES {
            return Ok(out);
        }
    }
}

/// `deflate` is zlib by the standard and raw by habit: both are understood.
fn deflate(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    if let Err(error) = inflate(flate2::read::ZlibDecoder::new(body), "deflate", &mut out) {
        // What a bomb has become is no reason to read it as something else.
        if out.len() > BODY_BYTES_MAX {
            return Err(error);
        }
        out.clear();
        inflate(flate2::read::DeflateDecoder::new(body), "deflate", &mut out)?;
    }
    Ok(out)
}

/// Tells a decoder that asks for more that there is none: Brotli's takes an end for broken data.
struct Whole<'a>(&'a [u8]);

impl Read for Whole<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.read(out)
    }
}

fn inflate(reader: impl Read, name: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let limit = (BODY_BYTES_MAX - out.len()) as u64 + 1;
    match reader.take(limit).read_to_end(out) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Err(format!("decode error: {name}: {error}"))
        }
        _ if out.len() > BODY_BYTES_MAX => {
            Err(format!("decode error: {name}: more than {} MiB", BODY_BYTES_MAX >> 20))
        }
        _ => Ok(()),
    }
}

/// Undoes the encoding of a body that comes in pieces and has no end.
pub enum Decoder {
    Plain,
    /// Boxed: they are large, and rare.
    Gzip(Box<flate2::write::MultiGzDecoder<Decoded>>),
    Deflate(Box<flate2::write::ZlibDecoder<Decoded>>),
    Brotli(Box<brotli::DecompressorWriter<Decoded>>),
}

/// What one piece has become; no more than [`PIECE_BYTES_MAX`].
#[derive(Default)]
pub struct Decoded(Vec<u8>);

impl Write for Decoded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > PIECE_BYTES_MAX {
            return Err(io::Error::other(format!("more than {PIECE_BYTES_MAX} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    /// By the header. Unknown encodings are left alone, as in [`decode`].
    ///
    /// # Errors
    /// Where there are several.
    pub fn new(content_encoding: &str) -> Result<Self, String> {
        let mut found = Self::Plain;
        for coding in content_encoding.split(',').filter_map(Coding::named) {
            let out = Decoded::default();
            let one = match coding {
                Coding::Gzip => Self::Gzip(Box::new(flate2::write::MultiGzDecoder::new(out))),
                Coding::Deflate => Self::Deflate(Box::new(flate2::write::ZlibDecoder::new(out))),
                Coding::Brotli => {
                    Self::Brotli(Box::new(brotli::DecompressorWriter::new(out, 4_096)))
                }
            };
            if !matches!(std::mem::replace(&mut found, one), Self::Plain) {
                return Err(format!(
                    "decode error: a stream with several encodings: {content_encoding}"
                ));
            }
        }
        Ok(found)
    }

    /// All that the pieces so far allow to tell.
    ///
    /// # Errors
    /// `decode error: …` for broken data, or a piece that grows beyond [`PIECE_BYTES_MAX`].
    pub fn decode(&mut self, piece: Vec<u8>) -> Result<Vec<u8>, String> {
        let (written, decoded, name) = match self {
            Self::Plain => return Ok(piece),
            Self::Gzip(inner) => (through(&mut **inner, &piece), inner.get_mut(), "gzip"),
            Self::Deflate(inner) => (through(&mut **inner, &piece), inner.get_mut(), "deflate"),
            Self::Brotli(inner) => (through(&mut **inner, &piece), inner.get_mut(), "br"),
        };
        written.map_err(|error| format!("decode error: {name}: {error}"))?;
        Ok(std::mem::take(&mut decoded.0))
    }
}

fn through(decoder: &mut impl Write, piece: &[u8]) -> io::Result<()> {
    if piece.is_empty() {
        return Ok(());
    }
    decoder.write_all(piece)?;
    decoder.flush()
}

/// The text of a body: by the `charset` of the content type; UTF-8 where there is none or it is
/// not known.
#[must_use]
pub fn text<'a>(body: &'a [u8], content_type: &str) -> Cow<'a, str> {
    // Looking a name up takes a copy of it, which the usual one does not need.
    let other = charset(content_type).filter(|name| !name.eq_ignore_ascii_case("utf-8"));
    other.and_then(Charset::named).unwrap_or(Charset::Utf8).decode(body)
}

/// The `charset` parameter of a content type, without quotes.
#[must_use]
pub fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_both_deflates_brotli_and_stacks_of_them() {
        let text = b"hello hello hello hello".as_slice();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(text).unwrap();
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(text).unwrap();
        let mut br = Vec::new();
        brotli::CompressorWriter::new(&mut br, 4_096, 5, 22).write_all(text).unwrap();
        assert_eq!(&*decode(&gzip(text), "gzip").unwrap(), text);
        assert_eq!(&*decode(&zlib.finish().unwrap(), "deflate").unwrap(), text);
        assert_eq!(&*decode(&raw.finish().unwrap(), "Deflate").unwrap(), text);
        assert_eq!(&*decode(&br, "br").unwrap(), text);
        assert_eq!(&*decode(&gzip(&gzip(text)), "gzip, gzip").unwrap(), text);
        assert_eq!(&*decode(text, "identity").unwrap(), text);
        assert_eq!(&*decode(b"", "gzip").unwrap(), b"");
    }

    #[test]
    fn the_beginning_of_a_cut_body_is_read() {
        let text: String = (0..4_000).map(|it| format!("line {it}\n")).collect();
        let packed = gzip(text.as_bytes());
        let read = beginning(&packed[..2_048], "gzip", 1_024);
        assert_eq!(String::from_utf8(read).unwrap(), text[..1_024]);
        assert_eq!(beginning(b"plain", "", 3), b"pla");
        assert_eq!(beginning(b"not gzip", "gzip", 9), b"");
    }

    #[test]
    fn broken_and_exploding_bodies_are_errors() {
        assert!(
            decode(b"not gzip at all", "gzip").unwrap_err().starts_with("decode error: gzip: ")
        );
        // As large as one that is not compressed may be, and no larger.
        let large = gzip(&vec![0; BODY_BYTES_MAX]);
        assert_eq!(decode(&large, "gzip").unwrap().len(), BODY_BYTES_MAX);
        let bomb = gzip(&vec![0; BODY_BYTES_MAX + 1]);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(decode(&bomb, "gzip").unwrap_err(), "decode error: gzip: more than 64 MiB");
        let zeros = vec![0; BODY_BYTES_MAX + 1];
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&zeros).unwrap();
        let error = decode(&zlib.finish().unwrap(), "deflate").unwrap_err();
        assert_eq!(error, "decode error: deflate: more than 64 MiB");
        let mut br = Vec::new();
        brotli::CompressorWriter::new(&mut br, 4_096, 1, 22).write_all(&zeros).unwrap();
        assert_eq!(decode(&br, "br").unwrap_err(), "decode error: br: more than 64 MiB");
        // Without an end in one another: no more than these are undone.
        let five = (0..5).fold(b"x".to_vec(), |inner, _| gzip(&inner));
        assert_eq!(&*decode(&five, "gzip,gzip,gzip,gzip,gzip").unwrap(), b"x");
        let more = format!("gzip{}", ",gzip".repeat(50_000));
        assert_eq!(decode(&five, &more).unwrap_err(), "decode error: more than 5 encodings");
        let twice = [gzip(&vec![0; BODY_BYTES_MAX]), gzip(b"x")].concat();
        assert_eq!(decode(&twice, "gzip").unwrap_err(), "decode error: gzip: more than 64 MiB");
    }

    /// What Gatling 3.16.0 made of them; once all were KOs.
    #[test]
    fn streams_with_something_behind_them_and_without_their_end() {
        let text = b"hello hello hello hello".as_slice();
        let packed = gzip(text);
        let with = |more: &[u8]| decode(&[&packed, more].concat(), "gzip").map(Cow::into_owned);
        for padding in [&b"\0"[..], b"\0\0\0\0\0\0\0\0\0", b"\x1f\x8bxx"] {
            assert_eq!(with(padding).unwrap(), text);
        }
        assert_eq!(with(&packed).unwrap(), [text, text].concat());
        assert!(with(b"garbage behind it").is_err() && with(&[0; 10]).is_err());
        for cut in [4, 8] {
            assert_eq!(&*decode(&packed[..packed.len() - cut], "gzip").unwrap(), text);
        }
        assert_eq!(&*decode(&packed[..5], "gzip").unwrap(), b"");
        let part = decode(&packed[..packed.len() - 12], "gzip").unwrap();
        assert!(text.starts_with(&part));
        let mut wrong = packed.clone();
        wrong[packed.len() - 8] ^= 1;
        assert!(decode(&wrong, "gzip").is_err());
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(text).unwrap();
        let zlib = zlib.finish().unwrap();
        for body in [&zlib[..], &zlib[..zlib.len() - 4], &[&zlib[..], b"junk"].concat()] {
            assert_eq!(&*decode(body, "x-deflate").unwrap(), text);
        }
        let mut br = Vec::new();
        brotli::CompressorWriter::new(&mut br, 4_096, 5, 22).write_all(text).unwrap();
        assert!(text.starts_with(&decode(&br[..br.len() - 2], "br").unwrap()));
        assert_eq!(&*decode(b"plain text", "br").unwrap(), b"");
    }

    #[test]
    fn a_transfer_coding_counts_where_there_is_no_content_encoding() {
        let of = |lines: &[(&str, &str)]| coding(&lines.iter().copied().collect()).to_owned();
        assert_eq!(of(&[("transfer-encoding", "gzip, chunked")]), "gzip");
        assert_eq!(of(&[("content-encoding", "br"), ("transfer-encoding", "gzip, chunked")]), "br");
        assert_eq!(of(&[("content-encoding", "br"), ("content-encoding", "gzip")]), "br");
        assert_eq!(of(&[]), "");
    }

    #[test]
    fn a_stream_is_decoded_as_far_as_it_has_come() {
        let text = b"data: one\n\n".as_slice();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut br = brotli::CompressorWriter::new(Vec::new(), 4_096, 5, 22);
        for (encoding, encoder) in
            [("GZIP", &mut gz as &mut dyn Write), ("deflate", &mut zlib), ("br", &mut br)]
        {
            encoder.write_all(text).unwrap();
            encoder.flush().unwrap();
            assert!(Decoder::new(encoding).is_ok());
        }
        let all = [("GZIP", gz.get_ref()), ("deflate", zlib.get_ref()), ("br", br.get_ref())];
        for (encoding, bytes) in all {
            let mut decoder = Decoder::new(encoding).unwrap();
            let pieces = bytes.iter().map(|byte| decoder.decode(vec![*byte]).unwrap());
            assert_eq!(pieces.collect::<Vec<_>>().concat(), text, "{encoding}");
        }
        let mut plain = Decoder::new("identity").unwrap();
        assert_eq!(plain.decode(text.to_vec()).unwrap(), text);
        assert!(Decoder::new("gzip, br").is_err());
        let text = Decoder::new("gzip").unwrap().decode(b"not gzip at all".to_vec()).unwrap_err();
        assert!(text.starts_with("decode error: gzip: "), "{text}");
        let bomb = gzip(&vec![0; PIECE_BYTES_MAX + 1]);
        let text = Decoder::new("gzip").unwrap().decode(bomb).unwrap_err();
        assert_eq!(text, "decode error: gzip: more than 16777216 bytes");
    }

    #[test]
    fn charsets() {
        assert_eq!(text(b"caf\xe9", "text/plain; charset=ISO-8859-1"), "café");
        assert_eq!(text(b"\x80\xe9", "text/plain; charset=iso-8859-1"), "\u{80}é");
        assert_eq!(text(b"\x80\xe9", "text/plain; charset=windows-1252"), "€é");
        assert_eq!(text(b"\xFF\xFEa\0\xe9\0", "text/plain; charset=UTF-16"), "aé");
        assert_eq!(text("café".as_bytes(), "text/plain"), "café");
        assert_eq!(text("café".as_bytes(), "text/plain; charset=\"no-such\""), "café");
        assert_eq!(charset("text/html; a=b; Charset=\"utf-8\""), Some("utf-8"));
    }
}
