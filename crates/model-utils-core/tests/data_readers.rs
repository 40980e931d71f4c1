//! Reading data sets from files, and what is said of files that are not as they should be.
#![cfg(feature = "data")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use model_utils_core::data::{
    Classes, Classification, Dataset, Idx, IdxImages, ImageCsv, ImageFolder, ImageMasks, Labelled,
    LabelledImages, Split, VocBoxes, open_classification,
};
use model_utils_core::error::{Error, Result};
use model_utils_core::image::Image;
use proptest::prelude::*;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    path.to_path_buf()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn picture(path: impl AsRef<Path>, value: u8) {
    Image::filled(4, 3, &[value]).save(path).unwrap();
}

/// An IDX file of that shape.
fn idx(shape: &[u32], data: &[u8]) -> Vec<u8> {
    let lengths = shape.iter().flat_map(|length| length.to_be_bytes());
    [0, 0, 8, shape.len() as u8].into_iter().chain(lengths).chain(data.iter().copied()).collect()
}

/// The text of an error, which has to contain all of `parts`.
#[track_caller]
fn fails<T>(result: Result<T>, parts: &[&str]) {
    let text = result.err().expect("an error").to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn idx_of_any_rank_gzipped_or_not() {
    let folder = folder();
    for (i, shape) in [&[6][..], &[2, 3], &[1, 2, 3, 1], &[]].iter().enumerate() {
        let size = shape.iter().product::<u32>() as u8;
        let data: Vec<u8> = (0..size).collect();
        let content = idx(shape, &data);
        let plain = Idx::open(write(folder.path().join(format!("{i}")), &content)).unwrap();
        let zipped = Idx::open(write(folder.path().join(format!("{i}.gz")), gzip(&content)));
        assert_eq!(plain, zipped.unwrap());
        assert_eq!(plain.data(), data);
        assert!(plain.shape().iter().zip(*shape).all(|(a, b)| *a == *b as usize));
    }
}

#[test]
fn idx_that_is_broken() {
    let folder = folder();
    let open = |content: &[u8]| Idx::open(write(folder.path().join("a-idx"), content));
    fails(Idx::open(folder.path().join("missing")), &["cannot open", "missing"]);
    fails(open(b""), &["a-idx is not a valid IDX file", "magic number"]);
    fails(open(b"PNG!"), &["expected [00, 00, 08, rank]"]);
    fails(open(&[0, 0, 0x0d, 1, 0, 0, 0, 0]), &["type 0x0d", "0x08"]);
    fails(open(&[0, 0, 8, 2, 0, 0, 0, 1, 0]), &["ends within the shape"]);
    fails(open(&idx(&[2, 2], &[1, 2, 3])), &["after 3 of the 4 values"]);
    fails(open(&idx(&[2], &[1, 2, 3])), &["more than the 2 values"]);
    // Promises are not believed: no memory is taken for what is not there.
    fails(open(&idx(&[u32::MAX], &[1])), &["after 1 of the 4294967295"]);
    fails(open(&idx(&[u32::MAX; 3], &[1])), &["is more than"]);
    fails(open(&idx(&[u32::MAX; 255], &[1])), &["is more than"]);
    // A bomb is unpacked as far as the header says.
    fails(open(&gzip(&idx(&[4], &vec![0; 50_000_000]))), &["more than the 4 values"]);
    let zipped = gzip(&idx(&[1000], &(0..1000).map(|i| (i * i % 251) as u8).collect::<Vec<_>>()));
    fails(open(&zipped[..zipped.len() / 2]), &["a-idx is not a valid gzip file"]);
}

fn mnist_in(folder: &Path, images: &[u8], labels: &[u8]) {
    write(folder.join("train-images-idx3-ubyte.gz"), gzip(images));
    write(folder.join("train-labels-idx1-ubyte"), labels);
}

#[test]
fn mnist_by_its_file_names() {
    let folder = folder();
    mnist_in(folder.path(), &idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]), &idx(&[2], &[9, 0]));
    let set = IdxImages::mnist(&folder, Split::Train).unwrap();
    assert_eq!((set.len(), set.classes().len()), (2, 10));
    let image = Image::new(3, 1, 1, vec![4, 5, 6]).unwrap();
    assert_eq!(set.get(1).unwrap(), Labelled { image, label: 0 });
    assert!(matches!(set.get(2), Err(Error::Data { .. })));
    assert_eq!(open_classification(&folder, Split::Train).unwrap().len(), 2);
    fails(IdxImages::mnist(&folder, Split::Test), &["t10k-images-idx3-ubyte", ".gz"]);

    mnist_in(folder.path(), &idx(&[2, 1, 1], &[1, 2]), &idx(&[3], &[1, 2, 3]));
    fails(IdxImages::mnist(&folder, Split::Train), &["2 images but 3 labels"]);
    mnist_in(folder.path(), &idx(&[2, 1, 1], &[1, 2]), &idx(&[2], &[1, 10]));
    fails(IdxImages::mnist(&folder, Split::Train), &["item 1 has label 10", "below 10"]);
    mnist_in(folder.path(), &idx(&[0, 1, 1], &[]), &idx(&[0], &[]));
    fails(IdxImages::mnist(&folder, Split::Train), &["[0, 1, 1]", "at least one"]);
    mnist_in(folder.path(), &idx(&[2], &[1, 2]), &idx(&[2], &[1, 1]));
    fails(IdxImages::mnist(&folder, Split::Train), &["[items, height, width]"]);
    mnist_in(folder.path(), &idx(&[1, 1, 1], &[1]), &idx(&[1, 1], &[1]));
    fails(IdxImages::mnist(&folder, Split::Train), &["labels have shape [1, 1]"]);
}

#[test]
fn colour_idx() {
    let images = Idx::read(&idx(&[1, 1, 2, 3], &[1, 2, 3, 4, 5, 6])[..], "x").unwrap();
    let labels = Idx::read(&idx(&[1], &[0])[..], "y").unwrap();
    let set = IdxImages::new(images, labels, vec!["only".into()], "two files").unwrap();
    assert_eq!(set.get(0).unwrap().image.pixel(1, 0), [4, 5, 6]);
}

#[test]
fn labels_of_pictures_in_memory() {
    let item = |label| Labelled { image: Image::filled(1, 1, &[0]), label };
    let classes = || vec!["a".to_owned(), "b".to_owned()];
    let set = LabelledImages::new(vec![item(1), item(0)], classes()).unwrap();
    assert_eq!(set.get(0).unwrap().label, 1);
    fails(LabelledImages::new(vec![item(0), item(2)], classes()), &["item 1 has label 2"]);
}

#[test]
fn a_folder_a_class() {
    let folder = folder();
    let root = folder.path();
    for (name, value) in [("dog/2.png", 2), ("dog/10.PNG", 1), ("cat/a.pgm", 3)] {
        picture(root.join(name), value);
    }
    write(root.join("dog/notes.txt"), "no picture");
    write(root.join(".git/x.png"), "hidden");
    let set = ImageFolder::open(root).unwrap();
    assert_eq!(set.classes(), ["cat", "dog"]);
    let found: Vec<_> =
        (0..3).map(|i| set.get(i).unwrap()).map(|x| (x.image.pixel(0, 0)[0], x.label)).collect();
    assert_eq!(found, [(3, 0), (1, 1), (2, 1)]);
    assert_eq!(set.files()[0].0, root.join("cat/a.pgm"));

    write(root.join("cat/b.png"), "not a picture");
    let set = ImageFolder::open(root).unwrap();
    fails(set.get(1), &["b.png is not a valid image file"]);
    let known = vec!["dog".to_owned()];
    fails(ImageFolder::open_with_classes(root, known), &["`cat` is not one of", "dog"]);
    fs::create_dir(root.join("empty")).unwrap();
    fails(ImageFolder::open(root), &["class folder `empty` holds no picture"]);
    fails(ImageFolder::open(root.join("dog")), &["no class folder"]);
    fails(ImageFolder::open(root.join("none")), &["cannot list", "none"]);
}

#[test]
fn a_list_of_pictures() {
    let folder = folder();
    let root = folder.path();
    picture(root.join("in/a.png"), 1);
    picture(root.join("b.png"), 2);
    let open = |text: &str| ImageCsv::open(write(root.join("list.csv"), text));
    let labels = |set: &ImageCsv| -> Vec<usize> {
        (0..set.len()).map(|i| set.get(i).unwrap().label).collect()
    };
    let set = open("Label,id,Image\ncat,7,in/a.png\nant , 8, b.png\n").unwrap();
    assert_eq!((labels(&set), set.classes()), (vec![1, 0], &["ant".into(), "cat".into()][..]));
    assert_eq!(set.get(0).unwrap().image, Image::filled(4, 3, &[1]));
    let set = open("x,y\nb.png,02\nb.png,0\n").unwrap();
    assert_eq!((labels(&set), set.classes().len()), (vec![2, 0], 3));

    fails(open("file,label\nb.png,1\nc.png,2\n"), &["list.csv", "line 3", "c.png"]);
    fails(open("file,label\nb.png,\n"), &["line 2: the label is empty"]);
    fails(open("file,label\n,1\n"), &["line 2: the file name is empty"]);
    fails(open("file,label\nb.png,1\nb.png\n"), &["line: 3"]);
    fails(open("a,b,c\n"), &["a, b, c", "filename"]);
    fails(open("file,label\n"), &["no row"]);
    fails(open(""), &["list.csv"]);
    fails(open("file,label\nb.png,99999999999\n"), &["too large"]);
    fails(ImageCsv::open(root.join("no.csv")), &["cannot open"]);
    let known = vec!["ant".to_owned()];
    let list = write(root.join("list.csv"), "file,label\nb.png,bee\n");
    fails(ImageCsv::open_with_classes(list, known), &["line 2", "`bee`", "ant"]);
    write(root.join("bad.png"), "x");
    let set = open("file,label\nbad.png,1\n").unwrap();
    fails(set.get(0), &["list.csv", "line 2", "bad.png"]);
}

#[test]
fn a_folder_says_what_it_is() {
    let open = |root: &Path, split| open_classification(root, split);
    let root = folder();
    fails(open(root.path(), Split::Train), &["train-images-idx3-ubyte", "train.csv", "labels.csv"]);
    fails(open(&root.path().join("none"), Split::Train), &["no such folder"]);

    // Class folders: 90 % and 10 %, disjoint.
    for i in 0..20 {
        picture(root.path().join(format!("{}/{i}.png", ["a", "b"][i % 2])), i as u8);
    }
    let values = |set: &dyn Classification| -> Vec<u8> {
        (0..set.len()).map(|i| set.get(i).unwrap().image.pixel(0, 0)[0]).collect()
    };
    let train = open(root.path(), Split::Train).unwrap();
    let test = open(root.path(), Split::Test).unwrap();
    assert_eq!((train.len(), test.len()), (18, 2));
    let mut all = [values(&*train), values(&*test)].concat();
    all.sort_unstable();
    assert_eq!(all, (0..20).collect::<Vec<u8>>());
    assert_eq!(test.classes(), ["a", "b"]);
    fs::create_dir(root.path().join("c")).unwrap();
    fails(open(root.path(), Split::Train), &["folder `c` holds no picture", "looked for"]);

    // A list, and a list for each part.
    write(root.path().join("labels.csv"), "file,label\na/0.png,x\na/2.png,y\n");
    assert_eq!(open(root.path(), Split::Train).unwrap().len(), 2);
    fails(open(root.path(), Split::Test), &["2 pictures are too few"]);
    write(root.path().join("val.csv"), "file,label\nb/1.png,y\n");
    let test = open(root.path(), Split::Test).unwrap();
    assert_eq!((test.get(0).unwrap().label, test.classes()), (1, &["x".into(), "y".into()][..]));

    // Parts with class folders; the classes are those of the first.
    picture(root.path().join("train/dog/1.png"), 1);
    picture(root.path().join("train/cat/1.png"), 2);
    assert_eq!(open(root.path(), Split::Train).unwrap().classes(), ["cat", "dog"]);
    fails(open(root.path(), Split::Test), &["neither test/ nor val/"]);
    picture(root.path().join("val/dog/1.png"), 3);
    assert_eq!(open(root.path(), Split::Test).unwrap().get(0).unwrap().label, 1);
}

const BOX: &str = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>3</ymax></bndbox>";

/// A VOC folder with one picture of 4×3 pixels and these objects.
fn voc(root: &Path, size: &str, objects: &str) -> Result<VocBoxes> {
    picture(root.join("JPEGImages/p.png"), 5);
    write(root.join("ImageSets/Main/train.txt"), "p  1\n\n");
    let text = format!("<annotation>{size}{objects}</annotation>");
    write(root.join("Annotations/p.xml"), text);
    VocBoxes::open(root, "train")
}

fn object(edges: [i32; 4]) -> String {
    let [x_min, y_min, x_max, y_max] = edges;
    format!(
        "<object><name>cell</name><bndbox><xmin>{x_min}</xmin><ymin>{y_min}</ymin>\
         <xmax>{x_max}</xmax><ymax>{y_max}</ymax></bndbox></object>"
    )
}

#[test]
fn boxes_of_voc() {
    let folder = folder();
    let root = folder.path();
    let size = "<size><width>4</width><height>3</height></size>";
    write(root.join("Annotations/other.xml"), "<a><object><name>bee</name></object></a>");
    let objects = format!("<object><name>cell</name><difficult>1</difficult>{BOX}</object>");
    for size in [size, "", "<size><width>0</width><height>0</height></size>"] {
        let set = voc(root, size, &objects).unwrap();
        assert_eq!(set.classes(), ["bee", "cell"]);
        let item = set.get(0).unwrap();
        assert_eq!(item.image, Image::filled(4, 3, &[5]));
        let found = item.boxes[0];
        let edges = [found.x_min, found.y_min, found.x_max, found.y_max];
        assert_eq!((edges, found.class, found.difficult), ([0.0, 1.0, 4.0, 3.0], 1, true));
        // One pixel over the border is cut.
        let item = voc(root, size, &object([0, 0, 5, 4])).unwrap().get(0).unwrap();
        assert_eq!((item.boxes[0].width(), item.boxes[0].height()), (4.0, 3.0));
        // A box of one pixel is one.
        let item = voc(root, size, &object([2, 2, 2, 2])).unwrap().get(0).unwrap();
        assert!((item.boxes[0].area() - 1.0).abs() < 1e-6);
        let get = |edges| {
            let objects = object([1, 1, 2, 2]) + &object(edges);
            voc(root, size, &objects).and_then(|set| set.get(0))
        };
        fails(get([1, 1, 9, 3]), &["p.xml", "object 2", "`cell`", "out of the picture of 4×3"]);
        fails(get([-1, 1, 3, 3]), &["object 2", "out of the picture"]);
        fails(get([3, 1, 2, 3]), &["object 2", "is empty"]);
    }
    assert!(voc(root, size, "").unwrap().get(0).unwrap().boxes.is_empty());
}

#[test]
fn annotations_that_are_broken() {
    let folder = folder();
    let root = folder.path();
    let named = |rest: &str| voc(root, "", &format!("<object><name>cell</name>{rest}</object>"));
    fails(voc(root, "", "<object>"), &["p.xml is not a valid VOC annotation file"]);
    fails(voc(root, "", "<object/>"), &["<object> has no <name>"]);
    fails(named(""), &["object 1", "no <bndbox>"]);
    fails(named("<bndbox/>"), &["object 1", "<bndbox> has no <xmin>"]);
    fails(named(&BOX.replace("<ymin>2", "<ymin>two")), &["object 1", "<ymin> is `two`"]);
    fails(named(&BOX.replace("<ymin>2", "<ymin>NaN")), &["<ymin> is `NaN`"]);
    let large = "<size><width>40</width><height>30</height></size>";
    let set = voc(root, large, &object([1, 1, 30, 30])).unwrap();
    fails(set.get(0), &["p.xml", "for 40×30 pixels", "p.png has 4×3"]);
    let bomb = "<!DOCTYPE a [<!ENTITY b \"x\">]><annotation/>";
    write(root.join("Annotations/p.xml"), bomb);
    fails(VocBoxes::open(root, "train"), &["p.xml"]);

    fails(VocBoxes::open(root, "test"), &["cannot read", "test.txt"]);
    voc(root, "", "").unwrap();
    let list = |text: &str| {
        write(root.join("ImageSets/Main/train.txt"), text);
        VocBoxes::open(root, "train")
    };
    fails(list("q\n"), &["lists `q`", "q.xml"]);
    fails(list("\n"), &["train.txt", "no name"]);
    fs::remove_file(root.join("JPEGImages/p.png")).unwrap();
    fails(list("p\n"), &["lists `p`", "JPEGImages"]);
}

#[test]
fn masks_of_pictures() {
    let folder = folder();
    let root = folder.path();
    let open = || ImageMasks::open(root.join("i"), root.join("m"));
    picture(root.join("i/a.png"), 9);
    let mask = Image::new(4, 3, 1, vec![0, 1, 2, 255, 0, 0, 0, 0, 127, 128, 0, 0]).unwrap();
    mask.save(root.join("m/a.bmp")).unwrap();
    let item = open().unwrap().get(0).unwrap();
    assert_eq!((item.image, &item.mask), (Image::filled(4, 3, &[9]), &mask));
    let binary = open().unwrap().with_threshold(128).with_classes(2).get(0).unwrap().mask;
    assert_eq!(binary.pixels(), [0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0]);
    fails(open().unwrap().with_classes(3).get(0), &["a.bmp", "(3, 0) has class 255", "below 3"]);

    Image::filled(4, 3, &[1, 2, 3]).save(root.join("m/a.bmp")).unwrap();
    fails(open().unwrap().get(0), &["a.bmp", "(0, 0) has colour [1, 2, 3]"]);
    assert!(open().unwrap().with_threshold(1).get(0).is_ok());
    Image::filled(3, 4, &[0]).save(root.join("m/a.bmp")).unwrap();
    fails(open().unwrap().get(0), &["a.bmp", "3×4", "4×3"]);
    picture(root.join("m/b.png"), 0);
    fails(open(), &["no picture for", "b.png"]);
    picture(root.join("i/b.png"), 0);
    picture(root.join("i/c.png"), 0);
    fails(open(), &["no mask for", "c.png"]);
    picture(root.join("i/c.bmp"), 0);
    fails(open(), &["another picture named like", "c."]);
    fs::create_dir(root.join("e")).unwrap();
    fails(ImageMasks::open(root.join("e"), root.join("e")), &["no picture in it"]);
    fails(ImageMasks::open(root.join("x"), root.join("m")), &["cannot list"]);
}

proptest! {
    /// Any bytes give an array or an error.
    #[test]
    fn idx_never_panics(
        rank in 0_u8..5,
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = Idx::read(&bytes[..], "x");
        let _ = Idx::read(&[&[0, 0, 8, rank][..], &bytes].concat()[..], "x");
    }

    /// Any text gives a set or an error.
    #[test]
    fn text_readers_never_panic(text in "[a-z<>/,\"\t\r\n0-9é=&;!\\[\\]-]{0,60}") {
        let folder = folder();
        let path = write(folder.path().join("Annotations/a.xml"), &text);
        let _ = ImageCsv::open(&path);
        write(folder.path().join("ImageSets/Main/train.txt"), "a");
        let _ = VocBoxes::open(&folder, "train");
    }
}
