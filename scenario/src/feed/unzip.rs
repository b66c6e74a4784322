//! `unzip()`: a gzip file, or a zip file's first entry. Streams; the archive's size claims are not
//! believed.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};

use super::files::{invalid, unreadable};
use crate::shard::Problem;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZIP: [u8; 4] = *b"PK\x03\x04";
/// Of a zip's local file header, without name and extra field.
const ZIP_HEADER: usize = 30;

pub(super) fn open(input: Box<dyn Read>, path: &str) -> Result<Box<dyn Read>, Problem> {
    let mut input = BufReader::new(input);
    let failed = |error: io::Error| unreadable(path, &error.to_string());
    let start = input.fill_buf().map_err(failed)?;
    if start.starts_with(&GZIP) {
        return Ok(Box::new(MultiGzDecoder::new(input)));
    }
    if !start.starts_with(&ZIP) {
        return Err(invalid(path, format!("{path} is neither gzip nor zip: drop unzip()")));
    }
    let mut header = [0; ZIP_HEADER];
    input.read_exact(&mut header).map_err(failed)?;
    let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (flags, method) = (u16_at(6), u16_at(8));
    let skipped = u64::from(u16_at(26)) + u64::from(u16_at(28));
    io::copy(&mut input.by_ref().take(skipped), &mut io::sink()).map_err(failed)?;
    if flags & 1 != 0 {
        return Err(invalid(path, format!("{path} is encrypted: pack it without a password")));
    }
    match method {
        8 => Ok(Box::new(DeflateDecoder::new(input))),
        0 if flags & 8 == 0 => {
            let size = u32::from_le_bytes([header[18], header[19], header[20], header[21]]);
            Ok(Box::new(input.take(u64::from(size))))
        }
        _ => {
            Err(invalid(path, format!("{path}: zip method {method} is not supported: use deflate")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder};

    use super::*;

    fn text(bytes: Vec<u8>) -> Result<String, Problem> {
        let mut out = String::new();
        open(Box::new(io::Cursor::new(bytes)), "x")?.read_to_string(&mut out).unwrap();
        Ok(out)
    }

    #[test]
    fn gzip_and_zip() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(b"a,b\n").unwrap();
        assert_eq!(text(gzip.finish().unwrap()).unwrap(), "a,b\n");

        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(b"a,b\n").unwrap();
        let mut zip = ZIP.to_vec();
        zip.extend([20, 0, 8, 0, 8, 0]);
        zip.extend([0; 16]);
        zip.extend([5, 0, 0, 0]);
        zip.extend(b"x.csv");
        zip.extend(deflate.finish().unwrap());
        zip.extend(b"PK\x01\x02 and so on");
        assert_eq!(text(zip).unwrap(), "a,b\n");

        assert!(text(b"a,b\n".to_vec()).unwrap_err().message.contains("neither gzip nor zip"));
        assert!(text(b"PK\x03\x04".to_vec()).is_err());
    }
}
