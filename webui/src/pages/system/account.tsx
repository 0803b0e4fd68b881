/** One's own password. */
import type { JSX } from "preact";
import { send } from "../../api/client";
import { Facts, Panel } from "../../components/basics";
import { TextField } from "../../components/fields";
import { Form, NewPassword, useForm } from "../../components/form";
import { t } from "../../i18n";
import { moment } from "../../lib/format";
import { me, say } from "../../state";

export function Account(): JSX.Element {
  const form = useForm({ old_password: "", new_password: "" }, async (values, { clear }) => {
    await send("POST", "/api/v1/me/password", values);
    clear();
    say(t("account.changed"));
  });
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
        <Form of={form} action={t("account.change")}>
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
            required
            {...form.field("old_password")}
          />
          <NewPassword label={t("account.new")} of={form.field("new_password")} />
        </Form>
      </Panel>
    </div>
  );
}
