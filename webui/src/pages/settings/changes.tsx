/** What differs between two documents, and the dialog that applies it. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Change } from "../../api/types";
import { Button } from "../../components/basics";
import { Dialog } from "../../components/dialog";
import { TextField } from "../../components/fields";
import { t } from "../../i18n";

const shown = (value: unknown) => (value === undefined ? "" : JSON.stringify(value));

export function Changes({ changes }: { changes: Change[] }): JSX.Element {
  if (changes.length === 0) return <p class="quiet small">{t("settings.no_changes")}</p>;
  return (
    <ul class="changes">
      {changes.map(change => (
        <li key={change.path}>
          <code class="change-path">{change.path}</code>
          {"from" in change ? (
            <code class="change-from">
              <span class="hidden">{t("settings.before")}</span>
              {shown(change.from)}
            </code>
          ) : null}
          {"to" in change ? (
            <code class="change-to">
              <span class="hidden">{t("settings.after")}</span>
              {shown(change.to)}
            </code>
          ) : null}
        </li>
      ))}
    </ul>
  );
}

interface Props {
  changes: Change[];
  seconds: number;
  onApply: (why: string) => Promise<boolean>;
  onClose: () => void;
}

export function ApplyDialog({ changes, seconds, onApply, onClose }: Props): JSX.Element {
  const [why, setWhy] = useState("");
  const press = async () => {
    await onApply(why);
    onClose();
  };
  return (
    <Dialog title={t("settings.review")} onClose={onClose} wide>
      <Changes changes={changes} />
      <TextField label={t("settings.why")} hint={t("settings.why_hint")} value={why} onChange={setWhy} />
      <p class="small second">{t("settings.apply_text", { seconds })}</p>
      <div class="ends">
        <Button onPress={onClose}>{t("cancel")}</Button>
        <Button kind="primary" onPress={press}>
          {t("settings.apply")}
        </Button>
      </div>
    </Dialog>
  );
}
