use std::fmt;

/// What loading a file into a module did, by the names in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Tensors of the module that were set.
    pub applied: Vec<String>,
    /// Tensors of the module that the file does not have.
    pub missing: Vec<String>,
    /// Tensors of the file that the module does not have.
    pub unused: Vec<String>,
    /// Tensors of both whose shapes differ; they were not set.
    pub mismatched: Vec<ShapeMismatch>,
}

/// A tensor whose shape in a file is not the module's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShapeMismatch {
    /// The tensor's name.
    pub name: String,
    /// Its shape in the module.
    pub expected: Vec<usize>,
    /// Its shape in the file.
    pub found: Vec<usize>,
}

impl Report {
    /// Whether every tensor of the module was set and none of the file's was left over.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unused.is_empty() && self.mismatched.is_empty()
    }

    /// A line for each tensor that was not applied.
    pub fn differences(&self) -> Vec<String> {
        let mismatched = self
            .mismatched
            .iter()
            .map(|m| format!("`{}` has shape {:?}, expected {:?}", m.name, m.found, m.expected));
        let missing = self.missing.iter().map(|name| format!("`{name}` is missing"));
        let unused = self.unused.iter().map(|name| format!("`{name}` is not in the model"));
        mismatched.chain(missing).chain(unused).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} applied, {} missing, {} unused, {} of another shape",
            self.applied.len(),
            self.missing.len(),
            self.unused.len(),
            self.mismatched.len()
        )?;
        for line in self.differences() {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}
