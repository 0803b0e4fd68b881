/** The doctor's report of a mirror: the verdict, then each finding with its mend. */
import type { JSX } from "preact";
import type { DoctorReport } from "../api/types";
import { t, word } from "../i18n";
import { Notice, State, type Tone } from "./basics";

type Finding = DoctorReport["findings"][number];

const TONES: Record<Finding["severity"], Tone> = { critical: "bad", warning: "warn", notice: "info" };

/** The verdict, with the findings by the names that they have below. */
function named({ verdict, findings }: DoctorReport): string {
  return findings.reduce(
    (text, { finding }) => text.replaceAll(finding, word("finding", finding).toLowerCase()),
    verdict,
  );
}

export function Report({ report }: { report: DoctorReport }): JSX.Element {
  const worst = report.findings.map(finding => TONES[finding.severity]);
  const tone = worst.includes("bad") ? "bad" : worst.includes("warn") ? "warn" : "ok";
  return (
    <div class="stack">
      <Notice tone={tone} role="status">
        <strong>{named(report)}</strong>
      </Notice>
      {report.findings.length > 0 ? (
        <ul class="findings">
          {report.findings.map(finding => (
            <li key={finding.finding}>
              <div class="line">
                <State tone={TONES[finding.severity]}>{t(`severity.${finding.severity}`)}</State>
                <strong>{word("finding", finding.finding)}</strong>
              </div>
              <p>{finding.summary}</p>
              <p class="second">
                <span class="quiet">{t("doctor.mend")}</span> {finding.mend}
              </p>
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}
