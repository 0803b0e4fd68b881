/** Who may log in, and what he may do. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { send } from "../../api/client";
import { useResource } from "../../api/poll";
import type { Role, User } from "../../api/types";
import { Await, Button, Panel, Table } from "../../components/basics";
import { Confirm, Dialog } from "../../components/dialog";
import { SelectField, TextField } from "../../components/fields";
import { Form, NewPassword, useForm } from "../../components/form";
import { t } from "../../i18n";
import { moment } from "../../lib/format";
import { attempt, me, say } from "../../state";

export const roleOptions = (): [Role, string][] => [
  ["viewer", t("role.viewer")],
  ["operator", t("role.operator")],
  ["admin", t("role.admin")],
];

const pathOf = (user: User) => `/api/v1/users/${encodeURIComponent(user.username)}`;

export function Users(): JSX.Element {
  const users = useResource<{ users: User[] }>("/api/v1/users");
  const [isNew, setNew] = useState(false);
  const [doomed, setDoomed] = useState<User>();
  const [reset, setReset] = useState<User>();
  const change = async (user: User, role: string) => {
    await attempt(() => send("PATCH", pathOf(user), { role }), t("users.changed"));
    users.reload();
  };
  const remove = async (user: User) => {
    await attempt(() => send("DELETE", pathOf(user)), t("users.removed"));
    users.reload();
  };
  const add = (
    <Button icon="plus" onPress={() => setNew(true)}>
      {t("users.add")}
    </Button>
  );
  return (
    <Panel title={t("system.tab.users")} flush aside={add}>
      <Await of={users}>
        {({ users: rows }) => (
          <Table
            label={t("system.tab.users")}
            rows={rows}
            keyOf={user => user.username}
            columns={[
              { head: t("login.username"), isHead: true, cell: user => user.username },
              {
                head: t("column.role"),
                cell: user => (
                  <SelectField
                    label={t("users.role_of", { name: user.username })}
                    hiddenLabel
                    value={user.role}
                    options={roleOptions()}
                    onChange={role => void change(user, role)}
                    disabled={user.username === me.value?.username}
                  />
                ),
              },
              { head: t("users.last_login"), cell: user => moment(user.last_login_at) },
              { head: t("column.created"), cell: user => moment(user.created_at) },
              {
                head: "",
                cell: user => (
                  <span class="line tight">
                    <Button onPress={() => setReset(user)}>{t("users.reset")}</Button>
                    {user.username === me.value?.username ? null : (
                      <Button kind="plain" icon="remove" iconOnly onPress={() => setDoomed(user)}>
                        {t("users.remove", { name: user.username })}
                      </Button>
                    )}
                  </span>
                ),
              },
            ]}
          />
        )}
      </Await>
      {isNew ? <NewUser onClose={() => setNew(false)} onDone={users.reload} /> : null}
      {reset ? <ResetPassword user={reset} onClose={() => setReset(undefined)} /> : null}
      {doomed ? (
        <Confirm
          title={t("users.remove", { name: doomed.username })}
          text={t("users.remove_text")}
          action={t("remove")}
          danger
          onConfirm={() => remove(doomed)}
          onClose={() => setDoomed(undefined)}
        />
      ) : null}
    </Panel>
  );
}

interface DialogProps {
  onClose: () => void;
  onDone: () => void;
}

function NewUser({ onClose, onDone }: DialogProps): JSX.Element {
  const form = useForm({ username: "", password: "", role: "viewer" }, async values => {
    await send("POST", "/api/v1/users", values);
    onDone();
    onClose();
  });
  return (
    <Dialog title={t("users.add")} onClose={onClose}>
      <Form of={form} action={t("users.add")} onClose={onClose}>
        <TextField label={t("login.username")} required {...form.field("username")} />
        <NewPassword label={t("login.password")} of={form.field("password")} />
        <SelectField
          label={t("column.role")}
          hint={t("users.role_hint")}
          options={roleOptions()}
          {...form.field("role")}
        />
      </Form>
    </Dialog>
  );
}

function ResetPassword({ user, onClose }: { user: User; onClose: () => void }): JSX.Element {
  const form = useForm({ password: "" }, async values => {
    await send("PATCH", pathOf(user), values);
    say(t("users.changed"));
    onClose();
  });
  return (
    <Dialog title={t("users.reset_of", { name: user.username })} onClose={onClose}>
      <Form of={form} action={t("save")} onClose={onClose}>
        <NewPassword label={t("account.new")} of={form.field("password")} />
      </Form>
    </Dialog>
  );
}
