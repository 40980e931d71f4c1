//! The examples as they were built.

use std::fs;
use std::process::Command;

/// Cargo builds the examples before it runs tests.
pub(crate) fn example(name: &str) -> Command {
    let mut path = std::env::current_exe().unwrap();
    path.pop(); // deps
    path.pop();
    Command::new(path.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

#[allow(dead_code)] // Not every test needs images.
/// A folder with two classes of 12×12 images: bright and dark ones.
pub(crate) fn images(count: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (class, base) in [("bright", 180_usize), ("dark", 20)] {
        fs::create_dir(folder.path().join(class)).unwrap();
        for number in 0..count {
            let pixels: Vec<u8> =
                (0..12 * 12 * 3).map(|i| (base + (i * 31 + number * 17) % 60) as u8).collect();
            let mut file = b"P6\n12 12\n255\n".to_vec();
            file.extend(pixels);
            fs::write(folder.path().join(class).join(format!("{number}.ppm")), file).unwrap();
        }
    }
    folder
}
