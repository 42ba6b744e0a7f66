//! Where the money went, from a ledger in files: a page, and a table in the terminal.
//!
//! `cargo run --example dashboard -- DIR` reads the ledger in DIR, writes `dashboard.html` and prints the report as
//! text. `--html FILE` sets where the page goes; `--zone Europe/Berlin` ends days there; `--days 30` looks at the last
//! 30 times 24 hours; `--feature NAME` at one feature. `--json` and `--csv` print that instead, and write
//! no page unless `--html` says where.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use thrifty::budget::TimeZone;
use thrifty::ledger::{FileLedger, Filter};
use thrifty::report::Report;
use thrifty::{Clock, SystemClock, Timestamp};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    // Opening a ledger makes one where there is none.
    if !options.ledger.is_dir() {
        return Err(format!("there is no ledger in {}", options.ledger.display()).into());
    }
    let ledger = FileLedger::open(&options.ledger)?;
    let report = Report::builder()
        .with_filter(options.filter)
        .with_time_zone(options.zone)
        .of(&ledger)
        .await?;
    match options.print {
        Print::Text => print!("{}", report.to_text()),
        Print::Json => println!("{}", report.to_json()),
        Print::Csv => print!("{}", report.to_csv()),
    }
    if let Some(html) = options.html {
        report.write_html(&html)?;
        eprintln!("\nThe same as a page: {}", html.display());
    }
    Ok(())
}

enum Print {
    Text,
    Json,
    Csv,
}

struct Options {
    ledger: PathBuf,
    html: Option<PathBuf>,
    filter: Filter,
    zone: TimeZone,
    print: Print,
}

impl Options {
    fn read() -> Result<Self, Box<dyn Error>> {
        let (mut ledger, mut html, mut print) = (None, None, Print::Text);
        let (mut filter, mut zone) = (Filter::default(), TimeZone::UTC);
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--html" => html = Some(PathBuf::from(value()?)),
                "--zone" => zone = TimeZone::named(&value()?)?,
                "--feature" => filter = filter.with_feature(value()?),
                "--days" => filter = filter.with_from(days_ago(value()?.parse()?)),
                "--json" => print = Print::Json,
                "--csv" => print = Print::Csv,
                option if option.starts_with('-') => return Err(format!("unknown option {option}").into()),
                _ => ledger = Some(PathBuf::from(arg)),
            }
        }
        if html.is_none() && matches!(print, Print::Text) {
            html = Some("dashboard.html".into());
        }
        Ok(Self {
            ledger: ledger.ok_or("say which directory the ledger is in, such as target/quickstart/costs")?,
            html,
            filter,
            zone,
            print,
        })
    }
}

/// Returns the moment so many days ago, to the quarter of an hour: a ledger has sums of those.
fn days_ago(days: u32) -> Timestamp {
    let quarter = 900_000;
    let length = Duration::from_secs(86_400) * days;
    let now = SystemClock.now().as_unix_millis();
    let from = now.saturating_sub(i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
    Timestamp::from_unix_millis(from.div_euclid(quarter) * quarter)
}
