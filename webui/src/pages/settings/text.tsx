/** The whole document as one TOML file: to read, to write, to take away and to bring. */
import type { JSX } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { ApiError, getText, send } from "../../api/client";
import type { Fault, Pending } from "../../api/types";
import { Button, Notice, Panel } from "../../components/basics";
import { t } from "../../i18n";
import { attempt, sentence } from "../../state";

const TOML = "application/toml";

export function Text({ locked, onStaged }: { locked: boolean; onStaged: () => void }): JSX.Element {
  const [text, setText] = useState<string>();
  const [faults, setFaults] = useState<Fault[]>([]);
  const id = useId();
  useEffect(() => {
    void attempt(async () => setText(await getText("/api/v1/settings/export")));
  }, []);
  const stage = async () => {
    try {
      await send<Pending>("POST", "/api/v1/settings/import", text ?? "", { type: TOML });
      setFaults([]);
      onStaged();
    } catch (fault) {
      setFaults(fault instanceof ApiError ? fault.faults : [{ code: "unknown", message: sentence(fault) }]);
    }
  };
  const bring = async (event: Event) => {
    const file = (event.currentTarget as HTMLInputElement).files?.[0];
    if (file) setText(await file.text());
  };
  return (
    <Panel
      title={t("settings.text")}
      aside={
        <a class="button" href="/api/v1/settings/export" download="tapcopy-settings.toml">
          {t("settings.export")}
        </a>
      }
    >
      <div class="stack">
        <p class="small second">{t("settings.text_hint")}</p>
        <FaultList faults={faults} />
        <label class="hidden" for={id}>
          {t("settings.text")}
        </label>
        <textarea
          id={id}
          class="input"
          rows={24}
          spellcheck={false}
          value={text ?? ""}
          readOnly={locked}
          onInput={event => setText(event.currentTarget.value)}
        />
        {locked ? null : (
          <div class="line">
            <Button kind="primary" onPress={stage} disabled={!text}>
              {t("settings.stage")}
            </Button>
            <label class="button file">
              {t("settings.import")}
              <input type="file" class="hidden" accept=".toml,text/plain" onChange={bring} />
            </label>
          </div>
        )}
      </div>
    </Panel>
  );
}

export function FaultList({ faults }: { faults: Fault[] }): JSX.Element | null {
  if (faults.length === 0) return null;
  return (
    <Notice tone="bad" role="alert">
      <strong>{t("settings.faults", { count: faults.length })}</strong>
      <ul>
        {faults.map(fault => (
          <li key={`${fault.field} ${fault.message}`}>
            {fault.field ? <code>{fault.field}: </code> : null}
            {fault.message}
          </li>
        ))}
      </ul>
    </Notice>
  );
}
