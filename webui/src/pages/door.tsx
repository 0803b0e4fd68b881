/** Before anybody is logged in: claiming the box, and logging in. */
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { Button, Notice } from "../components/basics";
import { TextField } from "../components/fields";
import { Mark } from "../components/icons";
import { language, setLanguage, t } from "../i18n";
import { claim, health, login, sentence } from "../state";

const SHORTEST_PASSWORD = 10;

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

/** Runs a form's action; what the box refused, by field and as a whole. */
function useForm(action: () => Promise<void>) {
  const [fault, setFault] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setFault(undefined);
    await action().catch(setFault);
    setBusy(false);
  };
  const faults = fault instanceof ApiError ? fault.faults : [];
  const of = (field: string) => faults.find(entry => entry.field === field)?.message;
  const whole = fault !== undefined && !faults.some(entry => entry.field) ? sentence(fault) : undefined;
  const retryAfter = fault instanceof ApiError ? fault.retryAfter : 0;
  return { submit, busy, of, whole, retryAfter };
}

export function Login(): JSX.Element {
  const [username, setUsername] = useState("admin");
  const [password, setPassword] = useState("");
  const { submit, busy, of, whole, retryAfter } = useForm(() => login(username, password));
  return (
    <Door title={t("login.title")}>
      <form class="stack loose" onSubmit={submit}>
        {whole ? (
          <Notice tone="bad" role="alert">
            {whole} {retryAfter > 0 ? t("login.wait", { seconds: retryAfter }) : ""}
          </Notice>
        ) : null}
        <TextField
          label={t("login.username")}
          value={username}
          onChange={setUsername}
          autocomplete="username"
          fault={of("username")}
          required
        />
        <TextField
          label={t("login.password")}
          type="password"
          value={password}
          onChange={setPassword}
          autocomplete="current-password"
          fault={of("password")}
          required
        />
        <Button kind="primary" submit disabled={busy}>
          {t("login.action")}
        </Button>
      </form>
    </Door>
  );
}

export function Claim(): JSX.Element {
  const [token, setToken] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const { submit, busy, of, whole } = useForm(() => claim(token.trim(), password));
  const differs = again !== "" && again !== password;
  return (
    <Door title={t("claim.title")}>
      <p class="second">{t("claim.text")}</p>
      <form class="stack loose" onSubmit={submit}>
        {whole ? (
          <Notice tone="bad" role="alert">
            {whole}
          </Notice>
        ) : null}
        <TextField
          label={t("claim.token")}
          hint={t("claim.token_hint")}
          value={token}
          onChange={setToken}
          fault={of("claim_token")}
          mono
          required
        />
        <TextField
          label={t("claim.password")}
          hint={t("claim.password_hint", { count: SHORTEST_PASSWORD })}
          type="password"
          value={password}
          onChange={setPassword}
          autocomplete="new-password"
          fault={of("password")}
          minLength={SHORTEST_PASSWORD}
          required
        />
        <TextField
          label={t("claim.again")}
          type="password"
          value={again}
          onChange={setAgain}
          autocomplete="new-password"
          fault={differs ? t("claim.differs") : undefined}
          required
        />
        <Button kind="primary" submit disabled={busy || again !== password}>
          {t("claim.action")}
        </Button>
      </form>
    </Door>
  );
}
