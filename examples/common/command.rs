//! Command line, help and exit code of an example.

use std::{
    env,
    error::Error,
    ffi::OsStr,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use lexopt::{Arg, Parser, ValueExt};

/// The name of the example that this module is compiled into.
const EXAMPLE: &str = env!("CARGO_CRATE_NAME");

/// The exit code of a program that was called with arguments that it does not know.
const MISUSED: u8 = 2;

/// The options of an example. All have a default, and `--help` is added to them.
pub(crate) trait Options: Default {
    /// Returns each option with the name of its value, such as `--out DIR`, and its effect.
    fn describe() -> Vec<[String; 2]>;

    /// Takes the option `--name`, and its value from `parser`. Returns false if there is no such option.
    fn take(&mut self, name: &str, parser: &mut Parser) -> Result<bool, lexopt::Error>;
}

/// The options of an example that draws pictures.
pub(crate) struct Arguments {
    /// True if a short run is requested.
    pub(crate) quick: bool,
    /// The folder for pictures, which no other example writes to.
    pub(crate) folder: PathBuf,
}

impl Default for Arguments {
    fn default() -> Self {
        Arguments { quick: false, folder: own_folder(Path::new("target")) }
    }
}

impl Options for Arguments {
    fn describe() -> Vec<[String; 2]> {
        vec![
            ["--quick".into(), "a short run, as a test".into()],
            ["--out DIR".into(), format!("write to DIR/{EXAMPLE} [default: target]")],
        ]
    }

    fn take(&mut self, name: &str, parser: &mut Parser) -> Result<bool, lexopt::Error> {
        match name {
            "quick" => self.quick = true,
            "out" => self.folder = own_folder(&folder(name, parser)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The options of an example that is always quick and writes no file.
#[derive(Default)]
pub(crate) struct AlwaysQuick;

impl Options for AlwaysQuick {
    fn describe() -> Vec<[String; 2]> {
        vec![["--quick".into(), "no effect, because every run is short".into()]]
    }

    fn take(&mut self, name: &str, _: &mut Parser) -> Result<bool, lexopt::Error> {
        Ok(name == "quick")
    }
}

/// Runs an example that draws pictures, after its folder has been made. Returns the exit code.
///
/// `source` is the text of the example's own source file: `--help` prints the comment at its top.
pub(crate) fn run_or_help(
    source: &str,
    example: impl FnOnce(&Arguments) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    run_with(source, |arguments: &Arguments| {
        make_folder(&arguments.folder)?;
        example(arguments)
    })
}

/// Runs an example that has its own options, like [`run_or_help`].
pub(crate) fn run_with<O: Options>(
    source: &str,
    example: impl FnOnce(&O) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    let result = match parse(Parser::from_env()) {
        Ok(Request::Run(options)) => example(&options),
        // A reader that has seen enough, such as `head`, is no fault.
        Ok(Request::Help) => {
            let _ = io::stdout().write_all(help::<O>(source).as_bytes());
            Ok(())
        }
        Err(error) => {
            eprintln!("{EXAMPLE}: {error}\n\n{}", usage::<O>());
            return MISUSED.into();
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{EXAMPLE}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes a folder, and those above it. An error names it.
pub(crate) fn make_folder(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))
}

/// Returns the folder in `parent` that has the name of the example.
pub(crate) fn own_folder(parent: &Path) -> PathBuf {
    parent.join(EXAMPLE)
}

/// Takes the folder after the option `--name`.
pub(crate) fn folder(name: &str, parser: &mut Parser) -> Result<PathBuf, lexopt::Error> {
    let value = parser.value()?;
    if value.is_empty() || is_option(&value) {
        return Err(format!("--{name} needs a folder, not {value:?}").into());
    }
    Ok(value.into())
}

/// Takes the number after the option `--name`.
pub(crate) fn number(name: &str, parser: &mut Parser) -> Result<u64, lexopt::Error> {
    let value = parser.value()?;
    value.parse().map_err(|_| format!("--{name} needs a whole number, not {value:?}").into())
}

/// Returns true for a value that is more likely the next option.
fn is_option(value: &OsStr) -> bool {
    value.as_encoded_bytes().starts_with(b"-")
}

/// The request of a command line.
#[derive(Debug)]
enum Request<O> {
    Help,
    Run(O),
}

fn parse<O: Options>(mut parser: Parser) -> Result<Request<O>, lexopt::Error> {
    let mut options = O::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Request::Help),
            Arg::Long(name) => {
                let name = name.to_owned();
                if !options.take(&name, &mut parser)? {
                    return Err(Arg::Long(&name).unexpected());
                }
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Request::Run(options))
}

fn help<O: Options>(source: &str) -> String {
    format!("{}\n{}\n", header(source), usage::<O>())
}

fn usage<O: Options>() -> String {
    let mut options = O::describe();
    options.push(["-h, --help".into(), "this text".into()]);
    let width = options.iter().map(|[option, _]| option.len()).max().unwrap_or(0);
    let lines = options.iter().map(|[option, effect]| format!("\n  {option:width$}  {effect}"));
    format!("Usage: {EXAMPLE} [OPTIONS]\n\nOptions:{}", lines.collect::<String>())
}

/// Returns the text of the comment with which a source file begins, without its marks of code and of
/// links.
fn header(source: &str) -> String {
    let mut text = String::new();
    let mut in_code = false;
    for line in source.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = line.strip_prefix(' ').unwrap_or(line);
        if line.starts_with("```") {
            in_code = !in_code;
            text.push_str(if in_code { "" } else { "\n" });
            continue;
        }
        text.push_str(if in_code { "    " } else { "" });
        text.push_str(&line.replace("[`", "`").replace("`]", "`"));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Request<Arguments>, String> {
        parse(Parser::from_args(arguments)).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_taken() -> Result<(), String> {
        let Request::Run(plain) = parsed(&[])? else { return Err("help".into()) };
        assert!(!plain.quick);
        assert_eq!(plain.folder, Path::new("target").join(EXAMPLE));
        for arguments in [&["--out", "here", "--quick"][..], &["--quick", "--out=here"]] {
            let Request::Run(taken) = parsed(arguments)? else { return Err("help".into()) };
            assert!(taken.quick);
            assert_eq!(taken.folder, Path::new("here").join(EXAMPLE));
        }
        Ok(())
    }

    #[test]
    fn help_needs_no_correct_options_after_it() {
        for arguments in [&["--help"][..], &["-h"], &["--quick", "-h", "--other"]] {
            assert!(matches!(parsed(arguments), Ok(Request::Help)), "{arguments:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (arguments, expected) in [
            (&["--quik"][..], "invalid option '--quik'"),
            (&["-q"], "invalid option '-q'"),
            (&["folder"], "unexpected argument \"folder\""),
            (&["--quick=3"], "unexpected argument for option '--quick': \"3\""),
            (&["--out"], "missing argument for option '--out'"),
            (&["--out", "--quick"], "--out needs a folder, not \"--quick\""),
            (&["--out="], "--out needs a folder, not \"\""),
        ] {
            assert_eq!(parsed(arguments).err().as_deref(), Some(expected), "{arguments:?}");
        }
        let mut parser = Parser::from_args(["--steps", "-1"]);
        assert!(matches!(parser.next(), Ok(Some(Arg::Long("steps")))));
        let error = number("steps", &mut parser).map_err(|error| error.to_string());
        assert_eq!(error, Err("--steps needs a whole number, not \"-1\"".into()));
        let others = parse::<AlwaysQuick>(Parser::from_args(["--out", "here"]));
        assert_eq!(
            others.err().map(|error| error.to_string()).as_deref(),
            Some("invalid option '--out'")
        );
    }

    #[test]
    fn help_is_the_header_and_all_options() {
        let source =
            "//! Title.\n//!\n//! ```text\n//! run\n//! ```\n//! See [`step`].\n\nfn main() {}\n";
        let expected = "\
Title.

    run

See `step`.

Usage: EXAMPLE [OPTIONS]

Options:
  --quick     a short run, as a test
  --out DIR   write to DIR/EXAMPLE [default: target]
  -h, --help  this text
";
        assert_eq!(help::<Arguments>(source), expected.replace("EXAMPLE", EXAMPLE));
    }
}
