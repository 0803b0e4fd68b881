/** "Ignore this field": a rule of the service, staged and applied as any other change of the settings. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get, send } from "../../api/client";
import type { Pending } from "../../api/types";
import { Button } from "../../components/basics";
import { t } from "../../i18n";
import { type Document, difference } from "../../lib/document";
import { withRule } from "../../lib/rules";
import { attempt, may, refreshSnapshot } from "../../state";
import { ApplyDialog } from "../settings/changes";

interface Props {
  service: string;
  endpoint: string;
  field: string;
}

export function IgnoreButton({ service, endpoint, field }: Props): JSX.Element | null {
  const [proposal, setProposal] = useState<{ from: Document; to: Document }>();
  if (!may("operator") || field === "latency") return null;
  const propose = () =>
    attempt(async () => {
      const from = await get<Document>("/api/v1/settings");
      const to = withRule(from, service, endpoint, field);
      if (to) setProposal({ from, to });
    });
  const apply = (why: string) =>
    attempt(async () => {
      const reason = why || t("differences.why", { field, endpoint });
      await send<Pending>("PUT", `/api/v1/settings?why=${encodeURIComponent(reason)}`, proposal?.to);
      await send<Pending>("POST", "/api/v1/settings/apply");
      refreshSnapshot();
    }, t("differences.rule_made"));
  return (
    <>
      <Button onPress={propose}>{t("differences.ignore")}</Button>
      {proposal ? (
        <ApplyDialog
          changes={difference(proposal.from, proposal.to)}
          seconds={90}
          onApply={apply}
          onClose={() => setProposal(undefined)}
        />
      ) : null}
    </>
  );
}
