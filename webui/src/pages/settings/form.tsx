/** The settings as a form. What has no field here is kept as it is, and is written on the page with the whole text. */
import type { JSX } from "preact";
import { Button, Empty, Panel } from "../../components/basics";
import { t } from "../../i18n";
import { at, type Json } from "../../lib/document";
import { draft, edit, faults } from "./draft";
import { BoundCheck, BoundList, BoundNumber, BoundSelect, BoundText, Locked } from "./fields";

export const PROTOCOLS: [string, string][] = [
  "auto",
  "http",
  "http2",
  "redis",
  "memcached",
  "mysql",
  "postgresql",
  "raw",
].map(name => [name, name]);

export function Form({ locked, nics }: { locked: boolean; nics: string[] }): JSX.Element {
  return (
    <Locked.Provider value={locked}>
      <Nics nics={nics} />
      <Addressing />
      <Services locked={locked} />
      <Records />
      <Recording locked={locked} />
    </Locked.Provider>
  );
}

function Nics({ nics }: { nics: string[] }): JSX.Element {
  return (
    <Panel title={t("settings.nics")}>
      <div class="fields">
        <BoundList
          path="nics.mirror"
          label={t("settings.nics.mirror")}
          hint={t("settings.nics.mirror_hint")}
          options={nics}
        />
        <BoundText path="nics.target" label={t("settings.nics.target")} hint={t("settings.nics.target_hint")} mono />
        <BoundNumber path="nics.target_vlan" label={t("settings.nics.vlan")} hint={t("settings.nics.vlan_hint")} />
        <BoundText path="nics.filter" label={t("settings.nics.filter")} hint={t("settings.nics.filter_hint")} mono />
        <BoundNumber path="nics.buffer_mib" label={t("settings.nics.buffer")} hint={t("settings.nics.buffer_hint")} />
      </div>
    </Panel>
  );
}

function Addressing(): JSX.Element {
  const preserves = at(draft.value, "addressing.mode") === "preserve";
  return (
    <Panel title={t("settings.addressing")}>
      <div class="fields">
        <BoundSelect
          path="addressing.mode"
          label={t("settings.mode")}
          hint={t(preserves ? "settings.mode.preserve_hint" : "settings.mode.pool_hint")}
          options={[
            ["pool", t("settings.mode.pool")],
            ["preserve", t("settings.mode.preserve")],
          ]}
        />
        <BoundList path="addressing.pool" label={t("settings.pool")} hint={t("settings.pool_hint")} />
        <BoundText path="addressing.gateway" label={t("settings.gateway")} hint={t("settings.gateway_hint")} mono />
        <BoundList path="addressing.link" label={t("settings.link")} hint={t("settings.link_hint")} />
        {preserves ? (
          <BoundList
            path="addressing.emulate_gateway"
            label={t("settings.emulate")}
            hint={t("settings.emulate_hint")}
          />
        ) : null}
      </div>
    </Panel>
  );
}

function Services({ locked }: { locked: boolean }): JSX.Element {
  const services = at(draft.value, "service");
  const count = Array.isArray(services) ? services.length : 0;
  const add = () => edit(`service[${count}]`, { name: "", origins: [""], targets: [""], protocol: "auto" });
  const whole = faults.value.find(fault => fault.field === "service")?.message;
  return (
    <>
      {Array.from({ length: count }, (_, index) => (
        <Service key={index} path={`service[${index}]`} locked={locked} />
      ))}
      {count === 0 ? (
        <Panel title={t("nav.services")}>
          <Empty title={t("services.none")}>{whole}</Empty>
        </Panel>
      ) : null}
      {locked ? null : (
        <span>
          <Button icon="plus" onPress={add}>
            {t("settings.add_service")}
          </Button>
        </span>
      )}
    </>
  );
}

function Service({ path, locked }: { path: string; locked: boolean }): JSX.Element {
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
        <BoundSelect path={`${path}.protocol`} label={t("settings.protocol")} options={PROTOCOLS} />
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
      <details class="more">
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
            <BoundList path={`${path}.rewrite.remove_headers`} label={t("settings.rewrite.remove")} />
          </div>
          <Filters path={`${path}.filter`} locked={locked} />
        </div>
      </details>
      <Rules path={path} />
    </Panel>
  );
}

/** Requests that are left out, or let through: the first that fits decides. */
function Filters({ path, locked }: { path: string; locked: boolean }): JSX.Element {
  const filters = at(draft.value, path);
  const count = Array.isArray(filters) ? filters.length : 0;
  return (
    <div class="stack">
      <h3>{t("settings.filters")}</h3>
      <p class="small quiet">{t("settings.filters_hint")}</p>
      {Array.from({ length: count }, (_, index) => (
        <div class="fields" key={`${path}[${index}]`}>
          <BoundSelect
            path={`${path}[${index}].action`}
            label={t("settings.filter.action")}
            options={[
              ["deny", t("settings.filter.deny")],
              ["allow", t("settings.filter.allow")],
            ]}
          />
          <BoundText path={`${path}[${index}].path`} label={t("settings.filter.path")} mono />
          <BoundText path={`${path}[${index}].header`} label={t("settings.filter.header")} mono />
          <BoundList path={`${path}[${index}].method`} label={t("settings.filter.method")} />
          {locked ? null : (
            <span>
              <Button kind="plain" icon="remove" onPress={() => edit(`${path}[${index}]`, undefined)}>
                {t("settings.filter.remove")}
              </Button>
            </span>
          )}
        </div>
      ))}
      {locked ? null : (
        <span>
          <Button icon="plus" onPress={() => edit(`${path}[${count}]`, { action: "deny", path: "/" })}>
            {t("settings.filter.add")}
          </Button>
        </span>
      )}
    </div>
  );
}

/** What the comparison ignores, by path of the requests; rules come from the differences, by one press. */
function Rules({ path }: { path: string }): JSX.Element | null {
  const rules = at(draft.value, `${path}.rule`);
  if (!Array.isArray(rules) || rules.length === 0) return null;
  return (
    <div class="stack rules">
      <h3>{t("settings.rules")}</h3>
      {rules.map((rule: Json, index) => (
        <div class="fields" key={index}>
          <BoundText path={`${path}.rule[${index}].path`} label={t("settings.rule.path")} mono />
          <BoundList path={`${path}.rule[${index}].ignore`} label={t("settings.rule.ignore")} />
          <span class="small quiet">{Object.keys(Object(rule)).length > 2 ? t("settings.rule.more") : ""}</span>
        </div>
      ))}
    </div>
  );
}

/** What is kept of each exchange. */
function Records(): JSX.Element {
  return (
    <Panel title={t("settings.records")}>
      <div class="stack loose">
        <BoundCheck path="records.enabled" label={t("settings.records.enabled")} />
        <div class="fields">
          <BoundNumber path="records.max_bytes" label={t("settings.records.max_bytes")} />
          <BoundNumber path="records.max_age_hours" label={t("settings.records.max_age")} />
          <BoundNumber
            path="records.sample_percent_bodies"
            label={t("settings.records.sample")}
            hint={t("settings.records.sample_hint")}
          />
          <BoundList
            path="records.mask_headers"
            label={t("settings.records.headers")}
            hint={t("settings.records.mask_hint")}
          />
          <BoundList
            path="records.mask_fields"
            label={t("settings.records.fields")}
            hint={t("settings.records.mask_hint")}
          />
        </div>
      </div>
    </Panel>
  );
}

function Recording({ locked }: { locked: boolean }): JSX.Element {
  const isOn = at(draft.value, "record") !== undefined;
  const switchIt = () => edit("record", isOn ? undefined : { directory: "/var/lib/tapcopy/record" });
  const aside = locked ? null : (
    <Button kind="plain" onPress={switchIt}>
      {t(isOn ? "settings.record.off" : "settings.record.on")}
    </Button>
  );
  return (
    <Panel title={t("settings.record")} aside={aside}>
      {isOn ? (
        <div class="fields">
          <BoundText path="record.directory" label={t("settings.record.directory")} mono />
          <BoundList
            path="record.services"
            label={t("settings.record.services")}
            hint={t("settings.record.services_hint")}
          />
          <BoundNumber path="record.file_mib" label={t("settings.record.file_mib")} />
          <BoundNumber path="record.file_seconds" label={t("settings.record.file_seconds")} />
          <BoundNumber path="record.total_mib" label={t("settings.record.total_mib")} />
          <BoundNumber path="record.total_hours" label={t("settings.record.total_hours")} />
        </div>
      ) : (
        <p class="second small">{t("settings.record.none")}</p>
      )}
    </Panel>
  );
}
