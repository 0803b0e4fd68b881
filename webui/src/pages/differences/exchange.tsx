/** One exchange: the request, and both answers side by side with the difference marked. */
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { useResource } from "../../api/poll";
import { Await, Button, Empty, Facts, PageHead, Panel, State, Table } from "../../components/basics";
import { Sides, Tree } from "../../components/sides";
import { t, word } from "../../i18n";
import { rowsOf, treeOf, visible } from "../../lib/diff";
import { bytes, micros, moment } from "../../lib/format";
import { href } from "../../lib/router";
import { OUTCOME_TONES } from "../sessions";
import { IgnoreButton } from "./ignore";
import { type Exchange, partsOf, type Said } from "./record";

export function OneExchange({ id }: { id: string }): JSX.Element {
  const exchange = useResource<Exchange>(`/api/v1/exchanges/${id}`);
  return (
    <>
      <PageHead
        title={t("exchange.title", { id })}
        note={<a href={href("differences", "exchanges")}>{t("exchange.back")}</a>}
      >
        {exchange.value?.has_contents ? (
          <a class="button" href={`/api/v1/exchanges/${id}/evidence`} download>
            {t("exchange.evidence")}
          </a>
        ) : null}
      </PageHead>
      <Await of={exchange} isOne>
        {value => <Shown exchange={value} />}
      </Await>
    </>
  );
}

function Shown({ exchange }: { exchange: Exchange }): JSX.Element {
  const mono = (text: string | undefined) => <span class="mono">{text ?? "–"}</span>;
  return (
    <>
      <Panel title={t("exchange.facts")}>
        <Facts
          rows={[
            [t("column.time"), moment(exchange.at)],
            [t("column.service"), exchange.service],
            [t("column.endpoint"), mono(exchange.endpoint)],
            [t("column.client"), mono(exchange.client)],
            [t("column.origin"), mono(exchange.origin)],
            [t("column.target"), mono(exchange.target)],
            [
              t("column.outcome"),
              <span key="o" class="line tight">
                <State tone={OUTCOME_TONES[exchange.outcome]}>{word("outcome", exchange.outcome)}</State>
                {exchange.reason ? word("reason", exchange.reason) : ""}
              </span>,
            ],
            [
              t("nav.latency"),
              `${t("side.origin")} ${micros(exchange.origin_last_us)} · ${t("side.target")} ${micros(exchange.target_last_us)}`,
            ],
          ]}
        />
      </Panel>
      <Differing exchange={exchange} />
      <Panel title={t("exchange.request")}>
        {exchange.contents ? <Kept said={exchange.contents.request} /> : <p class="quiet">{t("exchange.not_kept")}</p>}
      </Panel>
      <Answers exchange={exchange} />
    </>
  );
}

const shown = (value: unknown) =>
  visible(value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value));

function Differing({ exchange }: { exchange: Exchange }): JSX.Element | null {
  const { differences = [], service, endpoint = "" } = exchange;
  if (differences.length === 0) return null;
  return (
    <Panel title={t("exchange.differences")} flush>
      <Table
        label={t("exchange.differences")}
        rows={differences}
        keyOf={row => row.field}
        columns={[
          { head: t("column.field"), isHead: true, cell: row => <code>{visible(row.field)}</code> },
          { head: t("side.origin"), cell: row => <code class="change-from">{shown(row.origin)}</code> },
          { head: t("side.target"), cell: row => <code class="change-to">{shown(row.target)}</code> },
          { head: "", cell: row => <IgnoreButton service={service} endpoint={endpoint} field={row.field} /> },
        ]}
      />
    </Panel>
  );
}

function Kept({ said }: { said: Said }): JSX.Element {
  const { head, body } = partsOf(said);
  return (
    <>
      <pre class="captured">{visible([head, body].filter(Boolean).join("\n\n"))}</pre>
      <Cut said={said} />
    </>
  );
}

/** What of a message was not kept. */
function Cut({ said, side }: { said: Said; side?: string }): JSX.Element | null {
  const isCut = said.body_bytes_kept < said.body_bytes;
  const notes = [isCut ? t("exchange.truncated", { size: bytes(said.body_bytes) }) : "", said.note ?? ""].filter(
    Boolean,
  );
  if (notes.length === 0) return null;
  return (
    <p class="small quiet">
      {side ? `${side}: ` : ""}
      {notes.join(" ")}
    </p>
  );
}

function Answers({ exchange }: { exchange: Exchange }): JSX.Element {
  const { contents } = exchange;
  const [asText, setAsText] = useState(false);
  const compared = useMemo(() => {
    if (!contents) return undefined;
    const left = partsOf(contents.origin);
    const right = partsOf(contents.target);
    const isJson = left.json !== undefined && right.json !== undefined;
    return {
      head: left.head || right.head ? rowsOf(left.head, right.head) : [],
      body: rowsOf(left.body, right.body),
      tree: isJson ? treeOf(left.json, right.json) : undefined,
    };
  }, [contents]);
  if (!compared || !contents) {
    return (
      <Panel title={t("exchange.answers")}>
        <Empty title={t("exchange.not_kept")}>{t("exchange.not_kept_text")}</Empty>
      </Panel>
    );
  }
  const { tree } = compared;
  const toggle = (
    <span class="line tight">
      <Button kind={asText ? "plain" : "primary"} onPress={() => setAsText(false)}>
        {t("exchange.as_tree")}
      </Button>
      <Button kind={asText ? "primary" : "plain"} onPress={() => setAsText(true)}>
        {t("exchange.as_text")}
      </Button>
    </span>
  );
  return (
    <>
      {compared.head.length > 0 ? (
        <Panel title={t("exchange.heads")} flush>
          <Sides rows={compared.head} label={t("exchange.heads")} />
        </Panel>
      ) : null}
      <Panel title={t("exchange.bodies")} flush aside={tree ? toggle : null}>
        {tree && !asText ? <Tree root={tree} /> : <Sides rows={compared.body} label={t("exchange.bodies")} />}
        <div class="body">
          <Cut said={contents.origin} side={t("side.origin")} />
          <Cut said={contents.target} side={t("side.target")} />
        </div>
      </Panel>
    </>
  );
}
