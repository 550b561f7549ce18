//! The comment at the top of each example, which `--help` prints.

use std::{error::Error, fs, path::Path};

/// The columns of a terminal that nobody has made wider.
const COLUMNS: usize = 80;

#[test]
fn headers_fit_a_terminal() -> Result<(), Box<dyn Error>> {
    let mut examples = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"))? {
        let path = entry?.path();
        let main = if path.is_dir() { path.join("main.rs") } else { path };
        // A folder without `main.rs` has data or shared code.
        let Ok(source) = fs::read_to_string(&main) else { continue };
        examples += 1;
        let header: Vec<_> = source.lines().map_while(|line| line.strip_prefix("//!")).collect();
        assert!(header.len() > 5, "{} has no header", main.display());
        for line in header {
            let columns = line.strip_prefix(' ').unwrap_or(line).chars().count();
            assert!(columns <= COLUMNS, "{}: {columns} columns: {line}", main.display());
        }
    }
    assert!(examples >= 10, "only {examples} examples");
    Ok(())
}
