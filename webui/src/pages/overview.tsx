/** At a glance: whether the mirror is healthy, what is replayed, and what differs. */
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { useResource } from "../api/poll";
import type { Ledger, Snapshot, Stage } from "../api/types";
import { Empty, PageHead, Panel, State, Table, type Tone } from "../components/basics";
import { Chart } from "../components/chart";
import { Sparkline, Strip } from "../components/strip";
import { stateOf } from "../frame";
import { type Key, reasonSentence, t, word } from "../i18n";
import { duration, micros, number, percent, rate } from "../lib/format";
import { href } from "../lib/router";
import { sentence, snapshot, snapshotFault } from "../state";

type StageName = keyof Snapshot["stages"];

const STAGES: { name: StageName; page: string; series: string[] }[] = [
  { name: "mirror", page: "mirror", series: ["frames"] },
  { name: "sessions", page: "sessions", series: ["captured"] },
  { name: "replay", page: "services", series: ["replayed"] },
  { name: "comparison", page: "differences", series: ["match", "differ", "incomparable"] },
];

const TONES: Record<Stage["state"], Tone> = { ok: "ok", idle: "idle", warning: "warn", fault: "bad" };

export function Overview(): JSX.Element {
  const shown = snapshot.value;
  if (!shown) {
    const fault = snapshotFault.value;
    return (
      <>
        <PageHead title={t("nav.overview")} />
        {fault ? (
          <Empty title={t(fault.isMissing ? "missing.title" : "failed.title")}>{sentence(fault)}</Empty>
        ) : (
          <Empty title={t("loading")} />
        )}
      </>
    );
  }
  return (
    <>
      <Headline shown={shown} />
      <Pipeline shown={shown} />
      <ServiceStrips shown={shown} />
      <Charts shown={shown} />
      <Reasons />
    </>
  );
}

/** A stage's state in a word or two. */
const shortOf = (stage: Stage) => word("stage.short", stage.code ?? "", t(`stage.state.${stage.state}`));

/** One sentence that says it all. */
function Headline({ shown }: { shown: Snapshot }): JSX.Element {
  const [, state] = stateOf(shown);
  const faulty = STAGES.find(({ name }) => shown.stages[name].state === "fault");
  const title = faulty ? `${t(`stage.${faulty.name}`)}: ${shortOf(shown.stages[faulty.name])}` : t(state);
  const { match, differ, findings } = shown.totals;
  const share = match + differ > 0 ? percent(match / (match + differ)) : undefined;
  const parts = [
    t("overview.rate", { rate: rate(shown.stages.replay.rate) }),
    findings > 0 ? t("overview.findings", { count: number(findings) }) : t("overview.no_findings"),
    share ? t("overview.match", { share }) : t("overview.no_answers"),
    t("overview.uptime", { time: duration(shown.uptime_seconds) }),
  ];
  return (
    <div class="headline">
      <h1 tabIndex={-1}>{title}</h1>
      <p>{parts.join(" · ")}</p>
    </div>
  );
}

/** Several series as one. */
function sum(parts: (number | null)[][]): (number | null)[] {
  const [first = [], ...rest] = parts;
  return first.map((value, index) => rest.reduce((total, part) => total + (part[index] ?? 0), value ?? 0));
}

function Pipeline({ shown }: { shown: Snapshot }): JSX.Element {
  return (
    <ol class="pipeline" aria-label={t("overview.pipeline")}>
      {STAGES.map(({ name, page, series }) => (
        <li key={name}>
          <StageCard
            name={name}
            page={page}
            stage={shown.stages[name]}
            values={sum(series.map(part => shown.series[part] ?? []))}
            shown={shown}
          />
        </li>
      ))}
    </ol>
  );
}

interface StageProps {
  name: StageName;
  page: string;
  stage: Stage;
  values: (number | null)[];
  shown: Snapshot;
}

function StageCard({ name, page, stage, values, shown }: StageProps): JSX.Element {
  const tone = TONES[stage.state];
  return (
    <a class="stage" data-tone={tone} href={href(page)}>
      <span class="stage-head">
        <span class="stage-name">{t(`stage.${name}`)}</span>
        <State tone={tone}>{shortOf(stage)}</State>
      </span>
      <span class="stage-rate">
        {rate(stage.rate)} <small>{t(`unit.${stage.unit}`)}</small>
      </span>
      <Sparkline values={values} />
      <span class="stage-facts">
        <span>
          <span class="quiet">{t(LOSS_WORDS[name])}</span> {number(stage.loss_total)}
          {stage.loss_rate > 0 ? ` (${rate(stage.loss_rate)}/s)` : ""}
        </span>
        <span>
          <span class="quiet">{t(SECOND_WORDS[name][0])}</span> {SECOND_WORDS[name][1](shown)}
        </span>
      </span>
      {stage.code ? <span class="stage-sentence">{word("stage.code", stage.code, stage.sentence)}</span> : null}
    </a>
  );
}

const LOSS_WORDS: Record<StageName, Key> = {
  mirror: "stage.lost.mirror",
  sessions: "stage.lost.sessions",
  replay: "stage.lost.replay",
  comparison: "stage.lost.comparison",
};

const SECOND_WORDS: Record<StageName, [Key, (shown: Snapshot) => string]> = {
  mirror: ["total.frames", ({ totals }) => number(totals.frames)],
  sessions: ["total.live", ({ totals }) => number(totals.sessions_live)],
  replay: ["total.answered", ({ totals }) => number(totals.answered)],
  comparison: ["verdict.differ", ({ totals }) => number(totals.differ)],
};

function ServiceStrips({ shown }: { shown: Snapshot }): JSX.Element {
  const note = (
    <>
      <span class="key strip-key" data-strip="match">
        {t("verdict.match")}
      </span>
      <span class="key strip-key" data-strip="noise">
        {t("strip.noise")}
      </span>
      <span class="key strip-key" data-strip="mixed">
        {t("strip.mixed")}
      </span>
      <span class="key strip-key" data-strip="differ">
        {t("verdict.differ")}
      </span>
      <span>{t("strip.span")}</span>
    </>
  );
  return (
    <Panel title={t("overview.services")} flush aside={note}>
      <Table
        label={t("overview.services")}
        rows={shown.services}
        keyOf={service => service.name}
        empty={<Empty title={t("services.none")} />}
        columns={[
          {
            head: t("column.service"),
            isHead: true,
            cell: service => <a href={href("services", service.name)}>{service.name}</a>,
          },
          { head: t("column.agreement"), cell: service => <Strip service={service} /> },
          {
            head: t("verdict.match"),
            number: true,
            cell: ({ match, differ }) => (match + differ > 0 ? percent(match / (match + differ)) : "–"),
          },
          {
            head: t("verdict.differ"),
            number: true,
            cell: service => number(service.differ),
          },
          { head: t("differences.findings"), number: true, cell: service => <Bad count={service.findings} /> },
          { head: t("verdict.incomparable"), number: true, cell: service => number(service.incomparable) },
          { head: t("outcome.not_answered"), number: true, cell: service => <Bad count={service.not_answered} /> },
          { head: t("outcome.not_replayed"), number: true, cell: service => number(service.not_replayed) },
        ]}
      />
    </Panel>
  );
}

export function Bad({ count }: { count: number }): JSX.Element {
  return <span class={count > 0 ? "bad-figure" : ""}>{number(count)}</span>;
}

function Charts({ shown }: { shown: Snapshot }): JSX.Element {
  const { series } = shown;
  // The snapshot is new as a whole.
  const charts = useMemo(() => {
    const of = (name: string) => series[name] ?? [];
    return {
      requests: [
        { label: t("chart.captured"), series: "origin" as const, values: of("captured"), fill: true },
        { label: t("chart.replayed"), series: "target" as const, values: of("replayed") },
      ],
      latency: [
        { label: t("chart.origin_p50"), series: "origin" as const, values: of("origin_p50_us") },
        { label: t("chart.target_p50"), series: "target" as const, values: of("target_p50_us") },
        { label: t("chart.origin_p99"), series: "third" as const, values: of("origin_p99_us") },
        { label: t("chart.target_p99"), series: "fourth" as const, values: of("target_p99_us") },
      ],
      frames: [
        { label: t("chart.frames"), series: "origin" as const, values: of("frames"), fill: true },
        { label: t("chart.dropped"), series: "bad" as const, values: of("dropped") },
      ],
      verdicts: [
        { label: t("verdict.match"), series: "third" as const, values: of("match"), fill: true },
        { label: t("verdict.differ"), series: "bad" as const, values: of("differ") },
        { label: t("verdict.incomparable"), series: "fourth" as const, values: of("incomparable") },
      ],
    };
  }, [shown]);
  return (
    <div class="columns wide">
      <Panel title={t("chart.requests")}>
        <Chart label={t("chart.requests")} x={series.at} lines={charts.requests} format={rate} />
      </Panel>
      <Panel title={t("chart.latency")}>
        <Chart label={t("chart.latency")} x={series.at} lines={charts.latency} format={micros} />
      </Panel>
      <Panel title={t("chart.verdicts")}>
        <Chart label={t("chart.verdicts")} x={series.at} lines={charts.verdicts} format={rate} />
      </Panel>
      <Panel title={t("chart.mirror")}>
        <Chart label={t("chart.mirror")} x={series.at} lines={charts.frames} format={rate} />
      </Panel>
    </div>
  );
}

const GROUPS: { path: string; key: Key; of: (ledger: Ledger) => Record<string, number> }[] = [
  { path: "requests.not_replayed", key: "outcome.not_replayed", of: ledger => ledger.requests.not_replayed },
  { path: "requests.not_answered", key: "outcome.not_answered", of: ledger => ledger.requests.not_answered },
  { path: "verdicts.incomparable", key: "verdict.incomparable", of: ledger => ledger.verdicts.incomparable },
];

/** What is missing and why: a mirror is trusted when it says what it has lost. */
function Reasons(): JSX.Element | null {
  const ledger = useResource<Ledger>("/api/v1/ledger", 3_000);
  const sentences = useResource<Record<string, Record<string, string>>>("/api/v1/reasons");
  if (!ledger.value) return null;
  const known = ledger.value;
  const rows = GROUPS.flatMap(({ path, key, of }) =>
    Object.entries(of(known)).map(([reason, count]) => ({ path, key, reason, count })),
  ).sort((a, b) => b.count - a.count);
  return (
    <Panel title={t("overview.missing")} flush>
      <Table
        label={t("overview.missing")}
        rows={rows}
        keyOf={row => row.path + row.reason}
        empty={<Empty title={t("overview.nothing_missing")}>{t("overview.nothing_missing_text")}</Empty>}
        columns={[
          { head: t("column.what"), isHead: true, cell: row => t(row.key) },
          { head: t("column.count"), number: true, cell: row => number(row.count) },
          {
            head: t("column.why"),
            cell: row => reasonSentence(row.path, row.reason, sentences.value?.[row.path]?.[row.reason]),
          },
        ]}
      />
    </Panel>
  );
}
