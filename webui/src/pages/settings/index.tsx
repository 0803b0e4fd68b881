/** Settings: written in a draft, staged, applied, and kept only when they are confirmed. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiError, send } from "../../api/client";
import { follow, type Resource, useResource } from "../../api/poll";
import type { Nic, Pending, System } from "../../api/types";
import { Button, Empty, Notice, PageHead } from "../../components/basics";
import { t } from "../../i18n";
import { type Document, difference } from "../../lib/document";
import { moment } from "../../lib/format";
import { href, route } from "../../lib/router";
import { attempt, may, refreshSnapshot, sentence, snapshot } from "../../state";
import { ApplyDialog, Changes } from "./changes";
import {
  applyDraft,
  discard,
  draft,
  faults,
  inForce,
  isChanged,
  mayEdit,
  others,
  take,
  takenBack,
  takeUp,
} from "./draft";
import { bound } from "./fields";
import { Form } from "./form";
import { FaultList, Text } from "./text";
import { Versions } from "./versions";

const TABS = ["form", "text", "versions"] as const;

export function Settings(): JSX.Element {
  const pending = useResource<Pending>("/api/v1/settings/pending", 2_000);
  const nics = useResource<{ nics: Nic[] }>("/api/v1/nics");
  const system = useResource<System>("/api/v1/system");
  const [fault, setFault] = useState<unknown>();
  const tab = TABS.find(name => name === route.value.id) ?? "form";
  const pendingState = snapshot.value?.pending_state;
  // Others may change them too.
  useEffect(() => {
    const stop = new AbortController();
    void follow<Document>("/api/v1/settings", 3_000, stop.signal, { wake: () => {} }, (next, caught, etag) => {
      if (next) take(next, etag);
      setFault(caught);
    });
    return () => stop.abort();
  }, [pendingState]);
  const locked = !mayEdit(pending.value);
  return (
    <>
      <PageHead title={t("nav.settings")} />
      <nav class="tabs" aria-label={t("nav.settings")}>
        {TABS.map(name => (
          <a key={name} href={href("settings", name)} {...(tab === name ? { "aria-current": "page" as const } : {})}>
            {t(`settings.tab.${name}`)}
          </a>
        ))}
      </nav>
      {pending.value?.read_only ? <Notice tone="info">{t("settings.read_only")}</Notice> : null}
      {may("operator") ? null : <Notice tone="info">{t("settings.viewer")}</Notice>}
      <Staged pending={pending} />
      {tab === "text" ? <Text locked={locked} onStaged={pending.reload} /> : null}
      {tab === "versions" ? <Versions locked={locked} onChange={pending.reload} /> : null}
      {tab === "form" ? (
        draft.value ? (
          <>
            <TakenBack />
            <Others />
            <Elsewhere />
            <Form locked={locked} nics={nics.value?.nics ?? []} isHost={system.value?.firmware === false} />
            <DraftBar seconds={pending.value?.confirm_seconds ?? 90} onApplied={pending.reload} />
          </>
        ) : (
          <Unloaded fault={fault} />
        )
      ) : null}
    </>
  );
}

function Unloaded({ fault }: { fault: unknown }): JSX.Element {
  if (fault instanceof ApiError && fault.isMissing)
    return <Empty title={t("missing.title")}>{t("missing.text")}</Empty>;
  return fault ? <Empty title={t("failed.title")}>{sentence(fault)}</Empty> : <Empty title={t("loading")} />;
}

/** What somebody has staged and not applied. */
function Staged({ pending }: { pending: Resource<Pending> }): JSX.Element | null {
  const [isOpen, setOpen] = useState(false);
  const known = pending.value;
  if (known?.state !== "staged") return null;
  const drop = async () => {
    await attempt(() => send("POST", "/api/v1/settings/revert"), t("settings.dropped"));
    pending.reload();
  };
  const applyStaged = () =>
    attempt(async () => {
      await send("POST", "/api/v1/settings/apply");
      discard();
      refreshSnapshot();
      pending.reload();
    });
  return (
    <Notice
      tone="info"
      actions={
        mayEdit(known) ? (
          <span class="line">
            <Button kind="primary" onPress={() => setOpen(true)}>
              {t("settings.apply")}
            </Button>
            <Button onPress={drop}>{t("settings.drop")}</Button>
          </span>
        ) : null
      }
    >
      <strong>{t("settings.staged")}</strong>{" "}
      {t("settings.staged_by", { who: known.who ?? "", when: moment(known.at) })}
      <Changes changes={known.difference} />
      {isOpen ? (
        <ApplyDialog
          changes={known.difference}
          seconds={known.confirm_seconds}
          onApply={applyStaged}
          onClose={() => setOpen(false)}
        />
      ) : null}
    </Notice>
  );
}

/** What others have changed meanwhile: told, and never undone without being seen. */
function Others(): JSX.Element | null {
  const found = others.value;
  if (!found) return null;
  return (
    <Notice
      tone="warn"
      role="alert"
      actions={
        <span class="line">
          {found.clash ? <Button onPress={discard}>{t("settings.others.theirs")}</Button> : null}
          <Button kind="plain" onPress={() => (others.value = undefined)}>
            {t("settings.others.seen")}
          </Button>
        </span>
      }
    >
      <strong>{t("settings.others")}</strong> {t(found.clash ? "settings.others.clash" : "settings.others.merged")}
      <Changes changes={found.changes} />
    </Notice>
  );
}

/** What nobody confirmed in time need not be written again. */
function TakenBack(): JSX.Element | null {
  const found = takenBack.value;
  if (!found) return null;
  return (
    <Notice
      tone="warn"
      role="status"
      actions={
        <span class="line">
          <Button kind="primary" onPress={takeUp}>
            {t("settings.taken_back.again")}
          </Button>
          <Button kind="plain" onPress={() => (takenBack.value = undefined)}>
            {t("settings.taken_back.forget")}
          </Button>
        </span>
      }
    >
      <strong>{t("settings.taken_back")}</strong> {t("settings.taken_back.text")}
      <Changes changes={difference(inForce.value, found)} />
    </Notice>
  );
}

/** Faults of what the form has no field for. */
function Elsewhere(): JSX.Element | null {
  return <FaultList faults={faults.value.filter(fault => !bound.has(fault.field ?? "") && isChanged())} />;
}

function DraftBar({ seconds, onApplied }: { seconds: number; onApplied: () => void }): JSX.Element | null {
  const [isOpen, setOpen] = useState(false);
  if (!isChanged() || !draft.value) return null;
  const changes = difference(inForce.value, draft.value);
  const document = draft.value;
  const applyIt = async (why: string) => {
    const isDone = await applyDraft(document, why);
    onApplied();
    return isDone;
  };
  return (
    <div class="draft-bar">
      <span role="status">
        {t("settings.changed", { count: changes.length })}
        {faults.value.length > 0 ? (
          <span class="fault-text"> {t("settings.faults", { count: faults.value.length })}</span>
        ) : null}
      </span>
      <span class="line push">
        <Button onPress={discard}>{t("settings.discard")}</Button>
        <Button kind="primary" disabled={faults.value.length > 0} onPress={() => setOpen(true)}>
          {t("settings.review_action")}
        </Button>
      </span>
      {isOpen ? (
        <ApplyDialog changes={changes} seconds={seconds} onApply={applyIt} onClose={() => setOpen(false)} />
      ) : null}
    </div>
  );
}
