/** What can be done to a box of its own: it takes another system, starts again, is switched off, becomes as a new one. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { send } from "../../api/client";
import { Button, Panel } from "../../components/basics";
import { Confirm } from "../../components/dialog";
import { t } from "../../i18n";
import { attempt } from "../../state";

const ENDS = ["reboot", "power_off", "factory_reset"] as const;
type End = (typeof ENDS)[number];

export function Machine(): JSX.Element {
  const [asks, setAsks] = useState<End | File>();
  const [isBusy, setBusy] = useState(false);
  const install = async (file: File) => {
    setBusy(true);
    const isInstalled = await attempt(() => send("POST", "/api/v1/system/update", file), t("machine.update_done"));
    setBusy(false);
    setAsks(isInstalled ? "reboot" : undefined);
  };
  const close = () => setAsks(undefined);
  return (
    <Panel title={t("machine.title")}>
      <dl class="tasks">
        <dt>{t("machine.update_text")}</dt>
        <dd>
          <label class="button file">
            {t(isBusy ? "machine.updating" : "machine.update")}
            <input
              type="file"
              class="hidden"
              accept=".update"
              disabled={isBusy}
              onChange={event => {
                setAsks(event.currentTarget.files?.[0]);
                event.currentTarget.value = "";
              }}
            />
          </label>
        </dd>
        {ENDS.flatMap(end => [
          <dt key={`${end} text`}>{t(`machine.${end}_text`)}</dt>,
          <dd key={end}>
            <Button kind="danger" onPress={() => setAsks(end)}>
              {t(`machine.${end}`)}
            </Button>
          </dd>,
        ])}
      </dl>
      {asks instanceof File ? (
        <Confirm
          key="update"
          title={t("machine.update")}
          text={t("machine.update_ask", { name: asks.name })}
          action={t("machine.update")}
          onConfirm={() => install(asks)}
          onClose={() => setAsks(now => (now === asks ? undefined : now))}
        />
      ) : asks ? (
        <Confirm
          key={asks}
          title={t(`machine.${asks}`)}
          text={t(`machine.${asks}_text`)}
          action={t(`machine.${asks}`)}
          danger
          onConfirm={() => attempt(() => send("POST", `/api/v1/system/${asks.replace("_", "-")}`), t("machine.ending"))}
          onClose={close}
        />
      ) : null}
    </Panel>
  );
}
