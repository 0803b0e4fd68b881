/** Origin and target side by side. Everything here was captured from the network, and is shown as text only. */
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { t } from "../i18n";
import { middle, type Node, type Row, visible } from "../lib/diff";
import { Button } from "./basics";

const SIGNS = { same: " ", changed: "≠", origin: "−", target: "+" } as const;
/** So many rows are drawn at once; more by request. */
const ROWS = 400;

function marked(own: string | undefined, other: string | undefined, side: "origin" | "target"): ComponentChildren {
  if (own === undefined) return "";
  if (other === undefined || own === other) return visible(own);
  const { start, originEnd, targetEnd } = middle(side === "origin" ? own : other, side === "origin" ? other : own);
  const end = side === "origin" ? originEnd : targetEnd;
  return (
    <>
      {visible(own.slice(0, start))}
      <mark>{visible(own.slice(start, end))}</mark>
      {visible(own.slice(end))}
    </>
  );
}

export function Sides({ rows, label }: { rows: Row[]; label: string }): JSX.Element {
  const [limit, setLimit] = useState(ROWS);
  return (
    <>
      <div class="scroll" role="group" aria-label={label} tabIndex={0}>
        <table class="sides">
          <thead>
            <tr>
              <th scope="col" class="sign">
                <span class="hidden">{t("sides.mark")}</span>
              </th>
              <th scope="col">{t("side.origin")}</th>
              <th scope="col">{t("side.target")}</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, limit).map((row, index) => (
              <tr key={index} data-mark={row.mark}>
                <td class="sign">{SIGNS[row.mark]}</td>
                <td class="origin">{marked(row.origin, row.mark === "changed" ? row.target : undefined, "origin")}</td>
                <td class="target">{marked(row.target, row.mark === "changed" ? row.origin : undefined, "target")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > limit ? (
        <div class="body">
          <Button onPress={() => setLimit(limit + 10 * ROWS)}>{t("sides.more", { count: rows.length - limit })}</Button>
        </div>
      ) : null}
    </>
  );
}

/** JSON values as a tree: what differs is open, what agrees is folded. */
export function Tree({ root }: { root: Node }): JSX.Element {
  return (
    <ul class="tree" aria-label={t("exchange.bodies")}>
      <Branch node={root} depth={0} />
    </ul>
  );
}

const OPEN_DEPTH = 2;
const CHILDREN = 200;

function Branch({ node, depth }: { node: Node; depth: number }): JSX.Element {
  const [open, setOpen] = useState(node.differs || depth < OPEN_DEPTH);
  const [limit, setLimit] = useState(CHILDREN);
  if (node.children.length === 0) {
    return (
      <li data-mark={node.mark}>
        <span class="tree-row">
          <span class="tree-key">{visible(node.key)}</span>
          {node.mark === "same" ? <Value value={node.origin} /> : <Both node={node} />}
        </span>
      </li>
    );
  }
  const isList = Array.isArray(node.origin);
  return (
    <li data-mark={node.mark}>
      <button type="button" class="tree-row" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span class="tree-key">{visible(node.key)}</span>
        <span class="quiet">{isList ? `[${node.children.length}]` : `{${node.children.length}}`}</span>
      </button>
      {open ? (
        <ul>
          {node.children.slice(0, limit).map(child => (
            <Branch key={child.path} node={child} depth={depth + 1} />
          ))}
          {node.children.length > limit ? (
            <li>
              <Button onPress={() => setLimit(limit + CHILDREN)}>
                {t("sides.more", { count: node.children.length - limit })}
              </Button>
            </li>
          ) : null}
        </ul>
      ) : null}
    </li>
  );
}

function Both({ node }: { node: Node }): JSX.Element {
  return (
    <>
      {node.mark === "target" ? null : (
        <code class="change-from">
          <span class="hidden">{t("side.origin")}</span>
          <Value value={node.origin} />
        </code>
      )}
      {node.mark === "origin" ? null : (
        <code class="change-to">
          <span class="hidden">{t("side.target")}</span>
          <Value value={node.target} />
        </code>
      )}
    </>
  );
}

function Value({ value }: { value: unknown }): JSX.Element {
  return <span class={`value-${typeof value}`}>{visible(JSON.stringify(value) ?? "–")}</span>;
}
