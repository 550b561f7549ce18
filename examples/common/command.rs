//! Command line and exit code of an example.

use std::{
    env,
    error::Error,
    ffi::OsString,
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
                let option = argument.to_string_lossy();
                return Err(format!(
                    "unknown option {option}; usage: {EXAMPLE} [--quick] [FOLDER]"
                ));
            } else {
                parsed.folder = argument.into();
            }
        }
        Ok(parsed)
    }
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
    fs::create_dir_all(&arguments.folder)?;
    example(&arguments)
}
