//! Loads a module from a file or standard input.

use seqfault::message::Escaped;
use seqfault::{CompileError, Engine, Error, Module, Result};
use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

const MAGIC: &[u8] = b"\0asm";

/// The first bytes of a binary that is a component instead of a module.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The name of standard input on the command line.
const STDIN: &str = "-";

/// A program as it was given, text or binary. Its first bytes decide which, not its name.
pub(crate) struct Source {
    name: String,
    bytes: Vec<u8>,
}

impl Source {
    /// Reads the file at `path`, or standard input if that is `-`.
    pub(crate) fn read(path: &Path) -> Result<Source> {
        let name = display_name(path);
        let bytes = read(path).map_err(|error| {
            Error::msg(format!(
                "cannot read {name}: {error}: give the path of a .wasm or .wat file"
            ))
        })?;
        check_format(&name, &bytes)?;
        Ok(Source { name, bytes })
    }

    /// Compiles it.
    pub(crate) fn compile(&self, engine: &Engine) -> Result<Module> {
        let compiled = Module::new(engine, &self.bytes);
        compiled.map_err(|error| {
            let error = error.context(format!("cannot compile {}", self.name));
            let Some(CompileError::MissingFeatures { features, .. }) = error.downcast_ref() else {
                return error;
            };
            let names: Vec<&str> = features.iter().map(|feature| feature.name()).collect();
            Error::msg(format!("{error}: switch on with -W {}", names.join(",")))
        })
    }
}

/// The program's own name: the file's, without its folders.
pub(crate) fn program_name(path: &Path) -> String {
    path.file_name().unwrap_or(OsStr::new(STDIN)).to_string_lossy().into_owned()
}

/// The name of the file in messages.
pub(crate) fn display_name(path: &Path) -> String {
    match path.as_os_str() == STDIN {
        true => "standard input".to_owned(),
        false => format!("`{}`", Escaped::name(&path.to_string_lossy())),
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if path.as_os_str() != STDIN {
        return std::fs::read(path);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn check_format(name: &str, bytes: &[u8]) -> Result<()> {
    if bytes.is_empty() {
        return Err(Error::msg(format!("{name} is empty: a module was expected")));
    }
    if bytes.starts_with(COMPONENT) {
        return Err(Error::msg(format!(
            "{name} is a component: seqfault runs core modules, build it for wasm32-wasip1"
        )));
    }
    if !bytes.starts_with(MAGIC) && std::str::from_utf8(bytes).is_err() {
        return Err(Error::msg(format!(
            "{name} is not WebAssembly: it neither begins with `\\0asm` nor is text"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_after_its_file() {
        assert_eq!(program_name(Path::new("a/b.wasm")), "b.wasm");
        assert_eq!(program_name(Path::new("-")), "-");
    }

    #[test]
    fn what_cannot_be_a_module_is_named_for_what_it_is() {
        let check = |bytes: &[u8]| check_format("`f`", bytes).map_err(|error| error.to_string());
        assert!(check(b"").unwrap_err().contains("is empty"));
        assert!(check(b"\0asm\x0d\0\x01\0").unwrap_err().contains("is a component"));
        assert!(check(b"\x7fELF\xff").unwrap_err().contains("is not WebAssembly"));
        assert!(check(b"\0asm\x01\0\0\0\xff").is_ok() && check(b"(module)").is_ok());
    }
}
