/** Recording the mirror's frames, and the files that have been recorded. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { send } from "../api/client";
import { useResource } from "../api/poll";
import type { Captures as Files } from "../api/types";
import { Await, Button, Empty, PageHead, Panel, State, Table } from "../components/basics";
import { Confirm } from "../components/dialog";
import { SelectField, TextField } from "../components/fields";
import { t } from "../i18n";
import { bytes, duration, moment } from "../lib/format";
import { attempt, may, snapshot } from "../state";

export function Captures(): JSX.Element {
  const captures = useResource<Files>("/api/v1/captures", 2_000);
  const [doomed, setDoomed] = useState<string>();
  const remove = async (name: string) => {
    await attempt(() => send("DELETE", `/api/v1/captures/${encodeURIComponent(name)}`), t("captures.removed"));
    captures.reload();
  };
  return (
    <>
      <PageHead title={t("nav.captures")} />
      <Await of={captures}>
        {files => (
          <>
            <Recorder files={files} onChange={captures.reload} />
            <Panel title={t("captures.files")} flush>
              <Table
                label={t("captures.files")}
                rows={files.captures}
                keyOf={file => file.name}
                empty={<Empty title={t("captures.none")}>{t("captures.none_text")}</Empty>}
                columns={[
                  { head: t("column.name"), isHead: true, cell: file => <span class="mono">{file.name}</span> },
                  { head: t("column.size"), number: true, cell: file => bytes(file.bytes) },
                  { head: t("column.modified"), cell: file => moment(file.modified_at) },
                  {
                    head: t("column.state"),
                    cell: file => (
                      <State tone={file.is_open ? "info" : "ok"}>
                        {t(file.is_open ? "captures.open" : "captures.closed")}
                      </State>
                    ),
                  },
                  {
                    head: "",
                    cell: file =>
                      file.is_open || !may("operator") ? (
                        ""
                      ) : (
                        <span class="line tight">
                          <a
                            class="button"
                            href={`/api/v1/captures/${encodeURIComponent(file.name)}`}
                            download={file.name}
                          >
                            {t("download")}
                          </a>
                          <Button kind="plain" icon="remove" iconOnly onPress={() => setDoomed(file.name)}>
                            {t("captures.remove", { name: file.name })}
                          </Button>
                        </span>
                      ),
                  },
                ]}
              />
            </Panel>
          </>
        )}
      </Await>
      {doomed ? (
        <Confirm
          title={t("captures.remove", { name: doomed })}
          text={t("captures.remove_text")}
          action={t("remove")}
          danger
          onConfirm={() => remove(doomed)}
          onClose={() => setDoomed(undefined)}
        />
      ) : null}
    </>
  );
}

const LENGTHS = ["30", "60", "300", "1800", "3600"];

function Recorder({ files, onChange }: { files: Files; onChange: () => void }): JSX.Element {
  const [seconds, setSeconds] = useState("60");
  const [service, setService] = useState("");
  const [mib, setMib] = useState("1024");
  const names = snapshot.value?.services.map(entry => entry.name) ?? [];
  const { recording } = files;
  const start = async () => {
    const body = { seconds: Number(seconds), max_mib: Number(mib), ...(service ? { services: [service] } : {}) };
    await attempt(() => send("POST", "/api/v1/captures/start", body), t("captures.started"));
    onChange();
  };
  const stop = async () => {
    await attempt(() => send("POST", "/api/v1/captures/stop"), t("captures.stopped"));
    onChange();
  };
  if (recording) {
    const left = recording.seconds_left ?? undefined;
    const stopper =
      recording.by_settings || !may("operator") ? null : (
        <Button kind="danger" icon="stop" onPress={stop}>
          {t("captures.stop")}
        </Button>
      );
    return (
      <Panel title={t("captures.record")} aside={<State tone="info">{t("captures.recording")}</State>}>
        <div class="line">
          <span>
            {t("captures.since", { when: moment(recording.since) })}
            {left === undefined ? "" : ` · ${t("captures.left", { left: duration(left) })}`}
            {recording.by_settings ? ` · ${t("captures.by_settings")}` : ""}
          </span>
          <span class="push">{stopper}</span>
        </div>
      </Panel>
    );
  }
  return (
    <Panel title={t("captures.record")}>
      <div class="filters">
        <SelectField
          label={t("captures.length")}
          value={seconds}
          options={LENGTHS.map(length => [length, duration(Number(length))])}
          onChange={setSeconds}
        />
        <SelectField
          label={t("column.service")}
          value={service}
          options={[["", t("filter.all")], ...names.map(name => [name, name] as [string, string])]}
          onChange={setService}
        />
        <TextField label={t("captures.max_mib")} type="number" min={1} max={102400} value={mib} onChange={setMib} />
        <Button kind="primary" disabled={!may("operator")} onPress={start}>
          {t("captures.start")}
        </Button>
      </div>
    </Panel>
  );
}
