/** Who may log in, and what he may do. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ApiError, send } from "../../api/client";
import { useResource } from "../../api/poll";
import type { Role, User } from "../../api/types";
import { Await, Button, Panel, Table } from "../../components/basics";
import { Confirm, Dialog } from "../../components/dialog";
import { SelectField, TextField } from "../../components/fields";
import { t } from "../../i18n";
import { moment } from "../../lib/format";
import { attempt, me, sentence } from "../../state";

export const roleOptions = (): [Role, string][] => [
  ["viewer", t("role.viewer")],
  ["operator", t("role.operator")],
  ["admin", t("role.admin")],
];

export function Users(): JSX.Element {
  const users = useResource<{ users: User[] }>("/api/v1/users");
  const [isNew, setNew] = useState(false);
  const [doomed, setDoomed] = useState<User>();
  const [reset, setReset] = useState<User>();
  const path = (user: User) => `/api/v1/users/${encodeURIComponent(user.username)}`;
  const change = async (user: User, role: string) => {
    await attempt(() => send("PATCH", path(user), { role }), t("users.changed"));
    users.reload();
  };
  const remove = async (user: User) => {
    await attempt(() => send("DELETE", path(user)), t("users.removed"));
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

/** What the box refused of a form, at its field or as a whole. */
export function useFaults() {
  const [fault, setFault] = useState<unknown>();
  const faults = fault instanceof ApiError ? fault.faults : [];
  const of = (field: string) => faults.find(entry => entry.field === field)?.message;
  const whole = fault !== undefined && !faults.some(entry => entry.field) ? sentence(fault) : undefined;
  return { setFault, of, whole };
}

function NewUser({ onClose, onDone }: { onClose: () => void; onDone: () => void }): JSX.Element {
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<string>("viewer");
  const { setFault, of, whole } = useFaults();
  const add = async () => {
    try {
      await send("POST", "/api/v1/users", { username, password, role });
      onDone();
      onClose();
    } catch (fault) {
      setFault(fault);
    }
  };
  return (
    <Dialog title={t("users.add")} onClose={onClose}>
      {whole ? <p class="fault-text">{whole}</p> : null}
      <TextField label={t("login.username")} value={username} onChange={setUsername} fault={of("username")} />
      <TextField
        label={t("login.password")}
        hint={t("claim.password_hint", { count: 10 })}
        type="password"
        autocomplete="new-password"
        value={password}
        onChange={setPassword}
        fault={of("password")}
      />
      <SelectField
        label={t("column.role")}
        hint={t("users.role_hint")}
        value={role}
        options={roleOptions()}
        onChange={setRole}
        fault={of("role")}
      />
      <div class="ends">
        <Button onPress={onClose}>{t("cancel")}</Button>
        <Button kind="primary" disabled={!username || !password} onPress={add}>
          {t("users.add")}
        </Button>
      </div>
    </Dialog>
  );
}

function ResetPassword({ user, onClose }: { user: User; onClose: () => void }): JSX.Element {
  const [password, setPassword] = useState("");
  const { setFault, of, whole } = useFaults();
  const reset = async () => {
    try {
      await send("PATCH", `/api/v1/users/${encodeURIComponent(user.username)}`, { password });
      onClose();
    } catch (fault) {
      setFault(fault);
    }
  };
  return (
    <Dialog title={t("users.reset_of", { name: user.username })} onClose={onClose}>
      {whole ? <p class="fault-text">{whole}</p> : null}
      <TextField
        label={t("account.new")}
        hint={t("claim.password_hint", { count: 10 })}
        type="password"
        autocomplete="new-password"
        value={password}
        onChange={setPassword}
        fault={of("password")}
      />
      <div class="ends">
        <Button onPress={onClose}>{t("cancel")}</Button>
        <Button kind="primary" disabled={!password} onPress={reset}>
          {t("save")}
        </Button>
      </div>
    </Dialog>
  );
}
