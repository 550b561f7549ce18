//! The documentation's search: it finds items of this crate by the names that other programs have for
//! them. rustdoc takes such names from attributes, `#[doc(alias("name"))]`.

use std::{collections::BTreeSet, fs, path::Path};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Names that are in no table, but that users type.
const WORDS: [&str; 12] = [
    "checkpoint",
    "clip_grad_norm",
    "clip_grad_value",
    "ema",
    "freeze",
    "gradcheck",
    "momentum",
    "polyak",
    "ReduceLROnPlateau",
    "resume",
    "swa",
    "torch",
];

/// Calls `visit` with the path and the text of each file in a folder.
fn read(folder: &Path, visit: &mut impl FnMut(&Path, &str)) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, visit)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            visit(&path, &fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// Adds the names by which the search finds something: aliases, and public items. Case does not matter.
///
/// An item that a file above re-exports loses its aliases, but its methods and variants, which are
/// indented, keep theirs.
fn searchable(public: bool, source: &str, names: &mut BTreeSet<String>) {
    let attribute = if public { "#[doc(alias(" } else { "  #[doc(alias(" };
    for aliases in source.split(attribute).skip(1) {
        let aliases = aliases.split_once(')').map_or("", |(aliases, _)| aliases);
        names.extend(aliases.split('"').skip(1).step_by(2).map(str::to_lowercase));
    }
    for kind in ["pub fn ", "pub struct ", "pub enum ", "pub trait ", "pub mod "] {
        for item in source.split(kind).skip(1) {
            let end = item.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            names.extend(item.get(..end.unwrap_or(item.len())).map(str::to_lowercase));
        }
    }
}

/// The cells of all rows of the tables in a file's documentation, without titles.
fn rows(source: &str) -> Vec<Vec<&str>> {
    let lines = source.lines().map(|line| line.trim_start_matches("//!").trim());
    let mut rows: Vec<Vec<&str>> = Vec::new();
    for line in lines.filter(|line| line.starts_with('|')) {
        if line.starts_with("|---") {
            rows.pop(); // the title
        } else {
            rows.push(line.trim_matches('|').split('|').map(str::trim).collect());
        }
    }
    rows
}

/// The names in a cell that are code: `clip` of "`optax.clip(c)`, called first".
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2).map(|code| {
        let path = code.split(['(', '=']).next().unwrap_or_default();
        path.rsplit('.').next().unwrap_or_default().trim()
    })
}

#[test]
fn names_of_other_programs_are_found() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut known = BTreeSet::new();
    // Items of other files are re-exported.
    let public = ["lib.rs", "schedule/mod.rs"].map(|file| folder.join(file));
    read(&folder, &mut |path, source| {
        searchable(public.iter().any(|file| file == path), source, &mut known);
    })?;

    let guide = fs::read_to_string(folder.join("doc/guide.rs"))?;
    let (_, guide) = guide.split_once("# Coming from PyTorch\n").ok_or("no section on PyTorch")?;
    let (guide, _) = guide.split_once("# Documents of `serde`\n").ok_or("no end of the tables")?;
    let schedules = fs::read_to_string(folder.join("schedule/mod.rs"))?;

    let mut asked: Vec<&str> = WORDS.to_vec();
    for row in rows(guide) {
        asked.extend(row.first().into_iter().flat_map(|cell| names(cell)));
    }
    assert!(asked.len() > 50, "the tables of the guide are not found: {asked:?}");
    for row in rows(&schedules) {
        // The first name in a cell is the schedule, others are its arguments.
        asked.extend(row.iter().skip(1).filter_map(|cell| names(cell).next()));
    }
    assert!(asked.len() > 80, "the table of schedules is not found: {asked:?}");

    asked.retain(|name| !known.contains(&name.to_lowercase()));
    assert!(asked.is_empty(), "the search does not find {asked:?}");
    Ok(())
}
