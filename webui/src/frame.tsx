/** What is around every page: the rail, the bar with the kill switch, and what the whole box has to say. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { reachable, send } from "./api/client";
import type { Snapshot } from "./api/types";
import { Button, Notice, State, type Tone } from "./components/basics";
import { Icon, type IconName, Mark } from "./components/icons";
import { type Key, language, setLanguage, t } from "./i18n";
import { duration } from "./lib/format";
import { href, route } from "./lib/router";
import { setTheme, type Theme, theme } from "./lib/theme";
import { attempt, dismiss, health, logout, may, me, refreshSnapshot, snapshot, toasts } from "./state";

const GROUPS: { page: IconName & string; key: Key }[][] = [
  [
    { page: "overview", key: "nav.overview" },
    { page: "services", key: "nav.services" },
    { page: "sessions", key: "nav.sessions" },
    { page: "differences", key: "nav.differences" },
    { page: "latency", key: "nav.latency" },
  ],
  [
    { page: "mirror", key: "nav.mirror" },
    { page: "captures", key: "nav.captures" },
  ],
  [
    { page: "settings", key: "nav.settings" },
    { page: "system", key: "nav.system" },
  ],
];

const NEXT_THEME: Record<Theme, Theme> = { system: "dark", dark: "light", light: "system" };

export function Frame({ children }: { children: ComponentChildren }): JSX.Element {
  const [open, setOpen] = useState(false);
  const { page, id } = route.value;
  // A new page closes the drawer and takes the focus.
  useEffect(() => {
    setOpen(false);
    document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [page, id]);
  useEffect(() => {
    if (!open) return;
    const close = (event: KeyboardEvent) => event.key === "Escape" && setOpen(false);
    addEventListener("keydown", close);
    return () => removeEventListener("keydown", close);
  }, [open]);
  const name = snapshot.value?.name;
  const key = GROUPS.flat().find(entry => entry.page === page)?.key;
  useEffect(() => {
    document.title = [key ? t(key) : "", name, "TapCopy"].filter(Boolean).join(" · ");
  });
  return (
    <div class="frame" data-drawer={open ? "open" : "closed"}>
      <button type="button" class="skip button" onClick={skipToMain}>
        {t("skip")}
      </button>
      <Rail page={page} />
      <button type="button" class="scrim" aria-label={t("menu.close")} onClick={() => setOpen(false)} />
      <div class="stage-area">
        <Bar open={open} onMenu={() => setOpen(!open)} />
        <BarNotices />
        <main id="main">{children}</main>
      </div>
      <Toasts />
    </div>
  );
}

function skipToMain(): void {
  document.querySelector<HTMLElement>("main h1")?.focus();
}

function Rail({ page }: { page: string }): JSX.Element {
  return (
    <nav class="rail" aria-label={t("nav.label")}>
      <a class="brand" href={href("overview")}>
        <Mark />
        TapCopy
      </a>
      <div class="links">
        {GROUPS.map(group => (
          <ul key={group[0]?.page}>
            {group.map(entry => (
              <li key={entry.page}>
                <a href={href(entry.page)} {...(page === entry.page ? { "aria-current": "page" as const } : {})}>
                  <Icon name={entry.page} />
                  {t(entry.key)}
                  {entry.page === "differences" ? <FindingsCount /> : null}
                </a>
              </li>
            ))}
          </ul>
        ))}
      </div>
      <footer>
        <div class="switches">
          <button type="button" onClick={() => setTheme(NEXT_THEME[theme.value])}>
            {t(`theme.${theme.value}`)}
          </button>
          <button
            type="button"
            lang={language.value === "en" ? "zh-CN" : "en"}
            onClick={() => void setLanguage(language.value === "en" ? "zh" : "en")}
          >
            {language.value === "en" ? "中文" : "English"}
          </button>
        </div>
        <span class="line">
          {health.value ? t("version", { version: health.value.version }) : ""}
          <button type="button" class="rail-logout" onClick={() => void logout()}>
            {t("logout")}
          </button>
        </span>
      </footer>
    </nav>
  );
}

function FindingsCount(): JSX.Element | null {
  const count = snapshot.value?.totals.findings ?? 0;
  return count > 0 ? <span class="count">{count}</span> : null;
}

/** The box's own state in one word. */
export function stateOf(shown: Snapshot): [Tone, Key] {
  if (shown.state === "failed") return ["bad", "state.failed"];
  if (shown.state === "idle") return ["idle", "state.idle"];
  if (shown.loop_alarm) return ["bad", "state.loop"];
  if (!shown.replaying || shown.state === "stopped") return ["warn", "state.stopped"];
  const stages = Object.values(shown.stages);
  if (stages.some(stage => stage.state === "fault")) return ["bad", "state.fault"];
  const warnings = stages.filter(stage => stage.state === "warning");
  if (warnings.some(stage => stage !== shown.stages.comparison)) return ["warn", "state.warning"];
  if (warnings.length > 0) return ["warn", "state.differs"];
  return ["ok", "state.running"];
}

function Bar({ open, onMenu }: { open: boolean; onMenu: () => void }): JSX.Element {
  const shown = snapshot.value;
  const [tone, key] = shown ? stateOf(shown) : (["idle", "loading"] as const);
  return (
    <header class="bar">
      <span class="menu-button">
        <Button icon="menu" iconOnly expanded={open} onPress={onMenu}>
          {t("menu.open")}
        </Button>
      </span>
      <div class="grow line tight">
        <span class="box-name">{shown?.name ?? ""}</span>
        <span role="status">
          {reachable.value ? <State tone={tone}>{t(key)}</State> : <State tone="bad">{t("link.short")}</State>}
        </span>
      </div>
      <KillSwitch />
      <span class="user line tight">
        <a class="button plain" href={href("system", "account")} title={me.value?.role}>
          <Icon name="user" />
          <span class="user-name">{me.value?.username}</span>
        </a>
        <span class="bar-logout">
          <Button kind="plain" icon="leave" iconOnly onPress={logout}>
            {t("logout")}
          </Button>
        </span>
      </span>
    </header>
  );
}

/** Stopping takes one press and no question. */
function KillSwitch(): JSX.Element | null {
  const shown = snapshot.value;
  if (!shown || shown.state === "idle" || !may("operator")) return null;
  const isOn = shown.replaying;
  const press = async () => {
    const done = t(isOn ? "replay.stopped" : "replay.started");
    await attempt(() => send("POST", `/api/v1/replay/${isOn ? "stop" : "start"}`), done);
    refreshSnapshot();
  };
  return (
    <span class="kill-switch">
      <Button kind={isOn ? "danger" : "primary"} icon={isOn ? "stop" : "play"} onPress={press}>
        {t(isOn ? "replay.stop" : "replay.start")}
      </Button>
    </span>
  );
}

function BarNotices(): JSX.Element {
  const shown = snapshot.value;
  return (
    <div class="bar-notices">
      {reachable.value ? null : (
        <Notice tone="bad" role="alert">
          <strong>{t("link.lost")}</strong> {t("link.retry")}
        </Notice>
      )}
      {shown?.state === "failed" ? (
        <Notice tone="bad" role="alert">
          <strong>{t("state.failed")}.</strong> {shown.message}
        </Notice>
      ) : null}
      {shown?.loop_alarm ? (
        <Notice tone="bad" role="alert">
          {t("loop.text")}
        </Notice>
      ) : null}
      <PendingNotice />
    </div>
  );
}

/** Applied settings are taken back by themselves; whoever applied them must see that wherever he is. */
function PendingNotice(): JSX.Element | null {
  const shown = snapshot.value;
  // The wizard says so itself.
  if (shown?.pending_state !== "applied" || route.value.page === "wizard") return null;
  const left = shown.confirm_seconds_left ?? 0;
  const settle = (verb: "confirm" | "revert") => async () => {
    await attempt(() => send("POST", `/api/v1/settings/${verb}`), t(`settings.${verb}ed`));
    refreshSnapshot();
  };
  return (
    <Notice
      tone="warn"
      role="status"
      actions={
        may("operator") ? (
          <span class="line">
            <Button kind="primary" icon="check" onPress={settle("confirm")}>
              {t("settings.confirm")}
            </Button>
            <Button icon="undo" onPress={settle("revert")}>
              {t("settings.take_back")}
            </Button>
          </span>
        ) : null
      }
    >
      <strong>{t("settings.unconfirmed")}</strong> {t("settings.countdown", { left: duration(left) })}
    </Notice>
  );
}

function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(toast => (
        <Notice
          key={toast.id}
          tone={toast.tone}
          actions={
            <Button kind="plain" icon="close" iconOnly onPress={() => dismiss(toast.id)}>
              {t("close")}
            </Button>
          }
        >
          {toast.text}
        </Notice>
      ))}
    </div>
  );
}
