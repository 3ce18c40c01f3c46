//! `gatefort completions` and `gatefort man`: what shells and `man` know of the command line, made from it.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::output::{self, OutputError};

/// `gatefort completions`.
#[derive(Debug, Clone, Args)]
pub(super) struct CompletionsArguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// `gatefort man`.
#[derive(Debug, Clone, Args)]
pub(super) struct ManArguments {
    /// Writes a page for each command into this folder, over those that are there; without it, prints the first page.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints a shell's completions for this command line.
pub(super) fn completions(
    arguments: &CompletionsArguments,
    mut command: Command,
) -> Result<(), OutputError> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "gatefort", &mut text);
    output::print(|out| out.write_all(&text))
}

/// Prints the first page, or writes all of them.
pub(super) fn man(arguments: &ManArguments, command: Command) -> Result<(), OutputError> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(folder) = &arguments.folder else {
        let text = page(command).map_err(OutputError::Stdout)?;
        return output::print(|out| out.write_all(&text));
    };
    let mut pages = Vec::new();
    collect(&command, &mut pages).map_err(OutputError::Stdout)?;
    let pages: Vec<(PathBuf, String)> = pages
        .into_iter()
        .map(|(name, text)| (folder.join(format!("{name}.1")), text))
        .collect();
    let texts: Vec<_> = pages
        .iter()
        .map(|(file, text)| (file.clone(), text.as_str()))
        .collect();
    output::write_files(&texts, true)
}

/// The pages of a command and of those below it, by their names.
fn collect(command: &Command, pages: &mut Vec<(String, String)>) -> io::Result<()> {
    for below in command.get_subcommands() {
        collect(below, pages)?;
    }
    let name = command.get_display_name().unwrap_or(command.get_name());
    let text = String::from_utf8_lossy(&page(command.clone())?).into_owned();
    pages.push((name.to_owned(), text));
    Ok(())
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Man::new(command).render(&mut text)?;
    text.flush()?;
    Ok(text)
}
