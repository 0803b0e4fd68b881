/** Forms that are sent to the box as a whole: what it refuses stands at its field, or above them all. */
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { t } from "../i18n";
import { sentence } from "../state";
import { Button, Notice } from "./basics";
import { TextField } from "./fields";

/** What a field of the form needs. */
export interface FieldOf {
  value: string;
  onChange: (value: string) => void;
  fault: string | undefined;
}

/** What a form needs. */
interface Sending {
  submit: (event: Event) => Promise<void>;
  isBusy: boolean;
  fault: unknown;
}

export interface FormOf<T> extends Sending {
  values: T;
  field: (name: keyof T & string) => FieldOf;
}

/** The state of a form whose values are sent by `action`, which may clear them. */
export function useForm<T extends Record<string, string>>(
  empty: T,
  action: (values: T, form: { clear: () => void }) => Promise<unknown>,
): FormOf<T> {
  const [values, setValues] = useState(empty);
  const [fault, setFault] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const clear = () => setValues(empty);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setFault(undefined);
    await action(values, { clear }).catch(setFault);
    setBusy(false);
  };
  const faults = fault instanceof ApiError ? fault.faults : [];
  const field = (name: keyof T & string) => ({
    value: values[name] ?? "",
    onChange: (value: string) => setValues(before => ({ ...before, [name]: value })),
    fault: faults.find(entry => entry.field === name)?.message,
  });
  return { values, field, submit, isBusy, fault };
}

interface FormProps {
  of: Sending;
  action: string;
  disabled?: boolean;
  /** In a dialog, which can be left without sending it. */
  onClose?: () => void;
  children: ComponentChildren;
}

export function Form({ of, action, disabled, onClose, children }: FormProps): JSX.Element {
  const button = (
    <Button kind="primary" submit disabled={disabled || of.isBusy}>
      {action}
    </Button>
  );
  return (
    <form class="stack loose" onSubmit={of.submit}>
      <Refused fault={of.fault} />
      {children}
      {onClose ? (
        <div class="ends">
          <Button onPress={onClose}>{t("cancel")}</Button>
          {button}
        </div>
      ) : (
        button
      )}
    </form>
  );
}

/** What the box refused of the form as a whole. */
function Refused({ fault }: { fault: unknown }): JSX.Element | null {
  if (fault === undefined || (fault instanceof ApiError && fault.faults.some(entry => entry.field))) return null;
  const wait = fault instanceof ApiError ? fault.retryAfter : 0;
  return (
    <Notice tone="bad" role="alert">
      {sentence(fault)} {wait > 0 ? t("login.wait", { seconds: wait }) : ""}
    </Notice>
  );
}

export const SHORTEST_PASSWORD = 10;

/** A password that is being chosen. */
export function NewPassword({ label, of }: { label: string; of: FieldOf }): JSX.Element {
  return (
    <TextField
      label={label}
      hint={t("claim.password_hint", { count: SHORTEST_PASSWORD })}
      type="password"
      autocomplete="new-password"
      minLength={SHORTEST_PASSWORD}
      required
      {...of}
    />
  );
}
