/** Tokens for programs; a secret is shown once. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { send } from "../../api/client";
import { useResource } from "../../api/poll";
import type { NewToken, Token } from "../../api/types";
import { Await, Button, Empty, Notice, Panel, Table } from "../../components/basics";
import { Confirm, Dialog } from "../../components/dialog";
import { SelectField, TextField } from "../../components/fields";
import { Form, useForm } from "../../components/form";
import { t } from "../../i18n";
import { moment } from "../../lib/format";
import { attempt } from "../../state";
import { roleOptions } from "./users";

export function Tokens(): JSX.Element {
  const tokens = useResource<{ tokens: Token[] }>("/api/v1/tokens");
  const [isNew, setNew] = useState(false);
  const [doomed, setDoomed] = useState<Token>();
  const remove = async (token: Token) => {
    await attempt(() => send("DELETE", `/api/v1/tokens/${encodeURIComponent(token.id)}`), t("tokens.removed"));
    tokens.reload();
  };
  const add = (
    <Button icon="plus" onPress={() => setNew(true)}>
      {t("tokens.add")}
    </Button>
  );
  return (
    <Panel title={t("system.tab.tokens")} flush aside={add}>
      <Await of={tokens}>
        {({ tokens: rows }) => (
          <Table
            label={t("system.tab.tokens")}
            rows={rows}
            keyOf={token => token.id}
            empty={<Empty title={t("tokens.none")}>{t("tokens.none_text")}</Empty>}
            columns={[
              { head: t("column.name"), isHead: true, cell: token => token.name },
              { head: t("column.role"), cell: token => t(`role.${token.role}`) },
              { head: t("column.created"), cell: token => `${moment(token.created_at)} · ${token.created_by}` },
              { head: t("tokens.used"), cell: token => moment(token.last_used_at) },
              {
                head: t("tokens.expires"),
                cell: token => (token.expires_at ? moment(token.expires_at) : t("tokens.never")),
              },
              {
                head: "",
                cell: token => (
                  <Button kind="plain" icon="remove" iconOnly onPress={() => setDoomed(token)}>
                    {t("tokens.remove", { name: token.name })}
                  </Button>
                ),
              },
            ]}
          />
        )}
      </Await>
      {isNew ? <Add onClose={() => setNew(false)} onDone={tokens.reload} /> : null}
      {doomed ? (
        <Confirm
          title={t("tokens.remove", { name: doomed.name })}
          text={t("tokens.remove_text")}
          action={t("remove")}
          danger
          onConfirm={() => remove(doomed)}
          onClose={() => setDoomed(undefined)}
        />
      ) : null}
    </Panel>
  );
}

function Add({ onClose, onDone }: { onClose: () => void; onDone: () => void }): JSX.Element {
  const [secret, setSecret] = useState("");
  const form = useForm(
    { name: "", role: "viewer", expires_in_days: "" },
    async ({ expires_in_days: days, ...rest }) => {
      const body = { ...rest, ...(days ? { expires_in_days: Number(days) } : {}) };
      setSecret((await send<NewToken>("POST", "/api/v1/tokens", body)).secret);
      onDone();
    },
  );
  if (secret) {
    return (
      <Dialog title={t("tokens.made")} onClose={onClose}>
        <Notice tone="warn">{t("tokens.once")}</Notice>
        <code class="secret">{secret}</code>
        <div class="ends">
          <Button onPress={() => void navigator.clipboard?.writeText(secret)}>{t("copy")}</Button>
          <Button kind="primary" onPress={onClose}>
            {t("close")}
          </Button>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title={t("tokens.add")} onClose={onClose}>
      <Form of={form} action={t("tokens.add")} onClose={onClose}>
        <TextField label={t("column.name")} required {...form.field("name")} />
        <SelectField label={t("column.role")} options={roleOptions()} {...form.field("role")} />
        <TextField
          label={t("tokens.days")}
          hint={t("tokens.days_hint")}
          type="number"
          min={1}
          max={3650}
          {...form.field("expires_in_days")}
        />
      </Form>
    </Dialog>
  );
}
