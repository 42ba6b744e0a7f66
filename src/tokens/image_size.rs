//! The size of an image, from the first bytes of its file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Width and height in pixels.
pub(super) type Size = (u64, u64);

/// Reads an image's size from the first bytes of a data URL; the rest is not decoded.
pub(super) fn size_in_data_url(url: &str) -> Option<Size> {
    let (head, payload) = url.strip_prefix("data:")?.split_once(',')?;
    if !head.ends_with(";base64") {
        return None;
    }
    // A JPEG may hold a preview and a colour profile before its size.
    [64, 256 * 1024].into_iter().find_map(|length| {
        let start = payload.as_bytes().get(..length).unwrap_or(payload.as_bytes());
        let end = start
            .iter()
            .rposition(|byte| *byte != b'=')
            .map_or(0, |last| last + 1);
        let bytes = STANDARD_NO_PAD.decode(start.get(..end)?).ok()?;
        size_of(&bytes)
    })
}

fn size_of(image: &[u8]) -> Option<Size> {
    let size = match image {
        [0x89, b'P', b'N', b'G', ..] => (big(image.get(16..20)?), big(image.get(20..24)?)),
        [b'G', b'I', b'F', b'8', ..] => (little(image.get(6..8)?), little(image.get(8..10)?)),
        [b'R', b'I', b'F', b'F', ..] => webp_size(image)?,
        [0xff, 0xd8, rest @ ..] => jpeg_size(rest)?,
        _ => return None,
    };
    // A side beyond this is a broken header; the arithmetic above relies on it.
    (1..=1 << 20).contains(&size.0).then_some(())?;
    (1..=1 << 20).contains(&size.1).then_some(size)
}

fn big(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn little(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// RFC 9649: a simple file, lossy or lossless, or an extended one.
fn webp_size(image: &[u8]) -> Option<Size> {
    (image.get(8..12)? == b"WEBP").then_some(())?;
    match image.get(12..16)? {
        b"VP8 " => Some((
            little(image.get(26..28)?) & 0x3fff,
            little(image.get(28..30)?) & 0x3fff,
        )),
        b"VP8L" => {
            let bits = little(image.get(21..25)?);
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => Some((little(image.get(24..27)?) + 1, little(image.get(27..30)?) + 1)),
        _ => None,
    }
}

/// ITU T.81, B.1 and B.2.2: segments with a marker and a length, until the start of a frame.
fn jpeg_size(mut rest: &[u8]) -> Option<Size> {
    loop {
        match rest {
            [0xff, 0xff, ..] => rest = rest.get(1..)?,
            [0xff, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf, ..] => {
                return Some((big(rest.get(7..9)?), big(rest.get(5..7)?)));
            }
            [0xff, 0x01 | 0xd0..=0xd7, ..] => rest = rest.get(2..)?,
            [0xff, _, high, low, ..] => {
                rest = rest.get(2 + (usize::from(*high) << 8 | usize::from(*low))..)?;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_from_the_headers_of_four_formats() {
        let url = |bytes: &[u8]| format!("data:image/x;base64,{}", STANDARD.encode(bytes));
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x04\0\0\0\x02\x01".to_vec();
        png.extend([0; 300]);
        assert_eq!(size_in_data_url(&url(&png)), Some((1024, 513)));
        assert_eq!(
            size_in_data_url(&url(b"GIF89a\x40\x01\xf0\0rest")),
            Some((320, 240))
        );
        assert_eq!(
            size_in_data_url(&url(
                b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x1f\x03\0\x57\x02\0"
            )),
            Some((800, 600))
        );
        assert_eq!(
            size_in_data_url(&url(
                b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x20\x03\x58\x02"
            )),
            Some((800, 600))
        );
        assert_eq!(
            size_in_data_url(&url(b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x1f\xc3\x95\0")),
            Some((800, 600))
        );
        let mut jpeg = b"\xff\xd8\xff\xe1\xff\xfe".to_vec();
        jpeg.extend(vec![7; 0xfffc]);
        jpeg.extend(b"\xff\xff\xc2\0\x11\x08\x02\x58\x03\x20\x03");
        assert_eq!(size_in_data_url(&url(&jpeg)), Some((800, 600)));
        for other in [
            "",
            "data:",
            "data:image/png,abc",
            "data:image/png;base64,",
            "data:image/png;base64,\u{e9}!",
            "https://x/y.png",
        ] {
            assert_eq!(size_in_data_url(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_size_or_none(bytes in prop::collection::vec(any::<u8>(), 0..80), start in 0..5_usize) {
            let starts: [&[u8]; 5] = [b"", b"\x89PNG", b"GIF8", b"RIFF\0\0\0\0WEBPVP8X", b"\xff\xd8\xff"];
            let image = [starts[start], &bytes].concat();
            if let Some((width, height)) = size_of(&image) {
                prop_assert!((1..=1 << 20).contains(&width) && (1..=1 << 20).contains(&height));
            }
        }
    }
}
