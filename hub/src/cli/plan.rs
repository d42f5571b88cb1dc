//! `hub plan`: looks at a plan before anybody installs it. No hub is needed, and nothing is stored.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use comfy_table::{ContentArrangement, Table, presets};
use hub_domain::decide::remarks;
use hub_domain::plan::drawing::{Drawing, span};
use hub_domain::plan::graph::Graph;
use hub_domain::plan::simulate::{Happening, Script, What, script, simulate};
use hub_domain::workflow::Offered;
use schemas::plan::Trigger;
use schemas::time::Timestamp;

use crate::plans;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say every fault of plans, or what they have
    Check {
        /// PlanDefinition, RequestOrchestration or RequestGroup, as JSON
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Draw a plan
    Draw {
        file: PathBuf,
        #[arg(long = "as", value_enum, default_value_t = Form::Mermaid)]
        form: Form,
    },
    /// Show what would run when; whatever its status, it is taken to be active
    Simulate {
        file: PathBuf,
        /// How long steps take: a line for each, `NAME done 2h`, `NAME fails 1d`, `NAME ignored`; others are done at once
        #[arg(long)]
        events: Option<PathBuf>,
        /// When the order starts, a date or dateTime; now, when nothing is said
        #[arg(long)]
        start: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Form {
    Mermaid,
    Svg,
    Json,
}

#[expect(clippy::print_stdout, reason = "what is found is what the command is for")]
pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Check { files } => {
            let mut code = ExitCode::SUCCESS;
            for file in files {
                match read(&file) {
                    Ok(offered) => {
                        println!("{}: {}", file.display(), told(&offered));
                        remarked(&offered).iter().for_each(|remark| println!("{}: warning: {remark}", file.display()));
                    }
                    Err(error) => {
                        code = ExitCode::FAILURE;
                        println!("{error:#}");
                    }
                }
            }
            return Ok(code);
        }
        Command::Draw { file, form } => {
            let graph = Graph::bind(&read(&file)?.plan, 1);
            let drawing = Drawing::of(&graph);
            match form {
                Form::Mermaid => print!("{}", drawing.mermaid()),
                Form::Svg => print!("{}", drawing.svg()),
                Form::Json => println!("{:#}", drawing.json()),
            }
        }
        Command::Simulate { file, events, start } => {
            let graph = Graph::bind(&read(&file)?.plan, 1);
            let script = events.as_deref().map(read_script).transpose()?.unwrap_or_default();
            let start = match start {
                Some(text) => Timestamp::range(&text).context("--start: no date or dateTime")?.0,
                None => crate::clock::now(),
            };
            println!("{}", timeline(&graph, &simulate(&graph, &script, start), start));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> anyhow::Result<Offered> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Offered::read(&text).map_err(|faults| anyhow::anyhow!("{}: {}", file.display(), plans::tell(&faults)))
}

fn read_script(file: &Path) -> anyhow::Result<Script> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    match script(&text) {
        Ok(script) => Ok(script),
        Err(lines) => {
            bail!("{}: lines {lines:?} are none of `NAME done 2h`, `NAME fails 2h`, `NAME ignored`", file.display())
        }
    }
}

/// What is odd about it, and hinders nothing.
fn remarked(offered: &Offered) -> Vec<String> {
    let remarks = serde_json::from_str(&offered.text).map(|body| remarks(&body)).unwrap_or_default();
    remarks.iter().map(|remark| plans::tell(std::slice::from_ref(remark))).collect()
}

/// `referral|1: 4 steps, started by ServiceRequest, done by clinic`
fn told(offered: &Offered) -> String {
    let graph = Graph::bind(&offered.plan, 1);
    let by = |trigger: &Trigger| trigger.event.clone().or(trigger.kind.map(|kind| kind.name().to_owned()));
    let mut starts: Vec<String> = offered.plan.triggers.iter().filter_map(by).collect();
    starts.dedup();
    let mut works: Vec<&str> =
        graph.leaves().filter_map(|leaf| graph.nodes[leaf].action.as_ref()?.work.as_deref()).collect();
    works.sort_unstable();
    works.dedup();
    let starts = if starts.is_empty() {
        "started by no trigger".to_owned()
    } else {
        format!("started by {}", starts.join(", "))
    };
    let works = if works.is_empty() { String::new() } else { format!(", done by {}", works.join(", ")) };
    format!("{}: {} steps, {starts}{works}", offered.plan.name, graph.leaves().count())
}

fn timeline(graph: &Graph, happenings: &[Happening], start: Timestamp) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["after", "at", "step", "what"]);
    for Happening { at, node, what } in happenings {
        let name = graph.name(*node).unwrap_or_else(|| "the order".to_owned());
        table.add_row([span(at.0 - start.0), at.to_string(), name, words(*what)]);
    }
    table.to_string()
}

fn words(what: What) -> String {
    match what {
        What::Offered(None) => "on offer".to_owned(),
        What::Offered(Some(until)) => format!("on offer, to be done by {until}"),
        What::Begun => "begun".to_owned(),
        What::Done => "done".to_owned(),
        What::Failed => "failed".to_owned(),
        What::Overdue => "overdue".to_owned(),
        What::Early => "early: it was to end later".to_owned(),
        What::Cancelled(why) => format!("cancelled: {why}"),
        What::Waiting => "waits, and nothing that could still happen is left".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows such a mark on the page about plans, up to its end.
    fn of_page(mark: &str) -> &'static str {
        let page = include_str!("../../../docs/plans.md");
        page.split(mark).nth(1).unwrap().split("```").next().unwrap()
    }

    #[test]
    fn the_page_shows_what_these_commands_say() {
        let offered = Offered::read(of_page("```json\n")).unwrap();
        let graph = Graph::bind(&offered.plan, 1);
        assert_eq!(Drawing::of(&graph).mermaid(), of_page("```mermaid\n"));
        let start = Timestamp::range("2026-03-01").unwrap().0;
        let script = script("measure done 2h\nfit done 20d").unwrap();
        let lines = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
        };
        let told = timeline(&graph, &simulate(&graph, &script, start), start);
        let rows = |text: &str| lines(text).into_iter().filter(|line| line.starts_with('│')).collect::<Vec<_>>();
        assert_eq!(rows(&told), rows(of_page("```text\n")));
        let said = "urn:example:plan:hearing-aid|1: 2 steps, started by DeviceRequest, done by audiology";
        assert_eq!(super::told(&offered), said);
    }

    #[test]
    fn an_option_that_does_not_say_so_is_remarked_upon() {
        let of = |intent: &str| {
            let plan = serde_json::json!({
                "resourceType": "RequestOrchestration",
                "contained": [{ "resourceType": "ServiceRequest", "id": "a", "intent": intent }],
                "action": [{ "id": "a", "resource": { "reference": "#a" } }],
            });
            remarked(&Offered::read(&plan.to_string()).unwrap())
        };
        assert!(of("option").is_empty());
        let told = of("proposal");
        assert!(told[0].starts_with("RequestOrchestration.contained[0].intent: "), "{told:?}");
    }
}
