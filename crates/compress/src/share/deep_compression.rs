//! A sparse graph with shared weights in one file.

use std::io::{Read as _, Write as _};
use std::path::Path;

use burn::tensor::{DType, TensorData};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use model_utils::graph::Graph;

use super::sharing::Sharing;
use super::sparse::{decode, encode};
use crate::error::Result;
use crate::prune::Masks;

const MAGIC: &[u8; 8] = b"USAGIDC1";
const FORMAT: &str = "Deep Compression";
/// A file says of no weight that it has more elements.
const MOST_ELEMENTS: usize = 1 << 32;
/// A file says of no structure that it is longer.
const MOST_STRUCTURE: u64 = 1 << 28;

/// The types of elements that are stored as they are.
const TYPES: [DType; 14] = [
    DType::F64,
    DType::F32,
    DType::F16,
    DType::BF16,
    DType::I64,
    DType::I32,
    DType::I16,
    DType::I8,
    DType::U64,
    DType::U32,
    DType::U16,
    DType::U8,
    DType::Bool(burn::tensor::BoolStore::Native),
    DType::Bool(burn::tensor::BoolStore::U8),
];

/// One file for a graph, small where weights are 0 or share few values: which are not 0 as gaps
/// between them, each value as its place in a codebook, gaps and places in Huffman codes. What is
/// read is what was written, to the bit, whatever the weights are; one that shares no values is
/// stored as it is.
///
/// | bytes | |
/// | --- | --- |
/// | 8 | `USAGIDC1` |
/// | 4 | CRC-32 of all that follows, little-endian as all numbers here |
/// | 4, … | length of the structure, and the structure: nodes as JSON, deflated |
/// | 4 | number of weights, in the order of the nodes; of each: |
/// | 1 | 255 for a code, else the type of elements |
/// | 1, 4 a axis | number of axes, their lengths |
/// | 4, … | length of the values, and the values |
///
/// The code of a weight, in bits, the highest of a byte first: how many values are not 0 (40), how
/// many different ones (16), k (8), these as `f32`, the lengths of the Huffman codes of 2ᵏ gaps and
/// of the different values (6 each), and for each value that is not 0 its gap (2ᵏ − 1: so many
/// zeros and no value) and its place.
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use compress::prune::Unstructured;
/// use compress::share::{DeepCompression, Sharing};
/// use model_utils::device::DeviceSpec;
/// use model_utils::graph::Graph;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("layer.dc");
/// let device = "flex".parse::<DeviceSpec>()?.open()?;
/// let layer = LinearConfig::new(100, 50).init(&device);
/// let graph = Graph::trace(&layer, [1, 100], |layer: &Linear, x: burn::tensor::Tensor<2>| {
///     layer.forward(x)
/// })?;
/// let sparse = Unstructured::magnitude(0.9).masks(&graph)?.attach(&graph)?;
/// let shared = Sharing::bits(4).share(&sparse)?;
/// let packed = DeepCompression::new(&shared)?;
/// packed.save(&path)?;
/// assert!(packed.bytes() < 5000 * 4 / 10);
/// let again = DeepCompression::load(&path)?; // a graph with ordinary weights
/// assert_eq!(again.learnable_parameters(), 5050);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct DeepCompression {
    bytes: Vec<u8>,
    weights: Vec<PackedWeight>,
    structure_bytes: usize,
}

/// What the file takes for a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackedWeight {
    /// Its name.
    pub name: String,
    /// Its elements.
    pub elements: usize,
    /// Elements that are not 0; all of them where it is stored as it is.
    pub left: usize,
    /// Different values among them; 0 where it is stored as it is.
    pub different: usize,
    /// Bytes in the file.
    pub bytes: usize,
}

impl DeepCompression {
    /// Codes a graph. Masks and codebooks are taken into the weights before.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`](crate::Error::Utils) for elements of a type that has no place in a file.
    pub fn new(graph: &Graph) -> Result<Self> {
        let graph = Masks::detach(&Sharing::unshare(graph)?)?;
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
        let structure = deflate.write_all(&graph.structure()?).and_then(|()| deflate.finish());
        let structure = structure.map_err(model_utils::Error::io("write", "memory"))?;
        let mut body = Vec::new();
        put(&mut body, &structure);
        let weights: Vec<_> =
            graph.nodes().filter_map(|(id, node)| Some((node, &graph.weight(id)?.data))).collect();
        body.extend((weights.len() as u32).to_le_bytes());
        let mut packed = Vec::new();
        for (node, data) in weights {
            let before = body.len();
            let shape = data.shape().to_vec();
            let coded = match data.dtype() {
                DType::F32 => encode(&data.iter::<f32>().collect::<Vec<_>>()),
                _ => None,
            };
            let coded = coded.filter(|coded| coded.bytes.len() < data.as_bytes().len());
            let Some(code) = TYPES.iter().position(|dtype| *dtype == data.dtype()) else {
                return Err(model_utils::Error::Unsupported {
                    what: format!("`{}` in a file", node.name),
                    reason: format!("it holds {:?}", data.dtype()),
                }
                .into());
            };
            body.push(if coded.is_some() { u8::MAX } else { code as u8 });
            body.push(shape.len() as u8);
            for &length in &shape {
                body.extend((length as u32).to_le_bytes());
            }
            put(&mut body, coded.as_ref().map_or(data.as_bytes(), |coded| &coded.bytes));
            let elements = data.num_elements();
            packed.push(PackedWeight {
                name: node.name.clone(),
                elements,
                left: coded.as_ref().map_or(elements, |coded| coded.left),
                different: coded.as_ref().map_or(0, |coded| coded.different),
                bytes: body.len() - before,
            });
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(crc32fast::hash(&body).to_le_bytes());
        bytes.append(&mut body);
        Ok(Self { bytes, weights: packed, structure_bytes: structure.len() })
    }

    /// Bytes of the whole file.
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Bytes of it for the nodes.
    pub fn structure_bytes(&self) -> usize {
        self.structure_bytes
    }

    /// What each weight takes.
    pub fn weights(&self) -> &[PackedWeight] {
        &self.weights
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`](crate::Error::Utils) where it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(model_utils::atomic::write(path, &self.bytes)?)
    }

    /// Reads a graph from a file.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`](crate::Error::Utils) for a file that cannot be read, that is truncated,
    /// changed or of another format, and for nodes that do not fit together.
    pub fn load(path: impl AsRef<Path>) -> Result<Graph> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(model_utils::Error::io("read", path))?;
        let bad = |reason: &str| model_utils::Error::format(path, FORMAT, reason);
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(bad("it does not begin with USAGIDC1").into());
        };
        let mut file = Reader { bytes: rest };
        let sum = file.number().ok_or_else(|| bad("it ends early"))?;
        if crc32fast::hash(file.bytes) != sum {
            return Err(bad("its checksum does not fit: it was truncated or changed").into());
        }
        let parts = file.parts().ok_or_else(|| bad("it ends early"))?;
        let mut structure = Vec::new();
        let inflated =
            DeflateDecoder::new(parts.structure).take(MOST_STRUCTURE).read_to_end(&mut structure);
        inflated.map_err(|error| bad(&error.to_string()))?;
        let mut values = Vec::new();
        for (at, stored) in parts.weights.iter().enumerate() {
            let data = stored.data().ok_or_else(|| bad(&format!("weight {at} is no code")))?;
            values.push(data);
        }
        Ok(Graph::from_structure(path, &structure, values)?)
    }
}

/// A length and bytes.
fn put(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend((bytes.len() as u32).to_le_bytes());
    body.extend(bytes);
}

/// What is left of a file.
struct Reader<'a> {
    bytes: &'a [u8],
}

/// The parts of a file.
struct Parts<'a> {
    structure: &'a [u8],
    weights: Vec<StoredWeight<'a>>,
}

/// A weight in a file.
struct StoredWeight<'a> {
    tag: u8,
    shape: Vec<usize>,
    values: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let count = self.number()? as usize;
        self.take(count)
    }

    fn parts(&mut self) -> Option<Parts<'a>> {
        let structure = self.part()?;
        let count = self.number()?;
        let mut weights = Vec::new();
        for _ in 0..count {
            let (tag, axes) = (self.byte()?, self.byte()?);
            let shape: Option<Vec<usize>> =
                (0..axes).map(|_| self.number().map(|length| length as usize)).collect();
            weights.push(StoredWeight { tag, shape: shape?, values: self.part()? });
        }
        self.bytes.is_empty().then_some(Parts { structure, weights })
    }
}

impl StoredWeight<'_> {
    fn data(&self) -> Option<TensorData> {
        let count = self.shape.iter().try_fold(1_usize, |all, &length| all.checked_mul(length))?;
        if count > MOST_ELEMENTS {
            return None;
        }
        if self.tag == u8::MAX {
            return Some(TensorData::new(decode(self.values, count)?, self.shape.clone()));
        }
        let dtype = *TYPES.get(usize::from(self.tag))?;
        let fits = count.checked_mul(dtype.size()) == Some(self.values.len());
        fits.then(|| TensorData::from_bytes_vec(self.values.to_vec(), self.shape.clone(), dtype))
    }
}
