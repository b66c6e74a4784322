//! Response bodies: undoing `Content-Encoding`, and reading text by its charset. Bounded: a small
//! response cannot become a big one in memory.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use encoding_rs::Encoding;

/// Decoded bytes of one response; more is a failure of the request, not of the engine.
pub const DECODED_BYTES_MAX: usize = 16 << 20;

/// Of one response, one in the other: each may be as long as the longest.
const ENCODINGS_MAX: usize = 5;

/// Undoes the encodings of the header, last one first. Unknown ones are left alone, as browsers do.
///
/// # Errors
/// `decode error: …` for broken data, or data that grows beyond [`DECODED_BYTES_MAX`].
pub fn decode<'a>(body: &'a [u8], content_encoding: &str) -> Result<Cow<'a, [u8]>, String> {
    let mut current = Cow::Borrowed(body);
    if content_encoding.split(',').nth(ENCODINGS_MAX).is_some() {
        return Err(format!("decode error: more than {ENCODINGS_MAX} encodings"));
    }
    for encoding in content_encoding.rsplit(',') {
        let encoding = encoding.trim().to_ascii_lowercase();
        if current.is_empty() {
            break;
        }
        let decoded = match encoding.as_str() {
            "gzip" | "x-gzip" => inflate(flate2::read::MultiGzDecoder::new(&*current), "gzip")?,
            "deflate" => deflate(&current)?,
            "br" => inflate(brotli::Decompressor::new(&*current, 4_096), "br")?,
            _ => continue,
        };
        current = Cow::Owned(decoded);
    }
    Ok(current)
}

/// As much as can be read of a body that was cut, `max` bytes at most.
#[must_use]
pub fn beginning(body: &[u8], content_encoding: &str, max: usize) -> Vec<u8> {
    let reader: Box<dyn Read + '_> = match content_encoding.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(body)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(body)),
        "br" => Box::new(brotli::Decompressor::new(body, 4_096)),
        _ => Box::new(body),
    };
    let mut out = Vec::new();
    // The error that the cut makes is no news; what was read before it is there.
    let _ = reader.take(max as u64).read_to_end(&mut out);
    out
}

/// `deflate` is zlib by the standard and raw by habit: both are understood.
fn deflate(body: &[u8]) -> Result<Vec<u8>, String> {
    let zlib = inflate(flate2::read::ZlibDecoder::new(body), "deflate");
    // What a bomb has become is no reason to read it as something else.
    zlib.or_else(|error| {
        inflate(flate2::read::DeflateDecoder::new(body), "deflate").map_err(|raw| match () {
            () if error.contains("more than") => error,
            () => raw,
        })
    })
}

fn inflate(reader: impl Read, name: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let limit = DECODED_BYTES_MAX as u64 + 1;
    reader
        .take(limit)
        .read_to_end(&mut out)
        .map_err(|error| format!("decode error: {name}: {error}"))?;
    if out.len() > DECODED_BYTES_MAX {
        return Err(format!("decode error: {name}: more than {DECODED_BYTES_MAX} bytes"));
    }
    Ok(out)
}

/// Undoes the encoding of a body that comes in pieces and has no end.
pub enum Decoder {
    Plain,
    /// Boxed: they are large, and rare.
    Gzip(Box<flate2::write::MultiGzDecoder<Decoded>>),
    Deflate(Box<flate2::write::ZlibDecoder<Decoded>>),
    Brotli(Box<brotli::DecompressorWriter<Decoded>>),
}

/// What one piece has become; no more than [`DECODED_BYTES_MAX`].
#[derive(Default)]
pub struct Decoded(Vec<u8>);

impl Write for Decoded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > DECODED_BYTES_MAX {
            return Err(io::Error::other(format!("more than {DECODED_BYTES_MAX} bytes")));
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
        for encoding in content_encoding.split(',') {
            let one = match encoding.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => {
                    Self::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Decoded::default())))
                }
                "deflate" => {
                    Self::Deflate(Box::new(flate2::write::ZlibDecoder::new(Decoded::default())))
                }
                "br" => Self::Brotli(Box::new(brotli::DecompressorWriter::new(
                    Decoded::default(),
                    4_096,
                ))),
                _ => continue,
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
    /// `decode error: …` for broken data, or a piece that grows beyond [`DECODED_BYTES_MAX`].
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
    let encoding = charset(content_type)
        .and_then(|label| Encoding::for_label(label.as_bytes()))
        .unwrap_or(encoding_rs::UTF_8);
    encoding.decode_without_bom_handling(body).0
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
        let bomb = gzip(&vec![0; DECODED_BYTES_MAX + 1]);
        assert!(bomb.len() < 200_000);
        assert_eq!(
            decode(&bomb, "gzip").unwrap_err(),
            "decode error: gzip: more than 16777216 bytes"
        );
        let zeros = vec![0; DECODED_BYTES_MAX + 1];
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&zeros).unwrap();
        let error = decode(&zlib.finish().unwrap(), "deflate").unwrap_err();
        assert!(error.starts_with("decode error: deflate: "), "{error}");
        let mut br = Vec::new();
        brotli::CompressorWriter::new(&mut br, 4_096, 1, 22).write_all(&zeros).unwrap();
        assert_eq!(decode(&br, "br").unwrap_err(), "decode error: br: more than 16777216 bytes");
        // Without an end in one another: no more than these are undone.
        let five = (0..5).fold(b"x".to_vec(), |inner, _| gzip(&inner));
        assert_eq!(&*decode(&five, "gzip,gzip,gzip,gzip,gzip").unwrap(), b"x");
        let more = format!("gzip{}", ",gzip".repeat(50_000));
        assert_eq!(decode(&five, &more).unwrap_err(), "decode error: more than 5 encodings");
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
        let bomb = gzip(&vec![0; DECODED_BYTES_MAX + 1]);
        let text = Decoder::new("gzip").unwrap().decode(bomb).unwrap_err();
        assert_eq!(text, "decode error: gzip: more than 16777216 bytes");
    }

    #[test]
    fn charsets() {
        assert_eq!(text(b"caf\xe9", "text/plain; charset=ISO-8859-1"), "café");
        assert_eq!(text("café".as_bytes(), "text/plain"), "café");
        assert_eq!(text("café".as_bytes(), "text/plain; charset=\"no-such\""), "café");
        assert_eq!(charset("text/html; a=b; Charset=\"utf-8\""), Some("utf-8"));
    }
}
