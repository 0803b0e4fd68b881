/** Fields bound to a path of the draft; each shows what the box says of just that path. */
import { type ComponentChildren, createContext, type JSX } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import type { Nic } from "../../api/types";
import { Button } from "../../components/basics";
import { Check, SelectField, TextField } from "../../components/fields";
import { t } from "../../i18n";
import { at, type Json } from "../../lib/document";
import { choices, meant } from "../../lib/nics";
import { draft, edit, faultAt } from "./draft";

export const Locked = createContext(false);

/** Paths that a field is shown for; faults of others are told above the form. */
export const bound = new Set<string>();

/** What the box says of a path, which from now on has a field. */
function useFault(path: string): string | undefined {
  useEffect(() => {
    bound.add(path);
    return () => void bound.delete(path);
  }, [path]);
  return faultAt(path);
}

interface Props {
  path: string;
  label: string;
  hint?: string | undefined;
}

export function BoundText({ path, label, hint, mono }: Props & { mono?: boolean }): JSX.Element {
  const value = at(draft.value, path);
  return (
    <TextField
      name={path}
      label={label}
      hint={hint}
      mono={mono ?? false}
      disabled={useContext(Locked)}
      value={value === undefined || value === null ? "" : String(value)}
      onChange={text => edit(path, text === "" ? undefined : text)}
      fault={useFault(path)}
    />
  );
}

export function BoundNumber({ path, label, hint }: Props): JSX.Element {
  const value = at(draft.value, path);
  return (
    <TextField
      name={path}
      label={label}
      hint={hint}
      type="number"
      step="any"
      disabled={useContext(Locked)}
      value={typeof value === "number" ? String(value) : ""}
      onChange={text => edit(path, text === "" || Number.isNaN(Number(text)) ? undefined : Number(text))}
      fault={useFault(path)}
    />
  );
}

export function BoundSelect({ path, label, hint, options }: Props & { options: [string, string][] }): JSX.Element {
  const value = at(draft.value, path);
  return (
    <SelectField
      name={path}
      label={label}
      hint={hint}
      options={options}
      disabled={useContext(Locked)}
      value={typeof value === "string" ? value : (options[0]?.[0] ?? "")}
      onChange={chosen => edit(path, chosen)}
      fault={useFault(path)}
    />
  );
}

/** One interface, which may be named in several ways; what is meant stands below. */
export function BoundNic({ path, label, hint, nics }: Props & { nics: Nic[] }): JSX.Element {
  const value = at(draft.value, path);
  const text = typeof value === "string" ? value : "";
  return (
    <TextField
      name={path}
      label={label}
      hint={meant(nics, text) ?? hint}
      mono
      list={choices(nics)}
      disabled={useContext(Locked)}
      value={text}
      onChange={chosen => edit(path, chosen === "" ? undefined : chosen)}
      fault={useFault(path)}
    />
  );
}

interface RowsProps extends Props {
  /** What is in each row, and what takes the row away. */
  rows: { entry: ComponentChildren; onRemove: () => void }[];
  onAdd: () => void;
}

/** Rows that are added and taken away. */
function Rows({ path, label, hint, rows, onAdd }: RowsProps): JSX.Element {
  const locked = useContext(Locked);
  const whole = useFault(path);
  return (
    <fieldset class="field list" name={path}>
      <legend>{label}</legend>
      {rows.map(({ entry, onRemove }, index) => (
        <div class="list-entry" key={index}>
          {entry}
          {locked ? null : (
            <Button kind="plain" icon="remove" iconOnly onPress={onRemove}>
              {t("list.remove", { name: `${label} ${index + 1}` })}
            </Button>
          )}
        </div>
      ))}
      {whole ? <span class="fault">{whole}</span> : null}
      {hint ? <span class="hint">{hint}</span> : null}
      {locked ? null : (
        <span>
          <Button kind="plain" icon="plus" name={t("list.add", { name: label })} onPress={onAdd}>
            {t("add")}
          </Button>
        </span>
      )}
    </fieldset>
  );
}

/** A list of texts, one field for each, so that a fault stands at its own entry. */
export function BoundList({ path, label, hint, nics }: Props & { nics?: Nic[] }): JSX.Element {
  const found = at(draft.value, path);
  const values = Array.isArray(found) ? found.map(String) : [];
  const rows = values.map((value, index) => ({
    entry: <Entry path={`${path}[${index}]`} label={`${label} ${index + 1}`} value={value} nics={nics} />,
    onRemove: () => edit(`${path}[${index}]`, undefined),
  }));
  return <Rows path={path} label={label} hint={hint} rows={rows} onAdd={() => edit(`${path}[${values.length}]`, "")} />;
}

interface EntryProps {
  path: string;
  label: string;
  value: string;
  nics: Nic[] | undefined;
}

function Entry({ path, label, value, nics }: EntryProps): JSX.Element {
  return (
    <TextField
      name={path}
      label={label}
      hiddenLabel
      mono
      value={value}
      disabled={useContext(Locked)}
      {...(nics ? { list: choices(nics), hint: meant(nics, value) } : {})}
      onChange={text => edit(path, text)}
      fault={useFault(path)}
    />
  );
}

type Pairs = [name: string, value: string][];

function pairsOf(found: Json | undefined): Pairs {
  const isObject = found !== null && typeof found === "object" && !Array.isArray(found);
  return isObject ? Object.entries(found).map(([name, value]) => [name, String(value)]) : [];
}

/** A table of names and values. Its rows are kept here, since two names may be the same while they are written. */
export function BoundPairs({ path, label, hint }: Props): JSX.Element {
  const locked = useContext(Locked);
  const written = pairsOf(at(draft.value, path));
  const [edited, setRows] = useState(written);
  const isSame = (one: Pairs) => JSON.stringify(pairsOf(Object.fromEntries(one))) === JSON.stringify(written);
  // Whoever else changes the draft, as by discarding it, is followed.
  const shown = isSame(edited.filter(([name]) => name)) ? edited : written;
  const put = (next: Pairs) => {
    setRows(next);
    const named = next.filter(([name]) => name);
    edit(path, named.length > 0 ? Object.fromEntries(named) : undefined);
  };
  const rowOf = ([name, value]: [string, string], index: number) => {
    const row = `${label} ${index + 1}`;
    const becomes = (pair: [string, string]) => put(shown.map((old, place) => (place === index ? pair : old)));
    const entry = (
      <>
        <TextField
          label={t("pairs.name", { name: row })}
          placeholder={t("pairs.name_short")}
          hiddenLabel
          mono
          value={name}
          disabled={locked}
          onChange={text => becomes([text, value])}
        />
        <TextField
          label={t("pairs.value", { name: row })}
          placeholder={t("pairs.value_short")}
          hiddenLabel
          mono
          value={value}
          disabled={locked}
          onChange={text => becomes([name, text])}
        />
      </>
    );
    return { entry, onRemove: () => put(shown.filter((_, place) => place !== index)) };
  };
  const add = () => setRows([...shown, ["", ""]]);
  return <Rows path={path} label={label} hint={hint} rows={shown.map(rowOf)} onAdd={add} />;
}

export function BoundCheck({ path, label }: Props): JSX.Element {
  return (
    <Check
      name={path}
      label={label}
      checked={at(draft.value, path) === true}
      disabled={useContext(Locked)}
      onChange={checked => edit(path, checked)}
    />
  );
}
