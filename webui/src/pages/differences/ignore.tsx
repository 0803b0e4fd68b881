/** "Ignore this field": a rule of the service, staged and applied as any other change of the settings. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { getNewer } from "../../api/client";
import { Button } from "../../components/basics";
import { t } from "../../i18n";
import { type Document, difference } from "../../lib/document";
import { withRule } from "../../lib/rules";
import { attempt, may, say } from "../../state";
import { ApplyDialog } from "../settings/changes";
import { apply } from "../settings/draft";

interface Props {
  service: string;
  endpoint: string;
  field: string;
}

export function IgnoreButton({ service, endpoint, field }: Props): JSX.Element | null {
  const [proposal, setProposal] = useState<{ from: Document; to: Document; etag: string }>();
  if (!may("operator")) return null;
  const propose = () =>
    attempt(async () => {
      const found = await getNewer<Document>("/api/v1/settings", "");
      const to = found && withRule(found.value, service, endpoint, field);
      if (to) setProposal({ from: found.value, to, etag: found.etag });
    });
  const applyIt = async (why: string) => {
    if (!proposal) return false;
    const isDone = await apply(proposal.to, why || t("differences.why", { field, endpoint }), proposal.etag);
    if (isDone) say(t("differences.rule_made"));
    return isDone;
  };
  return (
    <>
      <Button onPress={propose}>{t("differences.ignore")}</Button>
      {proposal ? (
        <ApplyDialog
          changes={difference(proposal.from, proposal.to)}
          seconds={90}
          onApply={applyIt}
          onClose={() => setProposal(undefined)}
        />
      ) : null}
    </>
  );
}
