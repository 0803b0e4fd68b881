/** Endpoints and fields whose differences are more than production's own noise. */
import type { JSX } from "preact";
import { useResource } from "../../api/poll";
import type { Finding } from "../../api/types";
import { Await, Empty, Panel, State, Table } from "../../components/basics";
import { t, word } from "../../i18n";
import { visible } from "../../lib/diff";
import { moment, number, percent } from "../../lib/format";
import { href } from "../../lib/router";
import { IgnoreButton } from "./ignore";

export function Findings(): JSX.Element {
  const findings = useResource<{ findings: Finding[] }>("/api/v1/findings", 3_000);
  return (
    <Panel title={t("differences.findings")} flush aside={t("differences.noise")}>
      <Await of={findings}>
        {({ findings: rows }) => (
          <Table
            label={t("differences.findings")}
            rows={rows}
            keyOf={row => `${row.service} ${row.endpoint} ${row.field} ${row.kind}`}
            empty={<Empty title={t("differences.none")}>{t("differences.none_text")}</Empty>}
            columns={[
              {
                head: t("column.endpoint"),
                isHead: true,
                cell: row => (
                  <>
                    <span class="mono">{row.endpoint}</span>
                    <br />
                    <span class="small quiet">{row.service}</span>
                  </>
                ),
              },
              { head: t("column.field"), cell: row => <FieldCell finding={row} /> },
              { head: t("column.kind"), cell: row => <State tone="bad">{word("kind", row.kind)}</State> },
              {
                head: t("differences.target_rate"),
                number: true,
                cell: row => <strong class="bad-figure">{percent(row.target_rate)}</strong>,
              },
              { head: t("differences.origin_rate"), number: true, cell: row => percent(row.origin_rate) },
              {
                head: t("column.exchanges"),
                number: true,
                cell: row => t("differences.of", { part: number(row.differing), whole: number(row.exchanges) }),
              },
              { head: t("differences.last_seen"), cell: row => <span class="nowrap">{moment(row.last_seen)}</span> },
              {
                head: "",
                cell: row => (
                  <span class="line tight">
                    {typeof row.example_record === "number" ? (
                      <a
                        class="button"
                        href={href("differences", `exchange-${row.example_record}`, { field: row.field })}
                      >
                        {t("differences.example")}
                      </a>
                    ) : (
                      <a
                        class="button"
                        href={href("differences", "exchanges", { service: row.service, verdict: "differ" })}
                      >
                        {t("differences.exchanges")}
                      </a>
                    )}
                    {row.kind === "latency" ? null : (
                      <IgnoreButton service={row.service} endpoint={row.endpoint} field={row.field} />
                    )}
                  </span>
                ),
              },
            ]}
          />
        )}
      </Await>
    </Panel>
  );
}

/** The field, what both sides had there last, and whether the target had missed requests before. */
function FieldCell({ finding }: { finding: Finding }): JSX.Element {
  const { field, example_origin: origin, example_target: target } = finding;
  return (
    <div>
      <code>{visible(field)}</code>
      {origin || target ? (
        <span class="line tight example">
          <code class="change-from">{visible(origin || "–")}</code>
          <code class="change-to">{visible(target || "–")}</code>
        </span>
      ) : null}
      {finding.after_loss ? <p class="quiet example">{t("differences.after_loss")}</p> : null}
    </div>
  );
}
