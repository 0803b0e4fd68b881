/** One's own password. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { send } from "../../api/client";
import { Button, Facts, Panel } from "../../components/basics";
import { TextField } from "../../components/fields";
import { t } from "../../i18n";
import { moment } from "../../lib/format";
import { me, say } from "../../state";
import { useFaults } from "./users";

export function Account(): JSX.Element {
  const [old, setOld] = useState("");
  const [password, setPassword] = useState("");
  const { setFault, of, whole } = useFaults();
  const change = async (event: Event) => {
    event.preventDefault();
    try {
      await send("POST", "/api/v1/me/password", { old_password: old, new_password: password });
      setFault(undefined);
      setOld("");
      setPassword("");
      say(t("account.changed"));
    } catch (fault) {
      setFault(fault);
    }
  };
  const who = me.value;
  return (
    <div class="columns">
      <Panel title={t("system.tab.account")}>
        <Facts
          rows={[
            [t("login.username"), who?.username],
            [t("column.role"), who ? t(`role.${who.role}`) : ""],
            who?.expires_at ? [t("account.expires"), moment(who.expires_at)] : null,
          ]}
        />
      </Panel>
      <Panel title={t("account.password")}>
        <form class="stack" onSubmit={change}>
          {whole ? (
            <p class="fault-text" role="alert">
              {whole}
            </p>
          ) : null}
          <input
            type="text"
            class="hidden"
            autocomplete="username"
            value={who?.username}
            readOnly
            tabIndex={-1}
            aria-hidden="true"
          />
          <TextField
            label={t("account.old")}
            type="password"
            autocomplete="current-password"
            value={old}
            onChange={setOld}
            fault={of("old_password")}
          />
          <TextField
            label={t("account.new")}
            hint={t("claim.password_hint", { count: 10 })}
            type="password"
            autocomplete="new-password"
            value={password}
            onChange={setPassword}
            fault={of("new_password")}
          />
          <span>
            <Button kind="primary" submit disabled={!old || !password}>
              {t("account.change")}
            </Button>
          </span>
        </form>
      </Panel>
    </div>
  );
}
