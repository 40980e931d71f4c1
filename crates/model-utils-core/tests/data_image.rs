//! Pictures: changing, reading and writing them.
#![cfg(feature = "data")]

use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

use image::{DynamicImage, ImageFormat};
use model_utils_core::error::Error;
use model_utils_core::image::Image;
use proptest::prelude::*;

/// A gray picture of the given rows.
fn gray(rows: &[&[u8]]) -> Image {
    Image::new(rows[0].len(), rows.len(), 1, rows.concat()).unwrap()
}

/// A small RGB picture with every value different from its neighbours.
fn sample() -> Image {
    let pixels = (0..12 * 9 * 3).map(|i| (i * 37 % 256) as u8).collect();
    Image::new(12, 9, 3, pixels).unwrap()
}

/// The content of a file of that name which holds [`sample`].
fn encoded(name: impl AsRef<Path>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    sample().save(&path).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn refuses_what_is_no_picture() {
    assert!(matches!(Image::new(1, 1, 2, vec![0; 2]), Err(Error::Config(_))));
    assert!(matches!(Image::new(0, 1, 1, vec![]), Err(Error::Config(_))));
    assert!(matches!(Image::new(2, 2, 1, vec![0; 3]), Err(Error::Shape { .. })));
    assert!(matches!(Image::new(usize::MAX, 2, 3, vec![0; 3]), Err(Error::Shape { .. })));
    assert_eq!(Image::filled(2, 1, &[1, 2, 3]).pixels(), [1, 2, 3, 1, 2, 3]);
    assert_eq!(Image::filled(0, 0, &[]), gray(&[&[0]]));
}

#[test]
fn changes_channels() {
    let image = Image::new(2, 1, 3, vec![255, 0, 0, 10, 10, 10]).unwrap();
    assert_eq!(image.to_gray().pixels(), [76, 10]);
    assert_eq!(gray(&[&[7, 9]]).to_rgb().pixels(), [7, 7, 7, 9, 9, 9]);
    assert_eq!(Image::filled(1, 1, &[255; 3]).to_gray().pixels(), [255]);
}

#[test]
fn resizes_as_pillow_does() {
    // Larger: positions between pixel centres are mixed, beyond the outermost centre they repeat.
    assert_eq!(gray(&[&[0, 100]]).resize(4, 1).pixels(), [0, 25, 75, 100]);
    // Smaller by 2: the triangle reaches over 4 pixels with weights 1, 3, 3, 1 (cut at the border).
    let row = gray(&[&[0, 70, 140, 210]]);
    assert_eq!(row.resize(2, 1).pixels(), [50, 160]);
    assert_eq!(row.flip_horizontal().resize(2, 1).pixels(), [160, 50]);
    // Rows as columns.
    let column = gray(&[&[0], &[70], &[140], &[210]]);
    assert_eq!(column.resize(1, 2).pixels(), [50, 160]);
    let plain = Image::filled(17, 5, &[3, 200, 99]);
    assert_eq!(plain.resize(7, 31), Image::filled(7, 31, &[3, 200, 99]));
    assert_eq!(sample().resize(12, 9), sample());
    assert_eq!(sample().resize(0, 0).pixels().len(), 3);
}

#[test]
fn resizes_labels_without_mixing() {
    let image = gray(&[&[1, 2], &[3, 4]]);
    let large = gray(&[&[1, 1, 2, 2], &[1, 1, 2, 2], &[3, 3, 4, 4], &[3, 3, 4, 4]]);
    assert_eq!(image.resize_nearest(4, 4), large);
    assert_eq!(large.resize_nearest(2, 2), image);
    assert_eq!(gray(&[&[1, 2, 3]]).resize_nearest(1, 1).pixels(), [2]);
}

#[test]
fn crops_and_flips() {
    let image = gray(&[&[1, 2, 3], &[4, 5, 6], &[7, 8, 9]]);
    assert_eq!(image.crop(1, 0, 2, 2).unwrap(), gray(&[&[2, 3], &[5, 6]]));
    assert_eq!(image.center_crop(1, 1).unwrap().pixels(), [5]);
    assert_eq!(image.flip_horizontal(), gray(&[&[3, 2, 1], &[6, 5, 4], &[9, 8, 7]]));
    assert_eq!(
        Image::new(2, 1, 3, vec![1, 2, 3, 4, 5, 6]).unwrap().flip_horizontal().pixels(),
        [4, 5, 6, 1, 2, 3]
    );
    for (x, y, w, h) in [(2, 0, 2, 1), (0, 3, 1, 1), (0, 0, 0, 1), (usize::MAX, 0, 2, 1)] {
        assert!(matches!(image.crop(x, y, w, h), Err(Error::Shape { .. })));
    }
    assert!(image.center_crop(4, 1).is_err());
}

#[test]
fn goes_to_planes_and_back() {
    let image = Image::new(2, 1, 3, vec![0, 51, 102, 153, 204, 255]).unwrap();
    let planes = image.to_planes();
    assert_eq!(planes, [0.0, 0.6, 0.2, 0.8, 0.4, 1.0]);
    assert_eq!(Image::from_planes(&planes, [3, 1, 2], 0.0, 1.0).unwrap(), image);
    assert_eq!(sample(), Image::from_planes(&sample().to_planes(), [3, 9, 12], 0.0, 1.0).unwrap());
    let clamped = [-9.0, -1.0, 0.0, 1.0, f32::INFINITY, f32::NEG_INFINITY];
    let clamped = Image::from_planes(&clamped, [1, 2, 3], -1.0, 1.0).unwrap();
    assert_eq!(clamped.pixels(), [0, 0, 128, 255, 255, 0]);
    assert!(matches!(
        Image::from_planes(&[f32::NAN], [1, 1, 1], 0.0, 1.0),
        Err(Error::Picture { .. })
    ));
    assert!(Image::from_planes(&[0.0], [1, 1, 1], 1.0, 1.0).is_err());
    assert!(Image::from_planes(&[0.0], [1, 1, 2], 0.0, 1.0).is_err());
    assert!(Image::from_planes(&[], [0, 1, 1], 0.0, 1.0).is_err());
}

#[test]
fn saves_and_opens() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "a.bmp", "new/folder/a.ppm", "a.PNM"] {
        let path = folder.path().join(name);
        sample().save(&path).unwrap();
        assert_eq!(Image::open(&path).unwrap(), sample(), "{name}");
        sample().to_gray().save(&path).unwrap();
        assert_eq!(Image::open(&path).unwrap().to_gray(), sample().to_gray(), "{name}");
    }
    let path = folder.path().join("gray.pgm");
    sample().to_gray().save(&path).unwrap();
    assert_eq!(Image::open(&path).unwrap().channels(), 1);
    let smooth = Image::filled(20, 10, &[200, 100, 50]);
    for name in ["a.jpg", "a.gif"] {
        let path = folder.path().join(name);
        smooth.save(&path).unwrap();
        let read = Image::open(&path).unwrap();
        assert!(read.pixels().iter().zip(smooth.pixels()).all(|(a, b)| a.abs_diff(*b) < 9));
        smooth.to_gray().save(&path).unwrap();
    }
    assert!(matches!(sample().save(folder.path().join("a.xyz")), Err(Error::Picture { .. })));
    assert!(!folder.path().join("a.xyz").exists());
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 7, "no temporary file stays");
}

#[test]
fn says_which_file_is_bad() {
    let missing = Image::open("no/such.png").unwrap_err().to_string();
    assert!(missing.starts_with("cannot read no/such.png"), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    std::fs::write(&path, &encoded("a.png")[..60]).unwrap();
    let text = Image::open(&path).unwrap_err().to_string();
    assert!(text.contains("a.png is not a valid image file"), "{text}");
    let text = Image::decode(b"hello", "x.jpg").unwrap_err().to_string();
    assert!(text.contains("x.jpg") && text.contains("signature"), "{text}");
}

#[test]
fn truncated_pictures_are_refused() {
    for name in NAMES {
        let bytes = encoded(name);
        let error = Image::decode(&bytes[..bytes.len() * 9 / 10], name).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{name}: {error}");
    }
    let mut jpeg = encoded("a.jpg");
    // A segment with a thumbnail has an end of its own; so has what follows the image.
    jpeg.splice(2..2, [0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9]);
    let whole = Image::decode(&jpeg, "a.jpg").unwrap();
    let error = Image::decode(&jpeg[..jpeg.len() - 2], "a.jpg").unwrap_err().to_string();
    assert!(error.contains("it is truncated: no marker FF D9"), "{error}");
    jpeg.extend([0, 0, 7]);
    assert_eq!(Image::decode(&jpeg, "a.jpg").unwrap(), whole);
}

#[test]
fn refuses_a_picture_that_asks_for_too_much() {
    let bytes = b"P6 4000000000 4000000000 255\n0123";
    assert!(matches!(Image::decode(bytes, "a.ppm"), Err(Error::Format { .. })));
    assert!(matches!(Image::decode(b"P6 30000 30000 255\n0", "a.ppm"), Err(Error::Format { .. })));
    assert!(Image::decode(b"P6 0 0 255\n", "a.ppm").is_err());
    // The start of a PNG of 20,000 × 20,000 RGB pixels, which would take 1.2 GB.
    let mut header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    header.extend([0, 0, 78, 32, 0, 0, 78, 32, 8, 2, 0, 0, 0]);
    header.extend(0x57a4_8f76_u32.to_be_bytes());
    let error = Image::decode(&header, "wide.png").unwrap_err().to_string();
    assert!(error.contains("wide.png is not a valid image file"), "{error}");
}

/// A JPEG of 8 × 8 CMYK pixels without cyan and black, as Pillow writes it.
#[rustfmt::skip]
const CMYK: &[u8] = &[
    255, 216, 255, 238, 0, 14, 65, 100, 111, 98, 101, 0, 100, 0, 0, 0,
    0, 0, 255, 219, 0, 67, 0, 3, 2, 2, 3, 2, 2, 3, 3, 3,
    3, 4, 3, 3, 4, 5, 8, 5, 5, 4, 4, 5, 10, 7, 7, 6,
    8, 12, 10, 12, 12, 11, 10, 11, 11, 13, 14, 18, 16, 13, 14, 17,
    14, 11, 11, 16, 22, 16, 17, 19, 20, 21, 21, 21, 12, 15, 23, 24,
    22, 20, 24, 18, 20, 21, 20, 255, 192, 0, 20, 8, 0, 8, 0, 8,
    4, 67, 17, 0, 77, 17, 0, 89, 17, 0, 75, 17, 0, 255, 196, 0,
    20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 9, 255, 196, 0, 20, 16, 1, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 218, 0, 14, 4, 67, 0,
    77, 0, 89, 0, 75, 0, 0, 63, 0, 84, 197, 80, 170, 42, 111, 255,
    217,
];

#[test]
fn reads_cmyk_as_rgb() {
    let image = Image::decode(CMYK, "red.jpg").unwrap();
    assert_eq!((image.width(), image.height(), image.channels()), (8, 8, 3));
    let [red, green, blue] = *image.pixel(3, 3) else { panic!("three channels") };
    assert!(red > 250 && green < 5 && blue < 5, "{red} {green} {blue}");
}

#[test]
fn reads_other_depths_as_gray_or_rgb() {
    use image::{ImageBuffer, Luma, LumaA, Rgba};
    let read = |image: DynamicImage| {
        let mut bytes = Vec::new();
        image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        Image::decode(&bytes, "a.png").unwrap()
    };
    let deep = ImageBuffer::from_pixel(2, 2, Luma([0x8080_u16]));
    assert_eq!(read(deep.into()), Image::filled(2, 2, &[0x80]));
    let deep = ImageBuffer::from_pixel(1, 1, image::Rgb([0xffff_u16, 0x8080, 0]));
    assert_eq!(read(deep.into()), Image::filled(1, 1, &[255, 128, 0]));
    let alpha = ImageBuffer::from_pixel(2, 2, LumaA([9_u8, 0]));
    assert_eq!(read(alpha.into()), Image::filled(2, 2, &[9]));
    let alpha = ImageBuffer::from_pixel(2, 2, Rgba([1_u8, 2, 3, 4]));
    assert_eq!(read(alpha.into()), Image::filled(2, 2, &[1, 2, 3]));
}

const NAMES: [&str; 5] = ["a.png", "a.jpg", "a.bmp", "a.gif", "a.ppm"];
static FILES: LazyLock<[Vec<u8>; 5]> = LazyLock::new(|| NAMES.map(encoded));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Truncated and changed files give a picture or an error, never a panic.
    #[test]
    fn decoding_never_panics(
        kind in 0_usize..5,
        length in 0.0_f64..1.2,
        changes in prop::collection::vec((0.0_f64..1.0, any::<u8>()), 0..6),
    ) {
        let mut bytes = FILES[kind].clone();
        bytes.truncate((bytes.len() as f64 * length) as usize);
        let length = bytes.len() as f64;
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut((at * length) as usize) {
                *byte = value;
            }
        }
        let _ = Image::decode(&bytes, NAMES[kind]);
    }

    /// Any sizes: the result has them, and stays in the range of the input.
    #[test]
    fn resizing_keeps_the_range(w in 1_usize..40, h in 1_usize..40) {
        let small = gray(&[&[90, 100, 130], &[100, 95, 120]]);
        let large = small.resize(w, h);
        prop_assert_eq!((large.width(), large.height()), (w, h));
        prop_assert!(large.pixels().iter().all(|v| (90..=130).contains(v)));
        let small = sample().resize(w, h);
        prop_assert_eq!(small.pixels().len(), w * h * 3);
    }
}
