//! Object boxes in the layout of Pascal VOC.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node, ParsingOptions};

use crate::data::dataset::{Classes, Dataset, out_of_range};
use crate::data::images::boxes::{BoundingBox, BoxedImage};
use crate::data::images::listing::{IMAGE_EXTENSIONS, entries};
use crate::error::{Error, Result};
use crate::image::Image;

/// How far a box may reach out of its picture and is cut, in pixels; further is an error.
const OVERHANG: f32 = 1.0;
/// The largest annotation that is read, in bytes.
const MAX_XML_BYTES: u64 = 1 << 24;
/// The most elements of an annotation.
const MAX_XML_NODES: u32 = 1 << 20;

/// A folder in the layout of the Pascal VOC challenge: `Annotations/NAME.xml`,
/// `JPEGImages/NAME.jpg` and the lists of names `ImageSets/Main/SPLIT.txt`.
///
/// VOC counts pixels from 1 and its boxes include their last pixel; a [`BoundingBox`] here has edges
/// from 0 and ends behind its last pixel, so 1 is taken from `xmin` and `ymin`. A box that then
/// reaches out of the picture by at most one pixel is cut, as hand-made annotations often count
/// from 0; one that reaches further is an error.
///
/// The classes are the sorted names of all objects in all annotations, so that every split numbers
/// them alike. ([The VOC development kit](http://host.robots.ox.ac.uk/pascal/VOC/voc2012/).)
#[derive(Debug, Clone)]
pub struct VocBoxes {
    folder: PathBuf,
    items: Vec<Entry>,
    classes: Vec<String>,
}

#[derive(Debug, Clone)]
struct Entry {
    annotation: PathBuf,
    image: PathBuf,
    size: Option<[usize; 2]>,
    boxes: Vec<BoundingBox>,
}

/// An object as its annotation has it.
struct Object {
    name: String,
    /// `xmin`, `ymin`, `xmax`, `ymax`.
    edges: [f32; 4],
    difficult: bool,
}

impl VocBoxes {
    /// Reads the annotations of a split: `train`, `val`, `trainval`, `test` or another list.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a list or annotation cannot be read; [`Error::Format`] naming the annotation
    /// and the object if it is no XML of this form, or a box is empty or outside its picture;
    /// [`Error::Data`] if the list is empty or a listed picture or annotation is missing.
    pub fn open(folder: impl AsRef<Path>, split: &str) -> Result<Self> {
        let folder = folder.as_ref();
        let fail = |reason: String| Error::data(folder.display().to_string(), reason);
        let list = folder.join("ImageSets/Main").join(format!("{split}.txt"));
        let text = fs::read_to_string(&list).map_err(Error::io("read", &list))?;
        // Lists of one class have a second column, 1 or -1.
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.split_whitespace().next()).collect();
        if names.is_empty() {
            return Err(Error::data(list.display().to_string(), "there is no name in it"));
        }
        let annotations = folder.join("Annotations");
        let mut classes = BTreeSet::new();
        for path in entries(&annotations)? {
            if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("xml")) {
                read(&path, |document| {
                    for object in objects(document) {
                        classes.insert(text_of(object, "name")?.to_owned());
                    }
                    Ok(())
                })?;
            }
        }
        let classes: Vec<String> = classes.into_iter().collect();
        let mut items = Vec::with_capacity(names.len());
        for name in names {
            let annotation = annotations.join(format!("{name}.xml"));
            if !annotation.is_file() {
                return Err(fail(format!(
                    "{split}.txt lists `{name}`, but there is no {}",
                    annotation.display()
                )));
            }
            let image = find_image(folder, name).ok_or_else(|| {
                fail(format!("{split}.txt lists `{name}`, but JPEGImages holds no such picture"))
            })?;
            items.push(read(&annotation, |document| {
                let size = size(document)?;
                let boxes = boxes(document, &classes, size)?;
                Ok(Entry { annotation: annotation.clone(), image, size, boxes })
            })?);
        }
        Ok(Self { folder: folder.to_path_buf(), items, classes })
    }

    /// The boxes of an item, without decoding its picture; `None` beyond the last.
    pub fn boxes(&self, index: usize) -> Option<&[BoundingBox]> {
        self.items.get(index).map(|item| &item.boxes[..])
    }
}

/// Parses an annotation and hands its root on; a reason becomes an error that names the file.
fn read<T>(path: &Path, take: impl FnOnce(Node<'_, '_>) -> Result<T, String>) -> Result<T> {
    let fail = |reason: String| Error::format(path, "VOC annotation", reason);
    let bytes = fs::metadata(path).map_err(Error::io("read", path))?.len();
    if bytes > MAX_XML_BYTES {
        return Err(fail(format!("it has {bytes} bytes, expected at most {MAX_XML_BYTES}")));
    }
    let text = fs::read(path).map_err(Error::io("read", path))?;
    let text = std::str::from_utf8(&text).map_err(|e| fail(format!("it is not UTF-8: {e}")))?;
    let options = ParsingOptions { nodes_limit: MAX_XML_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text.trim_start_matches('\u{feff}'), options);
    let document = document.map_err(|e| fail(e.to_string()))?;
    take(document.root_element()).map_err(fail)
}

fn objects<'a, 'i>(root: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    root.children().filter(|node| node.has_tag_name("object"))
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|node| node.has_tag_name(name))
}

fn text_of<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, String> {
    let text = child(node, name).and_then(|node| node.text()).map(str::trim);
    text.filter(|text| !text.is_empty())
        .ok_or_else(|| format!("<{}> has no <{name}>", node.tag_name().name()))
}

fn number(node: Node<'_, '_>, name: &str) -> Result<f32, String> {
    let text = text_of(node, name)?;
    let value = text.parse::<f32>().ok().filter(|value| value.is_finite());
    value.ok_or_else(|| format!("<{name}> is `{text}`, expected a number"))
}

/// Width and height where they are given; some tools write 0 for unknown.
fn size(root: Node<'_, '_>) -> Result<Option<[usize; 2]>, String> {
    let Some(size) = child(root, "size") else { return Ok(None) };
    let [width, height] = [number(size, "width")?, number(size, "height")?];
    Ok((width >= 1.0 && height >= 1.0).then_some([width as usize, height as usize]))
}

fn object(node: Node<'_, '_>) -> Result<Object, String> {
    let name = text_of(node, "name")?.to_owned();
    let bounds = child(node, "bndbox").ok_or("there is no <bndbox>")?;
    let mut edges = [0.0; 4];
    for (edge, name) in edges.iter_mut().zip(["xmin", "ymin", "xmax", "ymax"]) {
        *edge = number(bounds, name)?;
    }
    Ok(Object { name, edges, difficult: text_of(node, "difficult").is_ok_and(|text| text == "1") })
}

fn boxes(
    root: Node<'_, '_>,
    classes: &[String],
    size: Option<[usize; 2]>,
) -> Result<Vec<BoundingBox>, String> {
    let mut boxes = Vec::new();
    for (i, node) in objects(root).enumerate() {
        let fail = |reason: String| format!("object {}: {reason}", i + 1);
        let Object { name, edges, difficult } = object(node).map_err(fail)?;
        let class = classes.iter().position(|class| *class == name);
        let class = class.ok_or_else(|| fail(format!("its class `{name}` is unknown")))?;
        let [x_min, y_min, x_max, y_max] = edges;
        let (x_min, y_min) = (x_min - 1.0, y_min - 1.0);
        let found = BoundingBox { class, x_min, y_min, x_max, y_max, difficult };
        boxes.push(match size {
            Some(size) => {
                fit(found, size).map_err(|reason| fail(format!("box of `{name}` {reason}")))?
            }
            None => found,
        });
    }
    Ok(boxes)
}

/// Cuts a small overhang; a box that is empty or reaches further out has a reason instead.
fn fit(found: BoundingBox, [width, height]: [usize; 2]) -> Result<BoundingBox, String> {
    let BoundingBox { x_min, y_min, x_max, y_max, .. } = found;
    let place = format!("from ({x_min}, {y_min}) to ({x_max}, {y_max})");
    let outside = x_min < -OVERHANG
        || y_min < -OVERHANG
        || x_max > width as f32 + OVERHANG
        || y_max > height as f32 + OVERHANG;
    if outside {
        return Err(format!("{place} reaches out of the picture of {width}×{height} pixels"));
    }
    let cut = found.clipped(width, height);
    if cut.width() <= 0.0 || cut.height() <= 0.0 {
        return Err(format!("{place} is empty in the picture of {width}×{height} pixels"));
    }
    Ok(cut)
}

fn find_image(folder: &Path, name: &str) -> Option<PathBuf> {
    let folder = folder.join("JPEGImages");
    ["jpg", "JPG"]
        .into_iter()
        .chain(IMAGE_EXTENSIONS)
        .map(|extension| folder.join(format!("{name}.{extension}")))
        .find(|path| path.is_file())
}

impl Dataset for VocBoxes {
    type Item = BoxedImage;

    fn len(&self) -> usize {
        self.items.len()
    }

    fn get(&self, index: usize) -> Result<BoxedImage> {
        let Some(item) = self.items.get(index) else {
            return Err(out_of_range(self.folder.display().to_string(), index, self.len()));
        };
        let image = Image::open(&item.image)?;
        let fail = |reason: String| Error::format(&item.annotation, "VOC annotation", reason);
        let found = [image.width(), image.height()];
        let boxes = match item.size {
            Some([width, height]) if [width, height] != found => {
                return Err(fail(format!(
                    "it is for {width}×{height} pixels, but {} has {}×{}",
                    item.image.display(),
                    found[0],
                    found[1]
                )));
            }
            Some(_) => item.boxes.clone(),
            None => {
                let fit = |(i, found_box): (usize, &BoundingBox)| {
                    fit(*found_box, found).map_err(|reason| {
                        let name = &self.classes[found_box.class];
                        fail(format!("object {}: box of `{name}` {reason}", i + 1))
                    })
                };
                item.boxes.iter().enumerate().map(fit).collect::<Result<_>>()?
            }
        };
        Ok(BoxedImage { image, boxes })
    }
}

impl Classes for VocBoxes {
    fn classes(&self) -> &[String] {
        &self.classes
    }
}
