/** The small parts that every page is made of. */
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import type { Resource } from "../api/poll";
import { t } from "../i18n";
import { Icon, type IconName } from "./icons";

export type Tone = "ok" | "warn" | "bad" | "info" | "idle";

export function State({ tone, children }: { tone: Tone; children: ComponentChildren }): JSX.Element {
  return (
    <span class="state" data-tone={tone}>
      {children}
    </span>
  );
}

interface NoticeProps {
  tone: Tone;
  children: ComponentChildren;
  actions?: ComponentChildren;
  role?: "alert" | "status";
}

export function Notice({ tone, children, actions, role }: NoticeProps): JSX.Element {
  return (
    <div class="notice" data-tone={tone} {...(role ? { role } : {})}>
      <div class="text">{children}</div>
      {actions}
    </div>
  );
}

interface PanelProps {
  title: string;
  aside?: ComponentChildren;
  /** Without room around its content, as tables want it. */
  flush?: boolean;
  children: ComponentChildren;
}

export function Panel({ title, aside, flush, children }: PanelProps): JSX.Element {
  return (
    <section class="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        {aside ? <div class="aside">{aside}</div> : null}
      </header>
      {flush ? children : <div class="body">{children}</div>}
    </section>
  );
}

export function PageHead({
  title,
  note,
  children,
}: {
  title: string;
  note?: ComponentChildren;
  children?: ComponentChildren;
}) {
  return (
    <div class="page-head">
      <h1 tabIndex={-1}>{title}</h1>
      {note ? <p class="small">{note}</p> : null}
      {children ? <div class="actions">{children}</div> : null}
    </div>
  );
}

interface ButtonProps {
  onPress?: () => unknown;
  kind?: "primary" | "danger" | "plain";
  icon?: IconName;
  /** Shows the icon only; the label is its name. */
  iconOnly?: boolean;
  disabled?: boolean;
  submit?: boolean;
  expanded?: boolean;
  /** A longer name than its text, for those who do not see where it stands. */
  name?: string;
  children: string;
}

/** A button that cannot be pressed again before what it began has ended. */
export function Button(props: ButtonProps): JSX.Element {
  const { onPress, kind = "", icon, iconOnly, disabled, submit, expanded, name, children } = props;
  const [busy, setBusy] = useState(false);
  const press = async () => {
    const result = onPress?.();
    if (!(result instanceof Promise)) return;
    setBusy(true);
    await result.finally(() => setBusy(false));
  };
  return (
    <button
      type={submit ? "submit" : "button"}
      class={`button ${kind} ${iconOnly ? "icon" : ""}`}
      disabled={disabled || busy}
      onClick={onPress ? press : undefined}
      aria-expanded={expanded}
      {...(iconOnly ? { "aria-label": children, title: children } : name ? { "aria-label": name } : {})}
    >
      {icon ? <Icon name={icon} /> : null}
      {iconOnly ? null : children}
    </button>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {children}
    </div>
  );
}

interface AwaitProps<T> {
  of: Resource<T>;
  /** One thing of many: that it is not there says nothing of the box. */
  isOne?: boolean;
  children: (value: T) => ComponentChildren;
}

/** What a resource has to show: its value, or why there is none. */
export function Await<T>({ of, isOne, children }: AwaitProps<T>): JSX.Element {
  if (of.value !== undefined) return <>{children(of.value)}</>;
  if (of.fault?.isMissing && !isOne) return <Empty title={t("missing.title")}>{t("missing.text")}</Empty>;
  if (of.fault) return <Empty title={t("failed.title")}>{of.fault.message}</Empty>;
  return <Empty title={t("loading")} />;
}

export function Facts({ rows }: { rows: ([string, ComponentChildren] | null)[] }): JSX.Element {
  return (
    <dl class="facts">
      {rows.map(row =>
        row ? (
          <>
            <dt>{row[0]}</dt>
            <dd>{row[1]}</dd>
          </>
        ) : null,
      )}
    </dl>
  );
}

export interface Column<R> {
  head: string;
  cell: (row: R) => ComponentChildren;
  /** Right-aligned figures. */
  number?: boolean;
  /** The row's name, for those who hear the table. */
  isHead?: boolean;
}

interface TableProps<R> {
  label: string;
  columns: Column<R>[];
  rows: R[];
  keyOf: (row: R) => string | number;
  isChosen?: (row: R) => boolean;
  empty?: ComponentChildren;
}

export function Table<R>({ label, columns, rows, keyOf, isChosen, empty }: TableProps<R>): JSX.Element {
  if (rows.length === 0 && empty) return <>{empty}</>;
  return (
    <div class="scroll" role="group" aria-label={label} tabIndex={0}>
      <table class="stacks">
        <thead>
          <tr>
            {columns.map(column => (
              <th key={column.head} scope="col" class={column.number ? "number" : ""}>
                {column.head || <span class="hidden">{t("table.actions")}</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(row => (
            <tr key={keyOf(row)} class={isChosen?.(row) ? "chosen" : ""}>
              {columns.map(column =>
                column.isHead ? (
                  <th key={column.head} scope="row">
                    {column.cell(row)}
                  </th>
                ) : (
                  <td key={column.head} class={column.number ? "number" : ""} data-head={column.head}>
                    {column.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Meter({ share, label, tone }: { share: number; label: string; tone?: Tone }): JSX.Element {
  const percent = Math.round(Math.min(1, Math.max(0, share)) * 100);
  return (
    <div class="meter" role="img" aria-label={`${label} ${percent} %`} data-tone={tone}>
      <span style={{ width: `${percent}%` }} />
    </div>
  );
}
