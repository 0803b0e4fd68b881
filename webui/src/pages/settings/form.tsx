/** The settings as a form: every key has a field here. */
import type { JSX } from "preact";
import type { Nic } from "../../api/types";
import { Button, Empty, Notice, Panel } from "../../components/basics";
import { t } from "../../i18n";
import { at } from "../../lib/document";
import { draft, edit, faults } from "./draft";
import { BoundCheck, BoundList, BoundNic, BoundNumber, BoundSelect, BoundText, Locked } from "./fields";
import { Service } from "./service";

interface Props {
  locked: boolean;
  nics: Nic[];
  /** An ordinary host, whose addresses are not the box's to set. */
  isHost?: boolean;
}

export function Form({ locked, nics, isHost }: Props): JSX.Element {
  return (
    <Locked.Provider value={locked}>
      <Nics nics={nics} />
      <Management nics={nics} isHost={isHost ?? false} />
      <Sharing />
      <Addressing />
      <Services locked={locked} />
      <Comparison locked={locked} />
      <Records />
      <Recording locked={locked} />
      <Collector locked={locked} />
      <Time />
    </Locked.Provider>
  );
}

function Nics({ nics }: { nics: Nic[] }): JSX.Element {
  return (
    <Panel title={t("settings.nics")}>
      <div class="fields">
        <BoundList
          path="nics.mirror"
          label={t("settings.nics.mirror")}
          hint={t("settings.nics.mirror_hint")}
          nics={nics}
        />
        <BoundNic
          path="nics.target"
          label={t("settings.nics.target")}
          hint={t("settings.nics.target_hint")}
          nics={nics}
        />
        <BoundNumber path="nics.target_vlan" label={t("settings.nics.vlan")} hint={t("settings.nics.vlan_hint")} />
        <BoundText path="nics.filter" label={t("settings.nics.filter")} hint={t("settings.nics.filter_hint")} mono />
        <BoundNumber path="nics.buffer_mib" label={t("settings.nics.buffer")} hint={t("settings.nics.buffer_hint")} />
      </div>
    </Panel>
  );
}

/** Where the page is reached. */
function Management({ nics, isHost }: { nics: Nic[]; isHost: boolean }): JSX.Element {
  const mode = at(draft.value, "management.mode") ?? "dhcp";
  return (
    <Panel title={t("settings.management")}>
      {isHost ? (
        <p class="second small">{t("settings.management.host")}</p>
      ) : (
        <div class="stack loose">
          <Notice tone="info">{t("settings.management.text")}</Notice>
          <div class="fields">
            <BoundNic
              path="management.nic"
              label={t("settings.management.nic")}
              hint={t("settings.management.nic_hint")}
              nics={nics}
            />
            <BoundSelect
              path="management.mode"
              label={t("settings.management.mode")}
              options={[
                ["dhcp", t("settings.management.dhcp")],
                ["static", t("settings.management.static")],
              ]}
            />
            {mode === "dhcp" ? null : (
              <>
                <BoundText
                  path="management.address"
                  label={t("settings.management.address")}
                  hint={t("settings.management.address_hint")}
                  mono
                />
                <BoundText
                  path="management.gateway"
                  label={t("settings.management.gateway")}
                  hint={t("settings.management.gateway_hint")}
                  mono
                />
              </>
            )}
          </div>
        </div>
      )}
    </Panel>
  );
}

function Sharing(): JSX.Element {
  return (
    <Panel title={t("settings.sharing")}>
      <div class="fields">
        <BoundText path="shards" label={t("settings.shards")} hint={t("settings.shards_hint")} />
        <BoundText path="shard" label={t("settings.shard")} hint={t("settings.shard_hint")} />
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

/** Header fields that are not compared unless the settings name others; as the engine has them. */
export const VOLATILE_HEADERS = [
  "age",
  "date",
  "etag",
  "expires",
  "last-modified",
  "server",
  "via",
  "x-request-id",
  "x-runtime",
];

/** What no service's answers are compared by. */
function Comparison({ locked }: { locked: boolean }): JSX.Element {
  const isOwn = at(draft.value, "comparison") !== undefined;
  const switchIt = () => edit("comparison", isOwn ? undefined : { volatile_headers: VOLATILE_HEADERS });
  const aside = locked ? null : (
    <Button kind="plain" onPress={switchIt}>
      {t(isOwn ? "settings.comparison.usual" : "settings.comparison.own")}
    </Button>
  );
  return (
    <Panel title={t("settings.comparison")} aside={aside}>
      {isOwn ? (
        <BoundList path="comparison.volatile_headers" label={t("settings.comparison.headers")} />
      ) : (
        <p class="second small">{t("settings.comparison.none", { names: VOLATILE_HEADERS.join(", ") })}</p>
      )}
    </Panel>
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
          <BoundList
            path="records.mask_patterns"
            label={t("settings.records.patterns")}
            hint={t("settings.records.patterns_hint")}
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

/** Who collects the log. */
function Collector({ locked }: { locked: boolean }): JSX.Element {
  const isOn = at(draft.value, "syslog") !== undefined;
  const switchIt = () => edit("syslog", isOn ? undefined : { server: "", transport: "udp" });
  const aside = locked ? null : (
    <Button kind="plain" onPress={switchIt}>
      {t(isOn ? "settings.syslog.off" : "settings.syslog.on")}
    </Button>
  );
  return (
    <Panel title={t("settings.syslog")} aside={aside}>
      {isOn ? (
        <div class="fields">
          <BoundText
            path="syslog.server"
            label={t("settings.syslog.server")}
            hint={t("settings.syslog.server_hint")}
            mono
          />
          <BoundSelect
            path="syslog.transport"
            label={t("settings.syslog.transport")}
            options={[
              ["udp", "UDP"],
              ["tcp", "TCP"],
            ]}
          />
        </div>
      ) : (
        <p class="second small">{t("settings.syslog.none")}</p>
      )}
    </Panel>
  );
}

function Time(): JSX.Element {
  return (
    <Panel title={t("settings.time")}>
      <div class="fields">
        <BoundList path="time.servers" label={t("settings.time.servers")} hint={t("settings.time.hint")} />
      </div>
    </Panel>
  );
}
