/** The form of one service: where it is, what of it is replayed, and how its answers are compared. */
import type { JSX } from "preact";
import { Button, Panel } from "../../components/basics";
import { t } from "../../i18n";
import { at } from "../../lib/document";
import { draft, edit } from "./draft";
import { BoundList, BoundNumber, BoundPairs, BoundSelect, BoundText } from "./fields";

const PROTOCOLS = ["auto", "http", "http2", "redis", "memcached", "mysql", "postgresql", "raw"];

export function Service({ path, locked }: { path: string; locked: boolean }): JSX.Element {
  const name = at(draft.value, `${path}.name`);
  const title = t("settings.service", { name: typeof name === "string" && name ? name : t("settings.unnamed") });
  const remove = (
    <Button kind="plain" icon="remove" onPress={() => edit(path, undefined)}>
      {t("remove")}
    </Button>
  );
  return (
    <Panel title={title} aside={locked ? null : remove}>
      <div class="fields">
        <BoundText path={`${path}.name`} label={t("settings.name")} />
        <BoundSelect
          path={`${path}.protocol`}
          label={t("settings.protocol")}
          options={PROTOCOLS.map(name => [name, name])}
        />
        <BoundList path={`${path}.origins`} label={t("settings.origins")} hint={t("settings.origins_hint")} />
        <BoundList path={`${path}.targets`} label={t("settings.targets")} hint={t("settings.targets_hint")} />
        <BoundSelect
          path={`${path}.pacing`}
          label={t("settings.pacing")}
          options={[
            ["turns", t("settings.pacing.turns")],
            ["immediate", t("settings.pacing.immediate")],
          ]}
        />
        <BoundNumber path={`${path}.sample_percent`} label={t("settings.sample")} hint={t("settings.sample_hint")} />
        <BoundNumber path={`${path}.copies`} label={t("settings.copies")} hint={t("settings.copies_hint")} />
        <BoundSelect
          path={`${path}.mirror_to`}
          label={t("settings.mirror_to")}
          options={[
            ["one", t("settings.mirror_to.one")],
            ["all", t("settings.mirror_to.all")],
          ]}
        />
      </div>
      <Selection path={path} locked={locked} />
      <Rules path={`${path}.rule`} locked={locked} />
    </Panel>
  );
}

/** Which sessions and requests are replayed, and in which words. */
function Selection({ path, locked }: { path: string; locked: boolean }): JSX.Element {
  const isUsed = ["max_sessions_per_second", "rewrite", "filter"].some(
    key => at(draft.value, `${path}.${key}`) !== undefined,
  );
  return (
    <details class="more" open={isUsed}>
      <summary>{t("settings.selection")}</summary>
      <div class="stack loose">
        <div class="fields">
          <BoundNumber
            path={`${path}.max_sessions_per_second`}
            label={t("settings.cap")}
            hint={t("settings.cap_hint")}
          />
          <BoundText path={`${path}.rewrite.host`} label={t("settings.rewrite.host")} mono />
          <BoundText path={`${path}.rewrite.path_prefix.from`} label={t("settings.rewrite.from")} mono />
          <BoundText path={`${path}.rewrite.path_prefix.to`} label={t("settings.rewrite.to")} mono />
          <BoundPairs path={`${path}.rewrite.set_headers`} label={t("settings.rewrite.set")} />
          <BoundList path={`${path}.rewrite.remove_headers`} label={t("settings.rewrite.remove")} />
        </div>
        <Filters path={`${path}.filter`} locked={locked} />
      </div>
    </details>
  );
}

interface EntriesProps {
  path: string;
  locked: boolean;
  title: string;
  hint: string;
  add: string;
  remove: string;
  /** What a new entry begins with. */
  fresh: Record<string, string>;
  children: (path: string) => JSX.Element;
}

/** A list of small forms. */
function Entries({ path, locked, title, hint, add, remove, fresh, children }: EntriesProps): JSX.Element {
  const found = at(draft.value, path);
  const count = Array.isArray(found) ? found.length : 0;
  return (
    <div class="stack">
      <h3>{title}</h3>
      <p class="small quiet">{hint}</p>
      {Array.from({ length: count }, (_, index) => (
        <div class="fields entry" key={index}>
          {children(`${path}[${index}]`)}
          {locked ? null : (
            <Button kind="plain" icon="remove" onPress={() => edit(`${path}[${index}]`, undefined)}>
              {remove}
            </Button>
          )}
        </div>
      ))}
      {locked ? null : (
        <span>
          <Button icon="plus" onPress={() => edit(`${path}[${count}]`, fresh)}>
            {add}
          </Button>
        </span>
      )}
    </div>
  );
}

/** Requests that are left out, or let through: the first that fits decides. */
function Filters({ path, locked }: { path: string; locked: boolean }): JSX.Element {
  return (
    <Entries
      path={path}
      locked={locked}
      title={t("settings.filters")}
      hint={t("settings.filters_hint")}
      add={t("settings.filter.add")}
      remove={t("settings.filter.remove")}
      fresh={{ action: "deny", path: "/" }}
    >
      {entry => (
        <>
          <BoundSelect
            path={`${entry}.action`}
            label={t("settings.filter.action")}
            options={[
              ["deny", t("settings.filter.deny")],
              ["allow", t("settings.filter.allow")],
            ]}
          />
          <BoundText
            path={`${entry}.path`}
            label={t("settings.filter.path")}
            hint={t("settings.filter.path_hint")}
            mono
          />
          <BoundText
            path={`${entry}.header`}
            label={t("settings.filter.header")}
            hint={t("settings.filter.header_hint")}
            mono
          />
          <BoundList path={`${entry}.method`} label={t("settings.filter.method")} />
        </>
      )}
    </Entries>
  );
}

/** What the comparison ignores, by path of the requests; most rules come from the differences, by one press. */
function Rules({ path, locked }: { path: string; locked: boolean }): JSX.Element {
  return (
    <details class="more" open={at(draft.value, path) !== undefined}>
      <summary>{t("settings.rules")}</summary>
      <Entries
        path={path}
        locked={locked}
        title={t("settings.rules.title")}
        hint={t("settings.rules_hint")}
        add={t("settings.rule.add")}
        remove={t("settings.rule.remove")}
        fresh={{ path: "*" }}
      >
        {entry => (
          <>
            <BoundText
              path={`${entry}.path`}
              label={t("settings.rule.path")}
              hint={t("settings.rule.path_hint")}
              mono
            />
            <BoundList
              path={`${entry}.ignore`}
              label={t("settings.rule.ignore")}
              hint={t("settings.rule.ignore_hint")}
            />
            <BoundText
              path={`${entry}.ignore_pattern`}
              label={t("settings.rule.pattern")}
              hint={t("settings.rule.pattern_hint")}
              mono
            />
            <BoundNumber
              path={`${entry}.tolerance`}
              label={t("settings.rule.tolerance")}
              hint={t("settings.rule.tolerance_hint")}
            />
            <BoundList
              path={`${entry}.unordered`}
              label={t("settings.rule.unordered")}
              hint={t("settings.rule.unordered_hint")}
            />
          </>
        )}
      </Entries>
    </details>
  );
}
