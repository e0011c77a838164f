//! Function names, for backtraces.

use std::collections::HashMap;
use std::ops::Range;
use wasmparser::{BinaryReader, Name, NameSectionReader};

/// Reads the names of functions out of a name section at `range` of the module's bytes.
///
/// An error in the section ends the reading, and so does a lack of memory; neither is reported. Source: specification,
/// appendix "Custom Sections", "Name Section".
pub fn function_names(bytes: &[u8], range: Range<usize>) -> HashMap<u32, Box<str>> {
    let mut names = HashMap::new();
    let reader =
        NameSectionReader::new(BinaryReader::new(&bytes[range.clone()], range.start as u64));
    for section in reader.into_iter().map_while(Result::ok) {
        if let Name::Function(functions) = section {
            for naming in functions.into_iter().map_while(Result::ok) {
                if names.try_reserve(1).is_err() {
                    return names;
                }
                names.insert(naming.index, naming.name.into());
            }
        }
    }
    names
}
