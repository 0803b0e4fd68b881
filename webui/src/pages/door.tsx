/** Before anybody is logged in: claiming the box, and logging in. */
import type { ComponentChildren, JSX } from "preact";
import { TextField } from "../components/fields";
import { Form, NewPassword, useForm } from "../components/form";
import { Mark } from "../components/icons";
import { language, setLanguage, t } from "../i18n";
import { claim, hasExpired, health, login } from "../state";

function Door({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  return (
    <main class="door">
      <div class="door-card">
        <div class="door-brand">
          <Mark />
          <span>TapCopy</span>
          <button
            type="button"
            class="button plain"
            lang={language.value === "en" ? "zh-CN" : "en"}
            onClick={() => void setLanguage(language.value === "en" ? "zh" : "en")}
          >
            {language.value === "en" ? "中文" : "English"}
          </button>
        </div>
        <h1>{title}</h1>
        {children}
      </div>
      <p class="small quiet">{health.value ? t("version", { version: health.value.version }) : ""}</p>
    </main>
  );
}

export function Login(): JSX.Element {
  const form = useForm({ username: "admin", password: "" }, ({ username, password }) => login(username, password));
  return (
    <Door title={t("login.title")}>
      {hasExpired.value ? <p class="second">{t("login.expired")}</p> : null}
      <Form of={form} action={t("login.action")}>
        <TextField label={t("login.username")} autocomplete="username" required {...form.field("username")} />
        <TextField
          label={t("login.password")}
          type="password"
          autocomplete="current-password"
          required
          {...form.field("password")}
        />
      </Form>
    </Door>
  );
}

export function Claim(): JSX.Element {
  const form = useForm({ claim_token: "", password: "", again: "" }, values =>
    claim(values.claim_token.trim(), values.password),
  );
  const { password, again } = form.values;
  return (
    <Door title={t("claim.title")}>
      <p class="second">{t("claim.text")}</p>
      <Form of={form} action={t("claim.action")} disabled={again !== password}>
        <TextField label={t("claim.token")} hint={t("claim.token_hint")} mono required {...form.field("claim_token")} />
        <NewPassword label={t("claim.password")} of={form.field("password")} />
        <TextField
          label={t("claim.again")}
          type="password"
          autocomplete="new-password"
          required
          {...form.field("again")}
          fault={again !== "" && again !== password ? t("claim.differs") : undefined}
        />
      </Form>
    </Door>
  );
}
