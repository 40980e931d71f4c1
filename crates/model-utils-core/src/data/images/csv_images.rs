//! Pictures listed in a CSV file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::data::dataset::{Classes, Dataset, out_of_range};
use crate::data::images::labelled::Labelled;
use crate::data::unpack::open_unpacked;
use crate::error::{Error, Result};
use crate::image::Image;

/// Headings under which the file name is looked for.
const FILE_HEADINGS: [&str; 6] = ["file", "filename", "file_name", "image", "path", "image_path"];
/// Headings under which the label is looked for.
const LABEL_HEADINGS: [&str; 4] = ["label", "class", "class_name", "category"];

/// A CSV file of file names and labels, with a heading line.
///
/// The columns are found by their headings (`file`, `filename`, `file_name`, `image`, `path` or
/// `image_path`; `label`, `class`, `class_name` or `category`; upper or lower case); a file with two
/// columns may call them otherwise. File names are relative to the folder of the CSV file. If all
/// labels are whole numbers they are the labels and also name the classes; otherwise the classes are
/// the sorted names.
#[derive(Debug, Clone)]
pub struct ImageCsv {
    path: PathBuf,
    rows: Vec<Row>,
    classes: Vec<String>,
}

#[derive(Debug, Clone)]
struct Row {
    line: u64,
    file: PathBuf,
    label: usize,
}

impl ImageCsv {
    /// Reads a list; its labels are the classes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`Error::Format`] with the line if it is no CSV of
    /// these columns, a field is empty or a picture does not exist; [`Error::Data`] if there is no
    /// row.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(path.as_ref(), None)
    }

    /// Reads a list whose classes are known, named as [`ImageCsv::open`] names them.
    ///
    /// # Errors
    ///
    /// As [`ImageCsv::open`], and [`Error::Format`] with the line if a label is not one of
    /// `classes`.
    pub fn open_with_classes(path: impl AsRef<Path>, classes: Vec<String>) -> Result<Self> {
        Self::read(path.as_ref(), Some(classes))
    }

    fn read(path: &Path, classes: Option<Vec<String>>) -> Result<Self> {
        let fail = |reason: String| Error::format(path, "CSV", reason);
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(open_unpacked(path)?);
        let headings = reader.headers().map_err(|e| fail(e.to_string()))?;
        let [file_column, label_column] = columns(headings).map_err(fail)?;
        let folder = crate::atomic::parent(path);
        let mut listed = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| fail(e.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let [file, label] = [file_column, label_column].map(|c| record.get(c).unwrap_or(""));
            if file.is_empty() || label.is_empty() {
                let what = if file.is_empty() { "file name" } else { "label" };
                return Err(fail(format!("line {line}: the {what} is empty")));
            }
            let image = folder.join(file);
            if !image.is_file() {
                return Err(fail(format!("line {line}: there is no file {}", image.display())));
            }
            listed.push((line, image, label.to_owned()));
        }
        if listed.is_empty() {
            let reason = "there is no row below the heading line";
            return Err(Error::data(path.display().to_string(), reason));
        }
        let classes = match classes {
            Some(classes) => classes,
            None => classes_of(listed.iter().map(|row| row.2.as_str())).map_err(fail)?,
        };
        let rows = listed.into_iter().map(|(line, file, label)| {
            let found = classes.iter().position(|class| *class == label);
            // `07` is the class `7`.
            let found = found.or_else(|| {
                let number = label.parse::<usize>().ok()?.to_string();
                classes.iter().position(|class| *class == number)
            });
            match found {
                Some(label) => Ok(Row { line, file, label }),
                None => Err(fail(format!(
                    "line {line}: label `{label}` is not one of {}",
                    classes.join(", ")
                ))),
            }
        });
        let rows = rows.collect::<Result<_>>()?;
        Ok(Self { path: path.to_path_buf(), rows, classes })
    }
}

/// The columns of the file name and the label.
fn columns(headings: &csv::StringRecord) -> Result<[usize; 2], String> {
    let find = |names: &[&str]| {
        headings.iter().position(|h| {
            names.contains(&h.trim_start_matches('\u{feff}').to_ascii_lowercase().as_str())
        })
    };
    match (find(&FILE_HEADINGS), find(&LABEL_HEADINGS)) {
        (Some(file), Some(label)) => Ok([file, label]),
        _ if headings.len() == 2 => Ok([0, 1]),
        _ => Err(format!(
            "line 1: the headings are {}, expected one of {} and one of {}",
            headings.iter().collect::<Vec<_>>().join(", "),
            FILE_HEADINGS.join(", "),
            LABEL_HEADINGS.join(", ")
        )),
    }
}

/// The names of the classes: `0` to the largest label if all are numbers, else the sorted labels.
fn classes_of<'a>(labels: impl Iterator<Item = &'a str>) -> Result<Vec<String>, String> {
    const MAX_CLASSES: usize = 1 << 20;
    let names: BTreeSet<&str> = labels.collect();
    let numbers: Result<Vec<usize>, _> = names.iter().map(|name| name.parse()).collect();
    match numbers {
        Ok(numbers) => match numbers.into_iter().max().unwrap_or(0) {
            largest if largest < MAX_CLASSES => Ok((0..=largest).map(|n| n.to_string()).collect()),
            largest => Err(format!("label {largest} is too large, expected below {MAX_CLASSES}")),
        },
        Err(_) => Ok(names.into_iter().map(str::to_owned).collect()),
    }
}

impl Dataset for ImageCsv {
    type Item = Labelled;

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn get(&self, index: usize) -> Result<Labelled> {
        let Some(row) = self.rows.get(index) else {
            return Err(out_of_range(self.path.display().to_string(), index, self.len()));
        };
        let image = Image::open(&row.file).map_err(|e| {
            Error::data(self.path.display().to_string(), format!("line {}: {e}", row.line))
        })?;
        Ok(Labelled { image, label: row.label })
    }
}

impl Classes for ImageCsv {
    fn classes(&self) -> &[String] {
        &self.classes
    }
}
