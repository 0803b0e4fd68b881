/** Who did what, newest first; nobody can change it. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useResource } from "../../api/poll";
import type { AuditEntry } from "../../api/types";
import { Await, Button, Empty, Panel, Table } from "../../components/basics";
import { t, word } from "../../i18n";
import { moment } from "../../lib/format";

const PAGE = 100;

export function Audit(): JSX.Element {
  const [before, setBefore] = useState<number[]>([]);
  const last = before.at(-1);
  const path = `/api/v1/audit?limit=${PAGE}${last === undefined ? "" : `&before=${last}`}`;
  const audit = useResource<{ entries: AuditEntry[] }>(path, last === undefined ? 5_000 : Number.POSITIVE_INFINITY);
  const oldest = audit.value?.entries.at(-1)?.number;
  return (
    <>
      <Panel title={t("system.tab.audit")} flush>
        <Await of={audit}>
          {({ entries }) => (
            <Table
              label={t("system.tab.audit")}
              rows={entries}
              keyOf={entry => entry.number}
              empty={<Empty title={t("audit.none")} />}
              columns={[
                { head: t("column.time"), isHead: true, cell: entry => <span class="nowrap">{moment(entry.at)}</span> },
                { head: t("audit.who"), cell: entry => entry.who },
                { head: t("column.what"), cell: entry => word("audit.what", entry.what) },
                { head: t("audit.from"), cell: entry => <span class="mono">{entry.from}</span> },
                { head: t("audit.detail"), cell: entry => entry.detail },
              ]}
            />
          )}
        </Await>
      </Panel>
      <div class="line">
        <Button icon="back" disabled={before.length === 0} onPress={() => setBefore(before.slice(0, -1))}>
          {t("page.newer")}
        </Button>
        <Button
          disabled={oldest === undefined || (audit.value?.entries.length ?? 0) < PAGE}
          onPress={() => setBefore([...before, oldest ?? 0])}
        >
          {t("page.older")}
        </Button>
      </div>
    </>
  );
}
