/** The last versions: who, when, why, what, and back by one press. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { send } from "../../api/client";
import { useResource } from "../../api/poll";
import type { Version } from "../../api/types";
import { Await, Button, Empty, Panel, State } from "../../components/basics";
import { Confirm } from "../../components/dialog";
import { t } from "../../i18n";
import { moment } from "../../lib/format";
import { attempt, refreshSnapshot } from "../../state";
import { Changes } from "./changes";

export function Versions({ locked, onChange }: { locked: boolean; onChange: () => void }): JSX.Element {
  const versions = useResource<{ versions: Version[] }>("/api/v1/settings/versions", 5_000);
  const [chosen, setChosen] = useState<Version>();
  const revert = async (version: Version) => {
    await attempt(() => send("POST", `/api/v1/settings/versions/${version.number}/revert`), t("settings.reverted_to"));
    refreshSnapshot();
    versions.reload();
    onChange();
  };
  return (
    <Panel title={t("settings.versions")} flush>
      <Await of={versions}>
        {({ versions: all }) =>
          all.length === 0 ? (
            <Empty title={t("settings.no_versions")} />
          ) : (
            <ol class="versions">
              {all.map(version => (
                <li key={version.number}>
                  <div class="line">
                    <strong>{t("settings.version", { number: version.number })}</strong>
                    {version.current ? <State tone="ok">{t("settings.current")}</State> : null}
                    <span class="small second">
                      {moment(version.at)} · {version.who}
                      {version.why ? ` · ${version.why}` : ""}
                    </span>
                    {locked || version.current ? null : (
                      <span class="push">
                        <Button icon="undo" onPress={() => setChosen(version)}>
                          {t("settings.revert_to", { number: version.number })}
                        </Button>
                      </span>
                    )}
                  </div>
                  <Changes changes={version.difference} />
                </li>
              ))}
            </ol>
          )
        }
      </Await>
      {chosen ? (
        <Confirm
          title={t("settings.revert_to", { number: chosen.number })}
          text={t("settings.revert_text")}
          action={t("settings.apply")}
          onConfirm={() => revert(chosen)}
          onClose={() => setChosen(undefined)}
        />
      ) : null}
    </Panel>
  );
}
