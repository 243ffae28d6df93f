//! Long flags with one dash, as the users of Consul and Nomad write them.

use std::ffi::OsString;

use clap::{Command, CommandFactory as _};

use crate::cli::Cli;

/// The arguments with `-format` made `--format`, wherever a long flag of that name
/// exists. Everything after `--` is left alone.
pub(crate) fn doubled(args: Vec<OsString>) -> Vec<OsString> {
    let mut longs = Vec::new();
    collect(&Cli::command(), &mut longs);
    let mut verbatim = false;
    args.into_iter()
        .map(|arg| {
            verbatim |= arg == "--";
            let Some(text) = arg.to_str().filter(|_| !verbatim) else { return arg };
            let Some(name) = text.strip_prefix('-').filter(|name| name.len() > 1 && !name.starts_with('-'))
            else {
                return arg;
            };
            let flag = name.split('=').next().unwrap_or(name);
            if longs.iter().any(|long| long == flag) { OsString::from(format!("-{text}")) } else { arg }
        })
        .collect()
}

fn collect(command: &Command, into: &mut Vec<String>) {
    into.extend(["help".to_owned(), "version".to_owned()]);
    into.extend(command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)));
    command.get_subcommands().for_each(|sub| collect(sub, into));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubles(args: &[&str]) -> Vec<String> {
        let args = args.iter().map(OsString::from).collect();
        doubled(args).into_iter().map(|arg| arg.into_string().unwrap()).collect()
    }

    #[test]
    fn a_known_long_flag_may_have_one_dash() {
        assert_eq!(
            doubles(&["lictor", "status", "-format", "json"]),
            ["lictor", "status", "--format", "json"]
        );
        assert_eq!(doubles(&["lictor", "-format=json"]), ["lictor", "--format=json"]);
    }

    #[test]
    fn anything_else_is_left_alone() {
        let args = ["lictor", "-h", "-", "-unheard-of", "--format", "--", "-format"];
        assert_eq!(doubles(&args), args);
    }
}
