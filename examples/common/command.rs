//! Command line and exit code of an example.

use std::{
    env,
    error::Error,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The name of the example that this module is compiled into.
const EXAMPLE: &str = env!("CARGO_CRATE_NAME");

/// The command-line arguments of an example.
pub(crate) struct Arguments {
    /// True if a short run is requested.
    pub(crate) quick: bool,
    /// The folder for pictures.
    pub(crate) folder: PathBuf,
}

impl Arguments {
    fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let folder = Path::new("target").join(EXAMPLE);
        let mut parsed = Arguments { quick: false, folder };
        for argument in arguments {
            if argument == "--quick" {
                parsed.quick = true;
            } else if argument.as_encoded_bytes().starts_with(b"-") {
                return Err(unknown_option(&argument, "[--quick] [FOLDER]"));
            } else {
                parsed.folder = argument.into();
            }
        }
        Ok(parsed)
    }
}

/// Runs the example and returns its exit code. With `--help`, prints the header of the source of the
/// example instead.
pub(crate) fn run_or_help(
    source: &str,
    example: impl FnOnce(&Arguments) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    if asks_for_help() {
        print!("{}", header(source));
        return ExitCode::SUCCESS;
    }
    run(example)
}

/// Returns true if an argument is `--help` or `-h`.
pub(crate) fn asks_for_help() -> bool {
    env::args_os().skip(1).any(|argument| argument == "--help" || argument == "-h")
}

/// Returns the text of the comment with which a source file begins.
pub(crate) fn header(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.flat_map(|line| [line.strip_prefix(' ').unwrap_or(line), "\n"]).collect()
}

/// Returns the error for an argument that the example does not know.
pub(crate) fn unknown_option(option: &OsStr, usage: &str) -> String {
    format!("unknown option {}; usage: {EXAMPLE} {usage}", option.to_string_lossy())
}

/// Makes a folder, and those above it. An error names it.
pub(crate) fn make_folder(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))
}

/// Runs the example and returns its exit code.
pub(crate) fn run(example: impl FnOnce(&Arguments) -> Result<(), Box<dyn Error>>) -> ExitCode {
    exit_code(try_run(example))
}

/// Converts a result to an exit code and prints an error to stderr.
pub(crate) fn exit_code(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{EXAMPLE}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(
    example: impl FnOnce(&Arguments) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse(env::args_os().skip(1))?;
    make_folder(&arguments.folder)?;
    example(&arguments)
}
