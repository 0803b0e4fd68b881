/** The mirror: what the doctor says, what arrives, and what was dropped and why. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get } from "../api/client";
import { useResource } from "../api/poll";
import type { DoctorReport, Ledger, Nic } from "../api/types";
import { Await, Button, Empty, PageHead, Panel, State, Table } from "../components/basics";
import { Report } from "../components/report";
import { t, word } from "../i18n";
import { bits, bytes, number, percent, rate } from "../lib/format";
import { attempt, may } from "../state";
import { Link } from "./wizard/look";

const LOOK_SECONDS = 5;

/** What of a report is shown here beside its findings. */
interface Figures {
  traffic?: {
    frames: number;
    sizes?: { up_to_bytes: number; frames: number }[];
    wrappings?: Record<string, number>;
    other_frames?: Record<string, number>;
    unreadable?: Record<string, number>;
  };
}

export function Mirror(): JSX.Element {
  const [report, setReport] = useState<DoctorReport>();
  const [isLooking, setLooking] = useState(false);
  const look = async () => {
    setLooking(true);
    await attempt(async () => setReport(await get<DoctorReport>(`/api/v1/doctor?seconds=${LOOK_SECONDS}`)));
    setLooking(false);
  };
  return (
    <>
      <PageHead title={t("nav.mirror")} note={isLooking ? t("wizard.looking", { seconds: LOOK_SECONDS }) : undefined}>
        {may("operator") ? (
          <Button kind="primary" icon="search" onPress={look}>
            {t(report ? "wizard.look_again" : "doctor.look")}
          </Button>
        ) : null}
      </PageHead>
      <Panel title={t("doctor.title")}>
        {report ? <Report report={report} /> : <Empty title={t("doctor.none")}>{t("doctor.none_text")}</Empty>}
      </Panel>
      <Nics />
      <div class="columns">
        <Drops />
        {report ? <Measured report={report} /> : null}
      </div>
    </>
  );
}

export function Nics(): JSX.Element {
  const nics = useResource<{ nics: Nic[] }>("/api/v1/nics", 2_000);
  return (
    <Panel title={t("wizard.nics")} flush>
      <Await of={nics}>
        {({ nics: all }) => (
          <Table
            label={t("wizard.nics")}
            rows={all}
            keyOf={nic => nic.name}
            columns={[
              { head: t("column.nic"), isHead: true, cell: nic => <span class="mono">{nic.name}</span> },
              {
                head: t("column.role"),
                cell: nic =>
                  nic.role === "none" ? (
                    <span class="quiet">–</span>
                  ) : (
                    <State tone="info">{t(`role.${nic.role}`)}</State>
                  ),
              },
              { head: t("column.link"), cell: nic => <Link nic={nic} /> },
              { head: t("column.frames"), number: true, cell: nic => `${rate(nic.frames_per_second)}/s` },
              { head: t("column.bits"), number: true, cell: nic => bits(nic.bits_per_second) },
              { head: t("column.mac"), cell: nic => <span class="mono">{nic.mac ?? "–"}</span> },
              {
                head: t("column.place"),
                cell: nic => <span class="mono">{[nic.bus, nic.driver].filter(Boolean).join(" ") || "–"}</span>,
              },
              { head: t("column.addresses"), cell: nic => <span class="mono">{nic.addresses.join(" ") || "–"}</span> },
            ]}
          />
        )}
      </Await>
    </Panel>
  );
}

function Drops(): JSX.Element {
  const ledger = useResource<Ledger>("/api/v1/ledger", 2_000);
  const sentences = useResource<Record<string, Record<string, string>>>("/api/v1/reasons");
  return (
    <Panel title={t("mirror.drops")} flush>
      <Await of={ledger}>
        {({ frames }) => (
          <Table
            label={t("mirror.drops")}
            rows={[
              { key: "kernel", name: t("mirror.dropped_kernel"), count: frames.dropped_kernel },
              { key: "nic", name: t("mirror.dropped_nic"), count: frames.dropped_nic },
              ...Object.entries(frames.ignored).map(([reason, count]) => ({
                key: reason,
                name: sentences.value?.["frames.ignored"]?.[reason] ?? word("reason", reason),
                count,
              })),
            ]}
            keyOf={row => row.key}
            columns={[
              { head: t("column.cause"), isHead: true, cell: row => row.name },
              { head: t("column.frames"), number: true, cell: row => number(row.count) },
              {
                head: t("column.share"),
                number: true,
                cell: row => (frames.received > 0 ? percent(row.count / frames.received) : "–"),
              },
            ]}
          />
        )}
      </Await>
    </Panel>
  );
}

function Measured({ report }: { report: DoctorReport }): JSX.Element {
  const { traffic } = report as unknown as Figures;
  return (
    <>
      {traffic?.sizes ? (
        <Panel title={t("mirror.sizes")}>
          <Bars rows={traffic.sizes.map(size => [sizeClass(size.up_to_bytes), size.frames])} />
        </Panel>
      ) : null}
      <Panel title={t("mirror.wrappings")}>
        <Bars
          rows={Object.entries({ ...traffic?.wrappings, ...traffic?.unreadable })}
          none={t("mirror.no_wrappings")}
        />
      </Panel>
      <Panel title={t("mirror.talkers")}>
        <Bars rows={report.talkers.map(talker => [talker.address, talker.bytes])} format={bytes} mono />
      </Panel>
    </>
  );
}

/** The last class has no end. */
function sizeClass(upTo: number): string {
  return upTo >= 2 ** 32 - 1 ? t("mirror.longer") : t("mirror.up_to", { bytes: number(upTo) });
}

interface BarsProps {
  rows: [string, number][];
  format?: (value: number) => string;
  none?: string;
  mono?: boolean;
}

/** Shares as bars with their figures. */
export function Bars({ rows, format = number, none, mono }: BarsProps): JSX.Element {
  const most = Math.max(1, ...rows.map(([, value]) => value));
  if (rows.length === 0) return <p class="quiet small">{none ?? t("nothing")}</p>;
  return (
    <ul class="bars">
      {rows.map(([name, value]) => (
        <li key={name}>
          <span class={mono ? "mono" : ""}>{name}</span>
          <span class="meter" aria-hidden="true">
            <span style={{ width: `${(value / most) * 100}%` }} />
          </span>
          <span class="number">{format(value)}</span>
        </li>
      ))}
    </ul>
  );
}
