/** Version, load, clock, NICs, certificate, and what can be done to the box as a whole. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { getText, send } from "../../api/client";
import { useResource } from "../../api/poll";
import type { Certificate, Pending, System } from "../../api/types";
import { Await, Button, Facts, Meter, Panel, State, Table } from "../../components/basics";
import { Confirm } from "../../components/dialog";
import { TextField } from "../../components/fields";
import { t } from "../../i18n";
import { bytes, duration, moment, number, percent } from "../../lib/format";
import { href } from "../../lib/router";
import { attempt, may, refreshSnapshot } from "../../state";
import { Nics } from "../mirror";
import { Clock } from "../wizard";
import { Machine } from "./machine";

export function Box(): JSX.Element {
  const system = useResource<System>("/api/v1/system", 2_000);
  return (
    <>
      <Await of={system}>
        {box => (
          <div class="columns">
            <About box={box} onChange={system.reload} />
            <Load box={box} />
          </div>
        )}
      </Await>
      <Nics />
      <div class="columns">
        <Upkeep />
        {system.value?.firmware && may("admin") ? <Machine /> : null}
        <CertificatePanel />
      </div>
    </>
  );
}

function About({ box, onChange }: { box: System; onChange: () => void }): JSX.Element {
  const [name, setName] = useState<string>();
  const rename = async () => {
    await attempt(() => send("PATCH", "/api/v1/system", { name }), t("system.named"));
    setName(undefined);
    onChange();
    refreshSnapshot();
  };
  return (
    <Panel title={t("system.tab.box")}>
      <div class="stack loose">
        <Facts
          rows={[
            [t("system.version"), `${box.version}${box.firmware ? ` · ${t("system.firmware")}` : ""}`],
            [t("system.uptime"), duration(box.uptime_seconds)],
            [t("system.time"), moment(box.now)],
            [t("system.clock"), <Clock key="clock" box={box} />],
            box.time ? [t("system.time_servers"), <TimeServers key="time" time={box.time} />] : null,
            box.syslog ? [t("system.syslog"), <Collector key="syslog" syslog={box.syslog} />] : null,
            box.slot ? [t("system.slot"), box.slot] : null,
            box.management
              ? [
                  t("settings.management"),
                  <span key="management" class="mono">
                    {[box.management.nic, box.management.address, box.management.mode].filter(Boolean).join(" · ")}
                  </span>,
                ]
              : null,
            box.kernel ? [t("system.kernel"), box.kernel] : null,
            [
              t("system.interface"),
              <a key="interface" href="/api/v1/docs">
                /api/v1/docs
              </a>,
            ],
            [t("system.rights"), box.confinement.capabilities.join(" ") || t("system.rights.none")],
            [t("system.calls"), <Kept key="calls" is={box.confinement.system_calls} />],
            [
              t("system.files"),
              <Kept key="files" is={box.confinement.files !== "not"} why={box.confinement.files_why} />,
            ],
          ]}
        />
        {may("admin") ? (
          <div class="filters">
            <TextField label={t("system.name")} value={name ?? box.name} onChange={setName} />
            <Button disabled={name === undefined || name === box.name || name === ""} onPress={rename}>
              {t("save")}
            </Button>
          </div>
        ) : null}
      </div>
    </Panel>
  );
}

/** What each time server said last, and which of them the clock follows. */
function TimeServers({ time }: { time: NonNullable<System["time"]> }): JSX.Element {
  if (time.servers.length === 0) return <span>{t("system.time.none")}</span>;
  return (
    <span class="stack">
      {time.servers.map(({ server, state, offset_ms }) => (
        <span key={server} class="line tight">
          <span class="mono">{server}</span>
          <State tone={state === "good" ? "ok" : "warn"}>
            {t(`system.time.${state}`, { ms: number(offset_ms ?? 0) })}
          </State>
          {server === time.believed ? <span class="small quiet">{t("system.time.followed")}</span> : null}
        </span>
      ))}
    </span>
  );
}

/** Where the log goes, and how much of it. */
function Collector({ syslog }: { syslog: NonNullable<System["syslog"]> }): JSX.Element {
  const { server, transport, sent, lost, fault } = syslog;
  return (
    <span class="line tight">
      <span class="mono">
        {server} {transport.toUpperCase()}
      </span>
      <State tone={fault || lost > 0 ? "warn" : "ok"}>
        {fault ? t("system.syslog.away") : t("system.syslog.sent", { sent: number(sent), lost: number(lost) })}
      </State>
      {fault ? <span class="small quiet">{fault}</span> : null}
    </span>
  );
}

/** Whether the process has given something up. */
function Kept({ is, why }: { is: boolean; why?: string | undefined }): JSX.Element {
  return (
    <span class="line tight">
      <State tone={is ? "ok" : "warn"}>{t(is ? "system.kept_in" : "system.not_kept_in")}</State>
      {is || !why ? null : <span class="small quiet">{why}</span>}
    </span>
  );
}

function Load({ box }: { box: System }): JSX.Element {
  const { memory, disk, cpu } = box;
  const used = memory.total_bytes - memory.available_bytes;
  const diskUsed = disk ? disk.total_bytes - disk.free_bytes : 0;
  const toneOf = (share: number) =>
    share > 0.95 ? ("bad" as const) : share > 0.85 ? ("warn" as const) : ("ok" as const);
  return (
    <Panel title={t("system.load")} flush>
      <div class="body">
        <ul class="bars">
          <li>
            <span>{t("system.memory")}</span>
            <Meter
              share={used / memory.total_bytes}
              label={t("system.memory")}
              tone={toneOf(used / memory.total_bytes)}
            />
            <span class="number">{t("system.of", { part: bytes(used), whole: bytes(memory.total_bytes) })}</span>
          </li>
          {disk ? (
            <li>
              <span>{t("system.disk")}</span>
              <Meter
                share={diskUsed / disk.total_bytes}
                label={t("system.disk")}
                tone={toneOf(diskUsed / disk.total_bytes)}
              />
              <span class="number">{t("system.of", { part: bytes(diskUsed), whole: bytes(disk.total_bytes) })}</span>
            </li>
          ) : null}
        </ul>
        <p class="small second">
          {t("system.process", { size: bytes(memory.process_bytes) })} ·{" "}
          {t("system.cores", { count: number(cpu.cores) })}
        </p>
      </div>
      <Table
        label={t("system.threads")}
        rows={cpu.threads}
        keyOf={thread => thread.name}
        columns={[
          { head: t("system.thread"), isHead: true, cell: thread => <span class="mono">{thread.name}</span> },
          {
            head: t("system.cpu"),
            cell: thread => (
              <Meter share={thread.percent / 100} label={thread.name} tone={toneOf(thread.percent / 100)} />
            ),
          },
          { head: "%", number: true, cell: thread => percent(thread.percent / 100) },
        ]}
      />
    </Panel>
  );
}

function Upkeep(): JSX.Element {
  const [asks, setAsks] = useState<"restart" | File>();
  const restart = () => attempt(() => send("POST", "/api/v1/system/restart"), t("system.restarting"));
  const restore = (file: File) =>
    attempt(async () => {
      await send<Pending>("POST", "/api/v1/restore", await file.text(), { type: "application/json" });
      location.hash = href("settings");
    }, t("system.restored"));
  const save = (path: string, name: string) => () =>
    attempt(async () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([await getText(path)], { type: "application/json" }));
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    });
  return (
    <Panel title={t("system.upkeep")}>
      <dl class="tasks">
        {may("admin") ? (
          <>
            <dt>{t("system.backup_text")}</dt>
            <dd>
              <Button icon="download" onPress={save("/api/v1/backup", "tapcopy-backup.json")}>
                {t("system.backup")}
              </Button>
            </dd>
            <dt>{t("system.restore_text")}</dt>
            <dd>
              <label class="button file">
                {t("system.restore")}
                <input
                  type="file"
                  class="hidden"
                  accept="application/json,.json"
                  onChange={event => setAsks(event.currentTarget.files?.[0])}
                />
              </label>
            </dd>
          </>
        ) : null}
        {may("operator") ? (
          <>
            <dt>{t("system.diagnostics_text")}</dt>
            <dd>
              <Button icon="download" onPress={save("/api/v1/diagnostics", "tapcopy-diagnostics.json")}>
                {t("system.diagnostics")}
              </Button>
            </dd>
          </>
        ) : null}
        {may("admin") ? (
          <>
            <dt>{t("system.restart_text")}</dt>
            <dd>
              <Button kind="danger" onPress={() => setAsks("restart")}>
                {t("system.restart")}
              </Button>
            </dd>
          </>
        ) : null}
      </dl>
      {asks === "restart" ? (
        <Confirm
          title={t("system.restart")}
          text={t("system.restart_text")}
          action={t("system.restart")}
          danger
          onConfirm={restart}
          onClose={() => setAsks(undefined)}
        />
      ) : null}
      {asks instanceof File ? (
        <Confirm
          title={t("system.restore")}
          text={t("system.restore_ask", { name: asks.name })}
          action={t("system.restore")}
          danger
          onConfirm={() => restore(asks)}
          onClose={() => setAsks(undefined)}
        />
      ) : null}
    </Panel>
  );
}

function CertificatePanel(): JSX.Element {
  const isPlain = location.protocol === "http:";
  const certificate = useResource<Certificate>(isPlain ? null : "/api/v1/certificate");
  const [pem, setPem] = useState("");
  const [key, setKey] = useState("");
  const replace = async () => {
    const isDone = await attempt(
      () => send("PUT", "/api/v1/certificate", { certificate_pem: pem, private_key_pem: key }),
      t("certificate.replaced"),
    );
    if (!isDone) return;
    setPem("");
    setKey("");
    certificate.reload();
  };
  const read = (take: (text: string) => void) => async (event: Event) => {
    const file = (event.currentTarget as HTMLInputElement).files?.[0];
    if (file) take(await file.text());
  };
  if (isPlain || certificate.fault?.status === 404) {
    return (
      <Panel title={t("certificate.title")}>
        <p class="second small">{t("certificate.none")}</p>
      </Panel>
    );
  }
  return (
    <Panel title={t("certificate.title")}>
      <Await of={certificate}>
        {found => (
          <div class="stack loose">
            <Facts
              rows={[
                [t("certificate.fingerprint"), <code key="f">{found.fingerprint_sha256}</code>],
                [
                  t("certificate.kind"),
                  <State key="k" tone={found.is_own ? "info" : "ok"}>
                    {t(found.is_own ? "certificate.own" : "certificate.uploaded")}
                  </State>,
                ],
              ]}
            />
            {may("admin") ? (
              <div class="line">
                <label class="button file">
                  {t(pem ? "certificate.chosen" : "certificate.pem")}
                  <input type="file" class="hidden" accept=".pem,.crt" onChange={read(setPem)} />
                </label>
                <label class="button file">
                  {t(key ? "certificate.key_chosen" : "certificate.key")}
                  <input type="file" class="hidden" accept=".pem,.key" onChange={read(setKey)} />
                </label>
                <Button kind="primary" disabled={!pem || !key} onPress={replace}>
                  {t("certificate.replace")}
                </Button>
              </div>
            ) : null}
          </div>
        )}
      </Await>
    </Panel>
  );
}
