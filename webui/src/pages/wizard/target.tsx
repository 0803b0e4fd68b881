/** Where the copies go, and which addresses they come from. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { send } from "../../api/client";
import type { Fault, TargetTest } from "../../api/types";
import { Button, Notice, Panel, State } from "../../components/basics";
import { Check, TextField } from "../../components/fields";
import { t } from "../../i18n";
import { proposedPool } from "../../lib/addresses";
import { sentence } from "../../state";
import { answers, type Chosen, tell } from "./state";

interface Props {
  faults: Fault[];
}

export function Target({ faults }: Props): JSX.Element {
  const { services } = answers.value;
  const of = (field: string) => faults.find(fault => fault.field === field)?.message;
  const change = (index: number, part: Partial<Chosen>) => {
    const changed = services.map((service, place) => (place === index ? { ...service, ...part } : service));
    const { isPoolOwn, pool } = answers.value;
    const first = changed.map(service => proposedPool(service.target)).find(Boolean);
    tell({ services: changed, pool: isPoolOwn ? pool : (first ?? pool) });
  };
  return (
    <div class="stack loose">
      <Notice tone="info">{t("wizard.target_text")}</Notice>
      {services.map((service, index) => (
        <Panel key={index} title={service.name || t("settings.unnamed")}>
          <div class="stack">
            <p class="small second">
              {t("wizard.replays")} <span class="mono">{service.origins.join("  ")}</span> · {service.protocol}
            </p>
            <div class="fields">
              <TextField
                label={t("settings.name")}
                value={service.name}
                onChange={name => change(index, { name })}
                fault={of(`service[${index}].name`)}
              />
              <TextField
                label={t("wizard.target")}
                hint={t("wizard.target_hint")}
                value={service.target}
                onChange={target => change(index, { target })}
                fault={service.target ? of(`service[${index}].targets[0]`) : undefined}
                placeholder="192.0.2.31:8080"
                mono
              />
            </div>
            <Reach target={service.target} />
          </div>
        </Panel>
      ))}
      <Addresses of={of} />
    </div>
  );
}

const TONES = { reached: "ok", refused: "warn" } as const;

function Reach({ target }: { target: string }): JSX.Element {
  const [result, setResult] = useState<{ target: string; test?: TargetTest; fault?: string }>();
  const test = async () => {
    const { target: nic, pool, gateway } = answers.value;
    const body = { target, nic, pool: pool.split(/[\s,]+/).filter(Boolean), ...(gateway ? { gateway } : {}) };
    try {
      setResult({ target, test: await send<TargetTest>("POST", "/api/v1/target/test", body) });
    } catch (fault) {
      setResult({ target, fault: sentence(fault) });
    }
  };
  const shown = result?.target === target ? result : undefined;
  return (
    <div class="line">
      <Button onPress={test} disabled={!target}>
        {t("wizard.test")}
      </Button>
      <span role="status" class="line">
        {shown?.test ? (
          <>
            <State tone={shown.test.outcome in TONES ? TONES[shown.test.outcome as "reached"] : "bad"}>
              {t(`reach.${shown.test.outcome}`)}
            </State>
            <span class="small">{shown.test.sentence}</span>
          </>
        ) : null}
        {shown?.fault ? <span class="fault-text">{shown.fault}</span> : null}
      </span>
    </div>
  );
}

function Addresses({ of }: { of: (field: string) => string | undefined }): JSX.Element {
  const { mode, pool, link, gateway, target } = answers.value;
  return (
    <Panel title={t("settings.addressing")}>
      <div class="stack">
        <fieldset class="stack plain-set">
          <legend class="hidden">{t("settings.mode")}</legend>
          <Check
            radio="mode"
            label={<Choice title={t("settings.mode.pool")} text={t("settings.mode.pool_hint")} />}
            checked={mode === "pool"}
            onChange={() => tell({ mode: "pool" })}
          />
          <Check
            radio="mode"
            label={<Choice title={t("settings.mode.preserve")} text={t("settings.mode.preserve_hint")} />}
            checked={mode === "preserve"}
            onChange={() => tell({ mode: "preserve" })}
          />
        </fieldset>
        <div class="fields">
          <TextField
            label={t("settings.pool")}
            hint={t("wizard.pool_hint", { nic: target })}
            value={pool}
            onChange={text => tell({ pool: text, isPoolOwn: true })}
            fault={pool ? (of("addressing.pool[0]") ?? of("addressing.pool")) : undefined}
            placeholder="192.0.2.200-192.0.2.250/24"
            mono
          />
          {mode === "preserve" ? (
            <TextField
              label={t("settings.link")}
              hint={t("settings.link_hint")}
              value={link}
              onChange={text => tell({ link: text })}
              fault={of("addressing.link[0]") ?? of("addressing.link")}
              placeholder="192.0.2.0/24"
              mono
            />
          ) : null}
          <TextField
            label={t("settings.gateway")}
            hint={t("settings.gateway_hint")}
            value={gateway}
            onChange={text => tell({ gateway: text })}
            fault={of("addressing.gateway")}
            mono
          />
        </div>
      </div>
    </Panel>
  );
}

function Choice({ title, text }: { title: string; text: string }): JSX.Element {
  return (
    <>
      <strong>{title}</strong>
      <br />
      <span class="small quiet">{text}</span>
    </>
  );
}
