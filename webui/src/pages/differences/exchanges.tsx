/** Recorded exchanges, newest first, page by page. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useResource } from "../../api/poll";
import { Await, Button, Empty, Panel, State, Table } from "../../components/basics";
import { SelectField } from "../../components/fields";
import { t, word } from "../../i18n";
import { micros, moment } from "../../lib/format";
import { href, route, setQuery } from "../../lib/router";
import { snapshot } from "../../state";
import { OUTCOME_TONES } from "../sessions";
import type { Exchange } from "./record";

interface Page {
  exchanges: Exchange[];
  next_cursor?: string | null;
}

const OUTCOMES = ["match", "differ", "incomparable", "not_answered", "not_replayed"] as const;
const PAGE = 50;

export function Exchanges(): JSX.Element {
  const { verdict = "", service = "" } = route.value.query;
  const [cursors, setCursors] = useState<string[]>([]);
  const cursor = cursors.at(-1) ?? "";
  const chosen = new URLSearchParams({ ...(verdict ? { verdict } : {}), ...(service ? { service } : {}) });
  const search = new URLSearchParams({
    ...Object.fromEntries(chosen),
    limit: String(PAGE),
    ...(cursor ? { cursor } : {}),
  });
  const page = useResource<Page>(`/api/v1/exchanges?${search}`, cursor ? Number.POSITIVE_INFINITY : 3_000);
  const names = snapshot.value?.services.map(entry => entry.name) ?? [];
  const choose = (change: Record<string, string>) => {
    setCursors([]);
    setQuery(change);
  };
  const next = page.value?.next_cursor;
  const all = (
    <a class="button" href={`/api/v1/exchanges.jsonl?${chosen}`} download="exchanges.jsonl" title={t("exchanges.all")}>
      {t("download")}
    </a>
  );
  return (
    <>
      <form class="filters" onSubmit={event => event.preventDefault()}>
        <SelectField
          label={t("column.outcome")}
          value={verdict}
          options={[["", t("filter.all")], ...OUTCOMES.map(name => [name, word("outcome", name)] as [string, string])]}
          onChange={chosen => choose({ verdict: chosen })}
        />
        <SelectField
          label={t("column.service")}
          value={service}
          options={[["", t("filter.all")], ...names.map(name => [name, name] as [string, string])]}
          onChange={chosen => choose({ service: chosen })}
        />
      </form>
      <Panel title={t("differences.exchanges")} flush aside={all}>
        <Await of={page}>
          {({ exchanges }) => (
            <Table
              label={t("differences.exchanges")}
              rows={exchanges}
              keyOf={row => row.id}
              empty={<Empty title={t("exchanges.none")}>{t("exchanges.none_text")}</Empty>}
              columns={[
                {
                  head: t("column.number"),
                  isHead: true,
                  cell: row => <a href={href("differences", `exchange-${row.id}`)}>{row.id}</a>,
                },
                { head: t("column.time"), cell: row => moment(row.at) },
                { head: t("column.service"), cell: row => row.service },
                { head: t("column.endpoint"), cell: row => <span class="mono">{row.endpoint ?? "–"}</span> },
                { head: t("column.client"), cell: row => <span class="mono">{row.client ?? "–"}</span> },
                {
                  head: t("column.outcome"),
                  cell: row => (
                    <span class="line tight">
                      <State tone={OUTCOME_TONES[row.outcome]}>{word("outcome", row.outcome)}</State>
                      {row.reason ? <span class="small quiet">{word("reason", row.reason)}</span> : null}
                    </span>
                  ),
                },
                { head: t("side.origin"), number: true, cell: row => micros(row.origin_last_us) },
                { head: t("side.target"), number: true, cell: row => micros(row.target_last_us) },
              ]}
            />
          )}
        </Await>
      </Panel>
      <div class="line">
        <Button icon="back" disabled={cursors.length === 0} onPress={() => setCursors(cursors.slice(0, -1))}>
          {t("page.newer")}
        </Button>
        <Button disabled={!next} onPress={() => setCursors([...cursors, next ?? ""])}>
          {t("page.older")}
        </Button>
      </div>
    </>
  );
}
