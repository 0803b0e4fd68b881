//! What is made of the command line's description: the man page, and the completions of shells.

use crate::cli::{Cli, Generated};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::io::Write;

/// The text of `what`.
///
/// # Errors
/// None in truth: it is written into memory.
pub fn generate(what: Generated) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match what {
        Generated::Man => man(&mut text)?,
        Generated::Shell(shell) => clap_complete::generate(shell, &mut Cli::command(), "tapcopy", &mut text),
    }
    Ok(text)
}

/// One page for all commands: each is a section, whose parts become its subsections.
fn man(text: &mut Vec<u8>) -> std::io::Result<()> {
    // Options that every command takes stand once, with the program's own.
    let mut command = Cli::command().disable_help_subcommand(true);
    let page = Man::new(command.clone());
    page.render_title(text)?;
    page.render_name_section(text)?;
    writeln!(text, ".SH SYNOPSIS\n\\fBtapcopy\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]...")?;
    page.render_description_section(text)?;
    page.render_options_section(text)?;
    command.build();
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        writeln!(text, ".SH \"{}\"", command.get_bin_name().unwrap_or(command.get_name()).to_uppercase())?;
        let mut section = Vec::new();
        let page = Man::new(own_options(command));
        page.render_synopsis_section(&mut section)?;
        page.render_description_section(&mut section)?;
        page.render_options_section(&mut section)?;
        page.render_extra_section(&mut section)?;
        text.extend(
            String::from_utf8_lossy(&section).replace(".SH EXTRA", ".SH NOTES").replace(".SH ", ".SS ").bytes(),
        );
    }
    page.render_version_section(text)
}

fn own_options(command: &Command) -> Command {
    let is_everyones = |name: &str| ["help", "version", "log_level"].contains(&name);
    command.clone().mut_args(|arg| {
        let hide = arg.is_hide_set() || is_everyones(arg.get_id().as_str());
        arg.hide(hide)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_man_page_describes_every_command_and_refers_to_no_page_that_does_not_exist() {
        let page = String::from_utf8(generate(Generated::Man).unwrap()).unwrap();
        for command in ["run", "replay", "rehearse", "check"] {
            assert_eq!(page.matches(&format!(".SH \"TAPCOPY {}\"", command.to_uppercase())).count(), 1, "{command}");
        }
        for word in [r"\-\-speed", r"\-\-loop", "cannot be sped up or slowed down"] {
            assert!(page.contains(word), "{word}");
        }
        assert!(!page.contains("(1)") && !page.contains("generate"), "{page}");
    }
}
