//! What `consul snapshot inspect` prints, or with `diff`, `decode` and `verify` what there is besides: to measure by, and to
//! try things out.
#![expect(clippy::print_stdout, reason = "a program prints")]

use std::error::Error;
use std::io::{BufWriter, Write, stdout};
use std::num::NonZero;
use std::ops::ControlFlow;

use lictor_snapshot::archive::Limits;
use lictor_snapshot::decode::{Redact, write_header, write_record};
use lictor_snapshot::inspect::{Format, KvDetails};
use lictor_snapshot::seal::Keys;
use lictor_snapshot::source::ReadError;
use lictor_snapshot::{Source, Verdict, diff, verify, verify_dir};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let limits = Limits::default();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["decode", file] => {
            let source = Source::open(file)?;
            let mut out = BufWriter::new(stdout().lock());
            let mut line = Vec::new();
            let mut failed = None;
            source.read(&limits, |record| {
                line.clear();
                write_record(&mut line, record, &Redact::default());
                match out.write_all(&line) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
            out.flush()?;
        }
        ["header", file] => {
            let report = verify(&Source::open(file)?, &limits, None)?;
            let mut line = Vec::new();
            write_header(&mut line, &report.whole.meta.unwrap_or_default())?;
            stdout().write_all(&line)?;
        }
        ["diff", before, after] => {
            let (before, after) = (Source::open(before)?, Source::open(after)?);
            let summary = diff::compare(&before, &after, &limits, |change| {
                println!("{change}");
                ControlFlow::Continue(())
            })?;
            print!("{summary}");
        }
        ["verify", dir] => {
            let threads = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
            for (path, verdict) in
                verify_dir(dir, &Keys::default(), &limits, threads, |_done, _all| {})?.files
            {
                let path = path.display();
                match verdict {
                    Verdict::Sound(report) => println!("sound    {path}: {} records", report.whole.records),
                    Verdict::Damaged(error) => println!("damaged  {path}: {error}"),
                    Verdict::Sealed(why) => println!("sealed   {path}: {why}"),
                    Verdict::Other(what) => println!("other    {path}: {what}"),
                }
            }
        }
        [rest @ .., file] => {
            let mut format = Format::default();
            let mut details = None;
            for option in rest {
                match option.split_once('=') {
                    Some(("-format", name)) => format = name.parse()?,
                    Some(("-kvdepth", depth)) => {
                        details.get_or_insert_with(KvDetails::default).depth = depth.parse()?;
                    }
                    Some(("-kvfilter", filter)) => {
                        details.get_or_insert_with(KvDetails::default).filter = filter.into();
                    }
                    _ => return Err(format!("unknown option: {option}").into()),
                }
            }
            let report = Source::open(file).map_err(ReadError::from);
            let report = report.and_then(|source| verify(&source, &limits, details));
            let report = report.map_err(|error| match error.consul_text() {
                // To compare with what the old Consul says.
                Some(text) if format == Format::Consul18 => format!("Error verifying snapshot: {text}"),
                _ => error.to_string(),
            })?;
            let meta = report.whole.meta.unwrap_or_default();
            stdout().write_all(&report.inspection.render(&meta, format))?;
        }
        [] => return Err("Missing FILE argument".into()),
    }
    Ok(())
}
