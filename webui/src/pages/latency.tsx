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
import { type Distribution, distributions, type Side } from "../lib/latency";
import { href, route, setQuery } from "../lib/router";
import { snapshot } from "../state";

const QUANTILES = ["p50", "p90", "p99", "p999"] as const;

export function Latency(): JSX.Element {
  const latency = useResource<unknown>("/api/v1/latency", 3_000);
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
  const { origin, target } = row.last_byte;
  return origin.p50 && target.p50 ? `${number(Math.round((target.p50 / origin.p50) * 100) / 100)} ×` : "–";
}

function ByEndpoint({ rows }: { rows: Distribution[] }): JSX.Element {
  const chosen = rows.find(row => keyOf(row) === route.value.id) ?? rows[0];
  const cells = (side: "origin" | "target") =>
    QUANTILES.map(name => ({
      head: `${t(`side.${side}`)} ${name.replace("p999", "p99.9")}`,
      number: true,
      cell: (row: Distribution) => micros(row.last_byte[side][name]),
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
            { head: t("column.exchanges"), number: true, cell: row => number(row.count) },
            ...cells("origin"),
            ...cells("target"),
            { head: t("latency.ratio"), number: true, cell: ratio },
          ]}
        />
      </Panel>
    </>
  );
}

const keyOf = (row: Distribution) => `${row.service} ${row.endpoint}`;

const X: { name: keyof Side; at: number }[] = [
  { name: "p50", at: 0.5 },
  { name: "p90", at: 0.9 },
  { name: "p99", at: 0.99 },
  { name: "p999", at: 0.999 },
];

/** The distribution by quantile, both sides over one another: the axis is stretched towards the slow end. */
function Curves({ row }: { row: Distribution }): JSX.Element {
  const shown = useMemo(() => {
    const points =
      row.last_byte.origin.curve ?? X.map(({ name, at }) => [at, row.last_byte.origin[name] ?? null] as const);
    const others =
      row.last_byte.target.curve ?? X.map(({ name, at }) => [at, row.last_byte.target[name] ?? null] as const);
    const values = new Map(others.map(([at, value]) => [at, value as number | null]));
    return {
      x: points.map(([at]) => 1 / (1 - Math.min(at, 0.99999))),
      lines: [
        {
          label: t("side.origin"),
          series: "origin" as const,
          values: points.map(([, value]) => value as number | null),
        },
        { label: t("side.target"), series: "target" as const, values: points.map(([at]) => values.get(at) ?? null) },
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
