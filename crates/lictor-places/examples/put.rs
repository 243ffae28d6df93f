//! Puts a file into a bucket of S3, and tells how much memory that took and how many bytes a second it was:
//!
//! `put ENDPOINT BUCKET ID FILE NAME [JOURNAL]`, with the secret of the key on the standard input.

use std::error::Error;
use std::path::Path;

use lictor_places::{Place, Put, S3, S3Credentials, S3Encryption, S3Keys, Settings};

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, bucket, id, file, name, journal @ ..] = &*args else {
        return Err("ENDPOINT BUCKET ID FILE NAME [JOURNAL]".into());
    };
    let secret = std::io::read_to_string(std::io::stdin())?.trim().to_owned();
    let place = Place::new(&Settings::S3(S3 {
        bucket: bucket.clone(),
        prefix: String::new(),
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.parse()?),
        path_style: true,
        credentials: S3Credentials::Keys(S3Keys {
            id: id.clone(),
            secret: secret.into(),
            session_token: None,
        }),
        encryption: S3Encryption::Bucket,
        checksum: true,
    }))?;
    let begun = tokio::time::Instant::now();
    let stored = place.put(name, Path::new(file), Put::New, journal.first().map(Path::new), &report).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("{stored:?} in {seconds:.1} s; {peak}");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn report(sent: u64) {
    println!("{sent} bytes");
}
