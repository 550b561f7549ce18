//! The rooms of DESIGN.md: every file has one, and uses only its own and those below it.
//!
//! The list is the `text` block under "## Rooms". A line that begins with a path names a room, and
//! the lines stand from top to bottom:
//!
//! ```text
//! optimizer/            covers every file in the folder
//! optimizer/batch.rs    except this one, which has a line of its own
//!                       an indented line is description
//! ```
//!
//! An arrow is a path in the source, in a `use` or not, that leads to another file of the crate:
//!
//! - Within one line of the list, arrows are free. Settings and their builder refer to each other, so
//!   `rule/` is one room.
//! - `mod x;` is no arrow. A re-export, `pub use x::Y`, is an arrow only if the file itself uses `Y`.
//! - A path leads to the file that defines the name, not to the re-exports on the way: where
//!   `rule/mod.rs` re-exports `Y` from `rule/variants.rs`, `super::Y` in `rule/presets.rs` is an arrow to
//!   `rule/variants.rs`.
//! - Code compiled only for tests, or only for links in the documentation, is left out.
//!
//! Calls of methods name no path and are not seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path as FilePath,
};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// The names in a path, from the crate's root where it is known.
type Path = Vec<String>;

// ---------------------------------------------------------------- the list

/// The rooms from top to bottom.
struct Rooms(Vec<String>);

impl Rooms {
    /// Reads the block under "## Rooms".
    fn parse(design: &str) -> Result<Self> {
        let (_, section) = design.split_once("\n## Rooms\n").ok_or("no section \"Rooms\"")?;
        let (_, block) = section.split_once("```text\n").ok_or("no block of rooms")?;
        let (block, _) = block.split_once("```").ok_or("the block of rooms has no end")?;
        let lines = block.lines().filter(|line| line.starts_with(|c: char| !c.is_whitespace()));
        let rooms: Path =
            lines.flat_map(|line| line.split_whitespace().take(1)).map(Into::into).collect();
        for room in &rooms {
            if !room.ends_with('/')
                && FilePath::new(room).extension().is_none_or(|extension| extension != "rs")
            {
                return Err(format!("\"{room}\" begins a line, and is no path").into());
            }
            if rooms.iter().filter(|other| *other == room).count() > 1 {
                return Err(format!("{room} has two lines").into());
            }
        }
        Ok(Self(rooms))
    }

    /// The room of a file: the longest line that covers it.
    fn of(&self, file: &str) -> Option<usize> {
        let covers = |room: &str| room == file || room.ends_with('/') && file.starts_with(room);
        let rooms = self.0.iter().enumerate().filter(|(_, room)| covers(room));
        rooms.max_by_key(|(_, room)| room.len()).map(|(at, _)| at)
    }

    /// Returns where the list and the source disagree.
    fn faults(&self, source: &Source) -> Vec<String> {
        let mut faults = Vec::new();
        let mut used = BTreeSet::new();
        for file in source.files() {
            match self.of(file) {
                Some(room) => _ = used.insert(room),
                None => faults.push(format!("{file} is in no room")),
            }
        }
        for (at, room) in self.0.iter().enumerate() {
            if !used.contains(&at) {
                faults.push(format!("{room} has a line, and no file"));
            }
        }
        for ((from, to), path) in source.arrows() {
            if let (Some(above), Some(below)) = (self.of(from), self.of(to))
                && above > below
            {
                faults.push(format!("{from} uses {to}, which stands above it: {path}"));
            }
        }
        faults
    }
}

// ---------------------------------------------------------------- the source

/// The modules by their path. An inline module has the file that it stands in.
#[derive(Default)]
struct Source {
    modules: BTreeMap<Path, Module>,
}

#[derive(Default)]
struct Module {
    file: String,
    /// Imported names, with their paths as written.
    imports: BTreeMap<String, Path>,
    /// All paths as written, except those of re-exports.
    paths: BTreeSet<Path>,
    /// Child modules that exist for tests only.
    tests: BTreeSet<String>,
}

impl Source {
    /// Reads all files below a folder.
    fn read(folder: &FilePath) -> Result<Self> {
        fn visit(folder: &FilePath, found: &mut impl FnMut(&FilePath) -> Result<()>) -> Result<()> {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    visit(&path, found)?;
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    found(&path)?;
                }
            }
            Ok(())
        }
        let mut files = Vec::new();
        visit(folder, &mut |path| {
            let file = path.strip_prefix(folder)?.to_str().ok_or("a name that is not UTF-8")?;
            files.push((file.replace('\\', "/"), fs::read_to_string(path)?));
            Ok(())
        })?;
        Self::parse(files.iter().map(|(file, text)| (file.as_str(), text.as_str())))
    }

    /// Reads files, given by their paths below `src/`.
    fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut source = Self::default();
        for (file, text) in files {
            let name = file.trim_end_matches(".rs").trim_end_matches("/mod");
            let at: Path = name.split('/').filter(|name| *name != "lib").map(Into::into).collect();
            let tokens: TokenStream = text.parse().map_err(|error| format!("{file}: {error}"))?;
            source.scan(file, &at, tokens);
        }
        // Test modules, with their children.
        let of_tests = |at: &Path| {
            (0..at.len()).any(|n| {
                let parent = source.modules.get(&at[..n]);
                parent.is_some_and(|module| module.tests.contains(&at[n]))
            })
        };
        let tests: Vec<Path> = source.modules.keys().filter(|at| of_tests(at)).cloned().collect();
        source.modules.retain(|at, _| !tests.contains(at));
        Ok(source)
    }

    /// Reads the tokens of one module, or of a block within it.
    fn scan(&mut self, file: &str, at: &[String], tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let module = self.modules.entry(at.to_vec()).or_default();
        module.file = file.into();
        let mut blocks = Vec::new();
        let mut i = 0;
        while i < tokens.len() {
            let rest = &tokens[i..];
            match rest {
                // An attribute that leaves out what follows it.
                [hash, TokenTree::Group(attribute), item @ ..]
                    if is(hash, "#") && leaves_out(attribute) =>
                {
                    let end = item.iter().position(|token| {
                        is(token, ";")
                            || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
                    });
                    let item = &item[..end.map_or(item.len(), |end| end + 1)];
                    if let Some(name) = item.iter().position(|token| is(token, "mod")) {
                        module.tests.insert(item[name + 1].to_string());
                    }
                    i += 2 + item.len();
                }
                [word, TokenTree::Ident(name), TokenTree::Group(body), ..] if is(word, "mod") => {
                    blocks.push(([at, &[name.to_string()]].concat(), body.stream()));
                    i += 3;
                }
                [word, tree @ ..] if is(word, "use") => {
                    let end = tree.iter().position(|token| is(token, ";")).unwrap_or(tree.len());
                    let public = i > 0 && is(&tokens[i - 1], "pub")
                        || i > 1
                            && is(&tokens[i - 2], "pub")
                            && matches!(&tokens[i - 1], TokenTree::Group(_));
                    module.import(&tree[..end], &Vec::new(), public);
                    i += 1 + end;
                }
                [TokenTree::Ident(_), ..] => {
                    let (path, length) = path(rest);
                    module.paths.insert(path);
                    i += length;
                }
                // The rest of a path that began with another crate's name, with a type, or with a value.
                [a, b, TokenTree::Ident(_), ..] if is(a, ":") && is(b, ":") => {
                    i += 2 + path(&rest[2..]).1;
                }
                [dot, TokenTree::Ident(_), ..] if is(dot, ".") => i += 2,
                [TokenTree::Group(group), ..] => {
                    blocks.push((at.to_vec(), group.stream()));
                    i += 1;
                }
                _ => i += 1,
            }
        }
        for (at, block) in blocks {
            self.scan(file, &at, block);
        }
    }

    /// All files that have a module, once each.
    fn files(&self) -> BTreeSet<&str> {
        self.modules.values().map(|module| module.file.as_str()).collect()
    }

    /// The arrows: from one file to another, with the longest path that says so.
    fn arrows(&self) -> BTreeMap<(&str, &str), String> {
        let mut arrows = BTreeMap::new();
        for (at, module) in &self.modules {
            for path in &module.paths {
                if let Some(to) = self.resolve(at, path, 0)
                    && to != module.file
                {
                    let path = path.join("::");
                    let longest: &mut String =
                        arrows.entry((module.file.as_str(), to)).or_default();
                    if longest.len() < path.len() {
                        *longest = path;
                    }
                }
            }
        }
        arrows
    }

    /// The files with a path into another crate.
    fn files_that_name(&self, outside: &str) -> BTreeSet<&str> {
        let names =
            |module: &&Module| module.paths.iter().any(|path| path.len() > 1 && path[0] == outside);
        self.modules.values().filter(names).map(|module| module.file.as_str()).collect()
    }

    /// Returns the file that a path leads to, or none if it leads out of the crate.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<&str> {
        let mut at = from.to_vec();
        let first = path.first()?;
        if !self.modules.get(from)?.imports.contains_key(first) {
            let child = [from, std::slice::from_ref(first)].concat();
            match first.as_str() {
                // A declaration, a visibility, a value: no path.
                _ if path.len() == 1 => return None,
                "crate" => at.clear(),
                "self" | "super" => {}
                _ if self.modules.contains_key(&child) => {}
                _ => return None,
            }
        }
        let mut names = path.iter();
        while let Some(name) = names.next() {
            at.push(name.clone());
            match name.as_str() {
                "crate" | "self" => _ = at.pop(),
                "super" => at.truncate(at.len().checked_sub(2)?),
                _ if self.modules.contains_key(&at) => {}
                _ => {
                    at.pop();
                    let Some(import) = self.modules.get(&at)?.imports.get(name) else { break };
                    // `use rayon;` imports itself.
                    if depth > 16 {
                        return None;
                    }
                    let path: Path = import.iter().chain(names).cloned().collect();
                    return self.resolve(&at, &path, depth + 1);
                }
            }
        }
        self.modules.get(&at).map(|module| module.file.as_str())
    }
}

impl Module {
    /// Reads the tree after `use`: a path, with a group, a glob or another name at its end.
    fn import(&mut self, tree: &[TokenTree], before: &Path, public: bool) {
        let Some(TokenTree::Ident(_)) = tree.first() else {
            match tree {
                // Another crate's name.
                [a, b, rest @ ..] if is(a, ":") && is(b, ":") => self.import(rest, before, public),
                [TokenTree::Group(group)] => {
                    let parts: Vec<TokenTree> = group.stream().into_iter().collect();
                    for part in parts.split(|token| is(token, ",")).filter(|part| !part.is_empty())
                    {
                        self.import(part, before, public);
                    }
                }
                [star] if is(star, "*") && !public => {
                    self.paths.insert([before.clone(), vec!["*".into()]].concat());
                }
                _ => {}
            }
            return;
        };
        let (names, length) = path(tree);
        let mut full = [before.clone(), names].concat();
        match &tree[length..] {
            [a, b, rest @ ..] if is(a, ":") && is(b, ":") => self.import(rest, &full, public),
            rest => {
                if full.len() > 1 && full.last().is_some_and(|name| name == "self") {
                    full.pop();
                }
                let name = match rest {
                    [word, name] if is(word, "as") => name.to_string(),
                    _ => full.last().cloned().unwrap_or_default(),
                };
                if !public {
                    self.paths.insert(full.clone());
                }
                self.imports.insert(name, full);
            }
        }
    }
}

/// Returns true for an attribute that keeps an item out of the library proper.
fn leaves_out(attribute: &Group) -> bool {
    let text = attribute.stream().to_string().replace(' ', "");
    ["cfg(test)", "cfg(doc)", "cfg(doctest)"].contains(&text.as_str())
        || text.starts_with("cfg(all(test,")
}

/// Returns true if a token is this word or sign.
fn is(token: &TokenTree, text: &str) -> bool {
    match token {
        TokenTree::Ident(word) => word == text,
        TokenTree::Punct(sign) => text.len() == 1 && text.starts_with(sign.as_char()),
        _ => false,
    }
}

/// Returns the path at the start of the tokens, and its number of tokens.
fn path(tokens: &[TokenTree]) -> (Path, usize) {
    let mut path = vec![tokens[0].to_string()];
    let mut length = 1;
    while let [a, b, TokenTree::Ident(name), ..] = &tokens[length..]
        && is(a, ":")
        && is(b, ":")
    {
        path.push(name.to_string());
        length += 3;
    }
    (path, length)
}

// ---------------------------------------------------------------- the crate

fn crate_source() -> Result<Source> {
    Source::read(&FilePath::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[test]
fn arrows_point_down() -> Result<()> {
    let design = fs::read_to_string(FilePath::new(env!("CARGO_MANIFEST_DIR")).join("DESIGN.md"))?;
    let faults = Rooms::parse(&design)?.faults(&crate_source()?);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    Ok(())
}

/// Crates that only one room may name.
const OUTSIDE: [(&str, &str); 5] = [
    ("rayon", "par.rs"),
    ("multiversion", "simd.rs"),
    ("serde_json", "checkpoint/"),
    ("tempfile", "checkpoint/"),
    ("crc32fast", "checkpoint/"),
];

#[test]
fn features_stay_in_their_rooms() -> Result<()> {
    let source = crate_source()?;
    for (outside, room) in OUTSIDE {
        let files = source.files_that_name(outside);
        assert!(!files.is_empty(), "no file names {outside}");
        for file in files {
            assert!(file.starts_with(room), "{file} names {outside}, which belongs in {room}");
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- planted faults

/// A small crate without faults, and its list.
const DESIGN: &str = "# Inside\n\n## Rooms\n\nProse.\n\n```text\n\
    lib.rs          the top\n\
    top/            a folder,\n\
    \x20               described in two lines\n\
    top/low.rs      one of its files by itself\n\
    \n\
    rule/           a folder\n\
    error.rs\n\
    ```\n";

const FILES: [(&str, &str); 8] = [
    ("lib.rs", "mod error; mod rule; mod top; pub use error::Error; pub use rule::Rule;"),
    (
        "top/mod.rs",
        "mod low; mod side; use crate::rule::{self, Rule as R}; fn f() { low::f(side::S) }",
    ),
    (
        "top/low.rs",
        "use crate::Error; pub fn f() {} #[cfg(test)] mod tests { use super::super::side; }",
    ),
    ("top/side.rs", "#[cfg(test)] mod tests; #[cfg(doc)] use crate::Top; pub struct S;"),
    ("top/side/tests.rs", "use crate::Top;"),
    (
        "rule/mod.rs",
        "mod kind; pub use self::kind::Kind; mod inner { use super::super::error; } pub struct Rule;",
    ),
    ("rule/kind.rs", "use super::Rule; pub struct Kind; // crate::top::low"),
    (
        "error.rs",
        "pub struct Error; /* crate::top */ fn f() { \"crate::top\"; let rule = error.top; }",
    ),
];

/// The faults that a change of the list, or of one file, brings.
fn faults(design: (&str, &str), file: &str, text: &str) -> Result<Vec<String>> {
    let mut files = BTreeMap::from(FILES);
    if !file.is_empty() {
        files.insert(file, text);
    }
    let changed = DESIGN.replace(design.0, design.1);
    assert_eq!(changed == DESIGN, design.0 == design.1);
    Ok(Rooms::parse(&changed)?.faults(&Source::parse(files)?))
}

#[test]
fn a_house_in_order_has_no_faults() -> Result<()> {
    assert_eq!(faults(("", ""), "", "")?, Vec::<String>::new());
    Ok(())
}

#[test]
fn the_list_and_the_files_agree() -> Result<()> {
    assert_eq!(faults(("", ""), "new.rs", "")?, ["new.rs is in no room"]);
    assert_eq!(
        faults(("error.rs\n", "error.rs\nreal.rs     numbers\n"), "", "")?,
        ["real.rs has a line, and no file"]
    );
    assert_eq!(faults(("error.rs\n", ""), "", "")?, ["error.rs is in no room"]);
    assert!(faults(("error.rs\n", "error.rs\nerror.rs\n"), "", "").is_err());
    assert!(faults(("error.rs\n", "error.rs\nan error\n"), "", "").is_err());
    assert!(faults(("## Rooms", "## Room"), "", "").is_err());
    Ok(())
}

#[test]
fn arrows_up_are_found() -> Result<()> {
    let uses = |path: &str| format!("error.rs uses {path}");
    for (text, fault) in [
        ("use crate::rule::Rule;", "rule/mod.rs, which stands above it: crate::rule::Rule"),
        ("use crate::{error::Error, rule};", "rule/mod.rs, which stands above it: crate::rule"),
        ("use super::rule as r;", "rule/mod.rs, which stands above it: super::rule"),
        ("use crate::rule::*;", "rule/mod.rs, which stands above it: crate::rule::*"),
        (
            "mod a { mod b { use super::super::super::rule; } }",
            "rule/mod.rs, which stands above it: super::super::super::rule",
        ),
        (
            "fn f() { if true { crate::rule::f::<u8>() } }",
            "rule/mod.rs, which stands above it: crate::rule::f",
        ),
        (
            "macro_rules! m { () => { $crate::rule::f() } }",
            "rule/mod.rs, which stands above it: crate::rule::f",
        ),
        (
            "fn f<T: Into<<u8 as crate::rule::R>::X>>() {}",
            "rule/mod.rs, which stands above it: crate::rule::R",
        ),
        // Through re-exports, to the file that defines the name.
        ("use crate::Rule;", "rule/mod.rs, which stands above it: crate::Rule"),
        ("use crate::rule::Kind;", "rule/kind.rs, which stands above it: crate::rule::Kind"),
        (
            "#[cfg(test)] use crate::rule::Rule; use crate::rule::Kind;",
            "rule/kind.rs, which stands above it: crate::rule::Kind",
        ),
        // The root itself.
        ("use crate::Main;", "lib.rs, which stands above it: crate::Main"),
    ] {
        assert_eq!(faults(("", ""), "error.rs", text)?, [uses(fault)], "{text}");
    }
    Ok(())
}

/// A line of its own takes a file out of its folder's room, above or below.
#[test]
fn a_file_with_a_line_of_its_own_may_not_look_up_at_its_folder() -> Result<()> {
    for text in ["use super::side::S;", "use super::Top;", "fn f() { super::side::f() }"] {
        assert_eq!(faults(("", ""), "top/low.rs", text)?.len(), 1, "{text}");
        let text = format!("#[cfg(test)] mod tests; {text}");
        assert_eq!(faults(("", ""), "top/side.rs", &text)?.len(), 0, "{text}");
    }
    let low = "top/low.rs      one of its files by itself\n";
    let design = DESIGN.replace(low, "").replace("top/  ", &format!("{low}top/  "));
    let files = Source::parse(FILES)?;
    assert_eq!(
        Rooms::parse(&design)?.faults(&files),
        ["top/mod.rs uses top/low.rs, which stands above it: low::f"]
    );
    Ok(())
}

/// A re-export is no arrow. A use of the name is one.
#[test]
fn a_reexport_is_no_arrow() -> Result<()> {
    let design = ("rule/           a folder\n", "rule/kind.rs\nrule/mod.rs\n");
    for (text, expected) in [
        ("mod kind; pub use self::kind::Kind; pub struct Rule;", 0),
        ("mod kind; pub(crate) use kind::{Kind as Sort}; pub struct Rule;", 0),
        ("mod kind; pub struct Rule; fn f() { let kind = 1; rule.kind() }", 0),
        ("mod kind; pub use self::kind::Kind; pub struct Rule; fn f(kind: Kind) {}", 1),
        ("mod kind; use self::kind::Kind; pub struct Rule;", 1),
        ("mod kind; pub struct Rule; fn f() { kind::f() }", 1),
    ] {
        assert_eq!(faults(design, "rule/mod.rs", text)?.len(), expected, "{text}");
    }
    Ok(())
}

#[test]
fn names_of_other_crates_are_found() -> Result<()> {
    for (text, expected) in [
        ("use rayon::join;", true),
        ("fn f() { rayon::join() }", true),
        ("use {core::mem, rayon::{join, scope}};", true),
        ("use ::rayon::join;", true),
        ("#[cfg(feature = \"rayon\")] use crate::par; // rayon::join", false),
        ("use crate::rayon::join;", false),
    ] {
        let source = Source::parse([("error.rs", text)])?;
        assert_eq!(!source.files_that_name("rayon").is_empty(), expected, "{text}");
    }
    Ok(())
}
