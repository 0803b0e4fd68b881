//! Embeds the page: what `npm run build` in `webui/` has left in `webui/dist`, each file with its compressed forms.
//!
//! Without that the program is built all the same, and says at `/` how the page is built.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Error> {
    let dist = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(Error::other)?).join("../../webui/dist");
    // A folder that is not there would make every build begin anew.
    fs::create_dir_all(&dist)?;
    let dist = dist.canonicalize()?;
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    collect(&dist, &mut files)?;
    files.sort();
    if files.is_empty() {
        println!("cargo::warning=the page is not built into this program; `make build` builds both");
    }
    let mut code = String::from("static FILES: &[File] = &[\n");
    for file in &files {
        entry(&dist, file, &mut code)?;
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(Error::other("cargo sets OUT_DIR"))?);
    fs::write(out.join("page.rs"), code)
}

/// Every file that has its compressed forms beside it.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if beside(&path, "gz").exists() && beside(&path, "br").exists() {
            files.push(path);
        }
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}.{suffix}", path.display()))
}

fn entry(dist: &Path, file: &Path, code: &mut String) -> Result<(), Error> {
    let name = file.strip_prefix(dist).map_err(Error::other)?;
    let etag = format!("\"{:08x}\"", crc32fast::hash(&fs::read(file)?));
    let (gzip, brotli) = (beside(file, "gz"), beside(file, "br"));
    writeln!(
        code,
        "File {{ path: {:?}, etag: {etag:?}, plain: include_bytes!({file:?}), gzip: include_bytes!({gzip:?}), \
         brotli: include_bytes!({brotli:?}) }},",
        format!("/{}", name.display()),
    )
    .map_err(Error::other)
}
