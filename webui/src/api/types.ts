/** The interface's types under short names; `schema.ts` is generated from `openapi.yaml`. */
import type { components, operations } from "./schema";

type Schemas = components["schemas"];
type Body<O extends keyof operations, S extends number = 200> = operations[O] extends {
  responses: Record<S, { content: { "application/json": infer T } }>;
}
  ? T
  : never;

export type Fault = Schemas["Fault"];
export type Role = Schemas["Role"];
export type Health = Schemas["Health"];
export type Identity = Schemas["Identity"];
export type User = Schemas["User"];
export type Token = Schemas["Token"];
export type Change = Schemas["Change"];
export type Pending = Schemas["Pending"];
export type Version = Schemas["Version"];
export type Stage = Schemas["Stage"];
type Total =
  | "frames"
  | "sessions_live"
  | "sessions"
  | "captured"
  | "replayed"
  | "answered"
  | "match"
  | "differ"
  | "incomparable"
  | "not_replayed"
  | "not_answered"
  | "in_progress"
  | "findings";
export type Snapshot = Omit<Schemas["Snapshot"], "totals"> & { totals: Record<Total, number> };
export type Session = Schemas["Session"];
export type Turn = Schemas["Turn"];
export type Finding = Schemas["Finding"] & { example_origin?: string; example_target?: string };
export type DoctorReport = Schemas["DoctorReport"];
export type Discovered = Schemas["Discovered"];
export type Nic = Schemas["Nic"];
export type System = Schemas["System"];
export type Captures = Body<"captures">;
export type AuditEntry = Body<"audit">["entries"][number];
export type TargetTest = Body<"testTarget">;
export type Discovery = Body<"discovery">;
export type Sessions = Body<"sessions">;
export type SessionDetail = Body<"session">;
export type Certificate = Body<"certificate">;
export type NewToken = Body<"addToken", 201>;
export type Outcome = Turn["outcome"];

/** Counts by reason, in the ledger. */
export type Reasons = Record<string, number>;

/** The ledger, whose shape ARCHITECTURE.md and the contract fix. */
export interface Ledger {
  frames: { received: number; decoded: number; ignored: Reasons; dropped_kernel: number; dropped_nic: number };
  sessions: { opened: number; live: number; ended: Reasons; midstream: number };
  requests: {
    captured: number;
    replayed: number;
    answered: number;
    in_progress: number;
    not_replayed: Reasons;
    not_answered: Reasons;
  };
  verdicts: { match: number; differ: number; incomparable: Reasons };
  findings: number;
}
