/** How long both sides take, by service and endpoint. */
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { useResource } from "../api/poll";
import type { Ledger } from "../api/types";
import { Await, Empty, PageHead, Panel, Table } from "../components/basics";
import { Chart } from "../components/chart";
import { SelectField } from "../components/fields";
import { t } from "../i18n";
import { micros, number, percent } from "../lib/format";
import { type Distribution, distributions, type Latencies, type Quantiles } from "../lib/latency";
import { href, route, setQuery } from "../lib/router";
import { snapshot } from "../state";

const QUANTILES = ["p50", "p90", "p99", "p999"] as const;

export function Latency(): JSX.Element {
  const latency = useResource<Latencies>("/api/v1/latency", 3_000);
  const { service = "" } = route.value.query;
  return (
    <>
      <PageHead title={t("nav.latency")} note={t("latency.note")} />
      <OverTime />
      {latency.fault?.isMissing ? (
        <Totals />
      ) : (
        <Await of={latency}>
          {value => {
            const all = distributions(value);
            const names = [...new Set(all.map(entry => entry.service))];
            return (
              <>
                <form class="filters" onSubmit={event => event.preventDefault()}>
                  <SelectField
                    label={t("column.service")}
                    value={service}
                    options={[["", t("filter.all")], ...names.map(name => [name, name] as [string, string])]}
                    onChange={chosen => setQuery({ service: chosen })}
                  />
                </form>
                <ByEndpoint rows={all.filter(entry => !service || entry.service === service)} />
              </>
            );
          }}
        </Await>
      )}
    </>
  );
}

function OverTime(): JSX.Element | null {
  const series = snapshot.value?.series;
  const lines = useMemo(
    () => [
      { label: t("chart.origin_p50"), series: "origin" as const, values: series?.origin_p50_us ?? [] },
      { label: t("chart.target_p50"), series: "target" as const, values: series?.target_p50_us ?? [] },
      { label: t("chart.origin_p99"), series: "third" as const, values: series?.origin_p99_us ?? [] },
      { label: t("chart.target_p99"), series: "fourth" as const, values: series?.target_p99_us ?? [] },
    ],
    [series],
  );
  if (!series) return null;
  return (
    <Panel title={t("chart.latency")}>
      <Chart label={t("chart.latency")} x={series.at} lines={lines} format={micros} height={220} />
    </Panel>
  );
}

function ratio(row: Distribution): string {
  const { origin, target } = row;
  return origin.p50 && target.p50 ? `${number(Math.round((target.p50 / origin.p50) * 100) / 100)} ×` : "–";
}

function ByEndpoint({ rows }: { rows: Distribution[] }): JSX.Element {
  const chosen = rows.find(row => keyOf(row) === route.value.id) ?? rows[0];
  const cells = (side: "origin" | "target") =>
    QUANTILES.map(name => ({
      head: `${t(`side.${side}`)} ${name.replace("p999", "p99.9")}`,
      number: true,
      cell: (row: Distribution) => known(row[side], name),
    }));
  return (
    <>
      {chosen ? <Curves row={chosen} /> : null}
      <Panel title={t("latency.table")} flush>
        <Table
          label={t("latency.table")}
          rows={rows}
          keyOf={keyOf}
          isChosen={row => row === chosen}
          empty={<Empty title={t("latency.none")} />}
          columns={[
            {
              head: t("column.endpoint"),
              isHead: true,
              cell: row => (
                <>
                  <a class="mono" href={href("latency", keyOf(row), route.value.query)}>
                    {row.endpoint || t("latency.whole")}
                  </a>
                  <br />
                  <span class="small quiet">{row.service}</span>
                </>
              ),
            },
            { head: t("column.exchanges"), number: true, cell: row => number(row.target.count) },
            ...cells("origin"),
            ...cells("target"),
            { head: t("latency.ratio"), number: true, cell: ratio },
            { head: t("latency.stalled"), number: true, cell: row => number(row.stalled) },
          ]}
        />
      </Panel>
    </>
  );
}

const keyOf = (row: Distribution) => `${row.service} ${row.endpoint}`;

const X: [name: (typeof QUANTILES)[number], share: number][] = [
  ["p50", 0.5],
  ["p90", 0.9],
  ["p99", 0.99],
  ["p999", 0.999],
];

/** Of nothing there is no quantile. */
function known(of: Quantiles, name: (typeof QUANTILES)[number]): string {
  return of.count > 0 ? micros(of[name]) : "–";
}

/** The distribution by quantile, both sides over one another: the axis is stretched towards the slow end. */
function Curves({ row }: { row: Distribution }): JSX.Element {
  const shown = useMemo(() => {
    const values = (of: Quantiles) => X.map(([name]) => (of.count > 0 ? of[name] : null));
    return {
      x: X.map(([, share]) => 1 / (1 - share)),
      lines: [
        { label: t("side.origin"), series: "origin" as const, values: values(row.origin) },
        { label: t("side.target"), series: "target" as const, values: values(row.target) },
      ],
    };
  }, [row]);
  return (
    <Panel title={`${t("latency.distribution")}: ${row.endpoint || t("latency.whole")}`} aside={row.service}>
      <Chart
        label={t("latency.distribution")}
        x={shown.x}
        lines={shown.lines}
        format={micros}
        formatX={value => percent(1 - 1 / value)}
        logarithmic
        height={240}
      />
    </Panel>
  );
}

/** What the ledger alone tells, where the distributions are not there. */
function Totals(): JSX.Element {
  const ledger = useResource<Ledger & { latency_us: Record<"origin" | "target", Record<string, number>> }>(
    "/api/v1/ledger",
    3_000,
  );
  return (
    <Panel title={t("latency.table")} flush>
      <Await of={ledger}>
        {({ latency_us: of }) => (
          <Table
            label={t("latency.table")}
            rows={["p50", "p90", "p99"].filter(name => of.origin[name] !== undefined)}
            keyOf={name => name}
            columns={[
              { head: t("latency.quantile"), isHead: true, cell: name => name },
              { head: t("side.origin"), number: true, cell: name => micros(of.origin[name]) },
              { head: t("side.target"), number: true, cell: name => micros(of.target[name]) },
            ]}
          />
        )}
      </Await>
    </Panel>
  );
}
