/** Form fields: a label, the control, a hint, and the fault that the box told of it. */
import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";

interface FrameProps {
  label: string;
  hint?: string | undefined;
  fault?: string | undefined;
  children: (ids: { id: string; "aria-describedby"?: string; "aria-invalid"?: "true" }) => ComponentChildren;
  hiddenLabel?: boolean | undefined;
}

export function Field({ label, hint, fault, children, hiddenLabel }: FrameProps): JSX.Element {
  const id = useId();
  const described = [hint ? `${id}-hint` : "", fault ? `${id}-fault` : ""].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id} class={hiddenLabel ? "hidden" : ""}>
        {label}
      </label>
      {children({
        id,
        ...(described ? { "aria-describedby": described } : {}),
        ...(fault ? { "aria-invalid": "true" as const } : {}),
      })}
      {hint ? (
        <span class="hint" id={`${id}-hint`}>
          {hint}
        </span>
      ) : null}
      {fault ? (
        <span class="fault" id={`${id}-fault`}>
          {fault}
        </span>
      ) : null}
    </div>
  );
}

interface TextProps {
  label: string;
  name?: string;
  value: string;
  onChange: (value: string) => void;
  hint?: string | undefined;
  fault?: string | undefined;
  type?: "text" | "password" | "number" | "search";
  autocomplete?: string;
  mono?: boolean;
  disabled?: boolean;
  required?: boolean;
  hiddenLabel?: boolean;
  placeholder?: string;
  list?: [value: string, text: string][];
  min?: number;
  max?: number;
  step?: number | "any";
  minLength?: number;
}

export function TextField(props: TextProps): JSX.Element {
  const { label, value, onChange, hint, fault, type = "text", mono, hiddenLabel, list, autocomplete, ...rest } = props;
  const options = useId();
  return (
    <Field label={label} hint={hint} fault={fault} hiddenLabel={hiddenLabel}>
      {ids => (
        <>
          <input
            {...ids}
            {...rest}
            class={`input ${mono ? "mono" : ""}`}
            type={type}
            value={value}
            spellcheck={false}
            autocomplete={(autocomplete ?? "off") as "off"}
            onInput={event => onChange(event.currentTarget.value)}
            {...(list ? { list: options } : {})}
          />
          {list ? (
            <datalist id={options}>
              {list.map(([option, text]) => (
                <option key={option} value={option}>
                  {text}
                </option>
              ))}
            </datalist>
          ) : null}
        </>
      )}
    </Field>
  );
}

interface SelectProps {
  label: string;
  name?: string;
  value: string;
  options: [value: string, text: string][];
  onChange: (value: string) => void;
  hint?: string | undefined;
  fault?: string | undefined;
  disabled?: boolean;
  hiddenLabel?: boolean;
}

export function SelectField(props: SelectProps): JSX.Element {
  const { label, name, value, options, onChange, hint, fault, disabled, hiddenLabel } = props;
  const all = options.some(([option]) => option === value) ? options : [[value, value] as [string, string], ...options];
  return (
    <Field label={label} hint={hint} fault={fault} hiddenLabel={hiddenLabel}>
      {ids => (
        <select
          {...ids}
          {...(name ? { name } : {})}
          class="input"
          value={value}
          disabled={disabled}
          onChange={event => onChange(event.currentTarget.value)}
        >
          {all.map(([option, text]) => (
            <option key={option} value={option} selected={option === value}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface CheckProps {
  label: ComponentChildren;
  checked: boolean;
  onChange: (checked: boolean) => void;
  disabled?: boolean;
  name?: string;
  radio?: string;
}

export function Check({ label, checked, onChange, disabled, name, radio }: CheckProps): JSX.Element {
  return (
    <label class="choice">
      <input
        type={radio ? "radio" : "checkbox"}
        {...(radio || name ? { name: radio ?? name } : {})}
        checked={checked}
        disabled={disabled}
        onChange={event => onChange(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  );
}
