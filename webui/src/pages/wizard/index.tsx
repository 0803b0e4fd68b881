/** From unpacking to a running mirror: one question at a time, each with what the box knows already. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { send } from "../../api/client";
import { useResource } from "../../api/poll";
import type { Fault, System } from "../../api/types";
import { Await, Button, Facts, Notice, PageHead, Panel, State } from "../../components/basics";
import { TextField } from "../../components/fields";
import { type Key, t } from "../../i18n";
import { duration, moment, number, short } from "../../lib/format";
import { href } from "../../lib/router";
import { attempt, may, refreshSnapshot, snapshot } from "../../state";
import { apply } from "../settings/draft";
import { Doctor, Nics, Services } from "./look";
import { answers, documentOf, forget, tell } from "./state";
import { Target } from "./target";

const STEPS = ["box", "nics", "mirror", "services", "target", "review"] as const;
type Step = (typeof STEPS)[number];

export function Wizard(): JSX.Element {
  const told = answers.value;
  const step = STEPS[told.step] ?? "box";
  const faults = useFaults(step);
  // Each step takes the focus.
  useEffect(() => {
    document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [step]);
  if (told.applied) return <Started />;
  return (
    <div class="wizard">
      <ol class="steps" aria-label={t("wizard.title")}>
        {STEPS.map((name, index) => (
          <li key={name} {...(name === step ? { "aria-current": "step" as const } : {})} data-done={index < told.step}>
            <span class="step-number" aria-hidden="true">
              {index + 1}
            </span>
            <span class="step-name">{t(`wizard.step.${name}`)}</span>
          </li>
        ))}
      </ol>
      <div class="stack loose">
        <PageHead title={t(`wizard.${step}.title`)} />
        <p class="second lead">{t(`wizard.${step}.text`)}</p>
        <StepBody step={step} faults={faults} />
        <Ends step={step} faults={faults} />
      </div>
    </div>
  );
}

/** What the box says of the answers so far. */
function useFaults(step: Step): Fault[] {
  const [faults, setFaults] = useState<Fault[]>([]);
  const told = answers.value;
  useEffect(() => {
    if (step !== "target" && step !== "review") return;
    const timer = setTimeout(() => {
      send<{ faults: Fault[] }>("POST", "/api/v1/settings/check", documentOf(told)).then(
        found => setFaults(found.faults),
        () => {},
      );
    }, 300);
    return () => clearTimeout(timer);
  }, [told, step]);
  return faults;
}

function StepBody({ step, faults }: { step: Step; faults: Fault[] }): JSX.Element {
  switch (step) {
    case "box":
      return <Box />;
    case "nics":
      return (
        <Panel title={t("wizard.nics")} flush>
          <Nics />
        </Panel>
      );
    case "mirror":
      return <Doctor />;
    case "services":
      return <Services />;
    case "target":
      return <Target faults={faults} />;
    default:
      return <Review faults={faults} />;
  }
}

/** Why the wizard cannot go on yet. */
function missing(step: Step, faults: Fault[]): Key | undefined {
  const { mirror, target, services, mode, pool, link } = answers.value;
  if (step === "nics" && (mirror.length === 0 || !target)) return "wizard.need.nics";
  if (step === "services" && services.length === 0) return "wizard.need.services";
  if (step === "target" && services.some(service => !service.target)) return "wizard.need.target";
  if (step === "target" && !(mode === "pool" ? pool : link)) return "wizard.need.addresses";
  return faults.length > 0 && (step === "target" || step === "review") ? "wizard.need.mend" : undefined;
}

function Ends({ step, faults }: { step: Step; faults: Fault[] }): JSX.Element {
  const index = STEPS.indexOf(step);
  const need = missing(step, faults);
  const next = async () => {
    if (step === "box" && !(await named())) return;
    tell({ step: index + 1 });
  };
  const start = async () => {
    if (await apply(documentOf(answers.value), t("wizard.why"))) tell({ applied: true });
  };
  return (
    <div class="ends">
      {index > 0 ? (
        <Button icon="back" onPress={() => tell({ step: index - 1 })}>
          {t("back")}
        </Button>
      ) : null}
      <span class="push small second" role="status">
        {need ? t(need) : ""}
      </span>
      {step === "review" ? (
        <Button kind="primary" icon="play" disabled={need !== undefined} onPress={start}>
          {t("wizard.start")}
        </Button>
      ) : (
        <Button kind="primary" disabled={need !== undefined} onPress={next}>
          {t("wizard.next")}
        </Button>
      )}
    </div>
  );
}

/** Gives the box the name that was written, if one was; whether it has it. */
async function named(): Promise<boolean> {
  const name = answers.value.name?.trim();
  if (!name || name === snapshot.value?.name) return true;
  const isDone = await attempt(() => send("PATCH", "/api/v1/system", { name }));
  refreshSnapshot();
  return isDone;
}

function Box(): JSX.Element {
  const system = useResource<System>("/api/v1/system", 5_000);
  return (
    <Await of={system}>
      {box => (
        <Panel title={t("wizard.step.box")}>
          <div class="stack loose">
            <div class="fields">
              <TextField
                label={t("system.name")}
                value={answers.value.name ?? box.name}
                onChange={name => tell({ name })}
                disabled={!may("admin")}
              />
            </div>
            <Facts
              rows={[
                [t("system.time"), moment(box.now)],
                [t("system.clock"), <Clock key="clock" box={box} />],
                [t("system.version"), box.version],
              ]}
            />
          </div>
        </Panel>
      )}
    </Await>
  );
}

export function Clock({ box }: { box: System }): JSX.Element {
  const offset =
    box.clock_offset_ms === undefined ? "" : ` · ${t("system.offset", { ms: number(box.clock_offset_ms) })}`;
  if (box.clock_synchronised === undefined) return <span>{t("system.clock_unknown")}</span>;
  return (
    <span>
      <State tone={box.clock_synchronised ? "ok" : "warn"}>
        {t(box.clock_synchronised ? "system.synchronised" : "system.not_synchronised")}
      </State>
      {offset}
    </span>
  );
}

function Review({ faults }: { faults: Fault[] }): JSX.Element {
  const told = answers.value;
  return (
    <Panel title={t("wizard.step.review")}>
      <div class="stack loose">
        {faults.length > 0 ? (
          <Notice tone="bad" role="alert">
            <ul>
              {faults.map(fault => (
                <li key={`${fault.field}${fault.message}`}>
                  <code>{fault.field}</code> {fault.message}
                </li>
              ))}
            </ul>
          </Notice>
        ) : null}
        <Facts
          rows={[
            [
              t("settings.nics.mirror"),
              <span key="m" class="mono">
                {told.mirror.join(" ")}
              </span>,
            ],
            [
              t("settings.nics.target"),
              <span key="t" class="mono">
                {told.target}
              </span>,
            ],
            [t("settings.mode"), t(`settings.mode.${told.mode}`)],
            told.pool
              ? [
                  t("settings.pool"),
                  <span key="p" class="mono">
                    {told.pool}
                  </span>,
                ]
              : null,
            told.link
              ? [
                  t("settings.link"),
                  <span key="l" class="mono">
                    {told.link}
                  </span>,
                ]
              : null,
            told.gateway
              ? [
                  t("settings.gateway"),
                  <span key="g" class="mono">
                    {told.gateway}
                  </span>,
                ]
              : null,
          ]}
        />
        <ul class="stack">
          {told.services.map(service => (
            <li key={service.name} class="route">
              <strong>{service.name}</strong>
              <span class="small second">{service.protocol}</span>
              <span class="mono">{service.origins.join("  ")}</span>
              <span aria-hidden="true">→</span>
              <span class="mono">{service.target}</span>
            </li>
          ))}
        </ul>
        <p class="small second">{t("wizard.review_note")}</p>
      </div>
    </Panel>
  );
}

/** After the start: what happens is seen, and kept by one press. */
function Started(): JSX.Element {
  const shown = snapshot.value;
  const totals = shown?.totals;
  const isPending = shown?.pending_state === "applied";
  const isReplayed = (totals?.replayed ?? 0) > 0;
  const keep = async () => {
    const isKept =
      !isPending || (await attempt(() => send("POST", "/api/v1/settings/confirm"), t("settings.confirmed")));
    if (!isKept) return;
    refreshSnapshot();
    location.hash = href("overview");
    forget();
  };
  const again = async () => {
    if (isPending) await attempt(() => send("POST", "/api/v1/settings/revert"), t("settings.reverted"));
    refreshSnapshot();
    tell({ applied: false });
  };
  return (
    <div class="wizard">
      <div class="stack loose">
        <PageHead title={t(isReplayed ? "wizard.running" : "wizard.starting")} />
        <p class="second lead">{t(isReplayed ? "wizard.running_text" : "wizard.starting_text")}</p>
        <dl class="tiles">
          {(["frames", "sessions_live", "captured", "replayed", "answered", "match", "differ"] as const).map(name => (
            <div key={name} data-tile={name}>
              <dt>{t(`tile.${name}`)}</dt>
              <dd>{short(totals?.[name])}</dd>
            </div>
          ))}
        </dl>
        {shown && shown.state !== "running" ? (
          <Notice tone="warn">{shown.message || t(`state.${shown.state}`)}</Notice>
        ) : null}
        <div class="ends">
          <Button icon="back" onPress={again}>
            {t("wizard.change")}
          </Button>
          <span class="push small second">
            {isPending ? t("settings.countdown", { left: duration(shown?.confirm_seconds_left ?? 0) }) : ""}
          </span>
          <Button kind="primary" icon="check" onPress={keep}>
            {t("wizard.keep")}
          </Button>
        </div>
      </div>
    </div>
  );
}
