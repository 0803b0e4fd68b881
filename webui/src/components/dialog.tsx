/** The browser's own modal dialog: it keeps the focus, and closes with Escape. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { Button } from "./basics";

interface Props {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  wide?: boolean;
}

export function Dialog({ title, onClose, children, wide }: Props): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog ref={element} aria-label={title} class={wide ? "wide" : ""} onClose={onClose}>
      <div class="stack loose">
        <h2>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  text: ComponentChildren;
  action: string;
  danger?: boolean;
  onConfirm: () => unknown;
  onClose: () => void;
}

export function Confirm({ title, text, action, danger, onConfirm, onClose }: ConfirmProps): JSX.Element {
  const confirm = async () => {
    await onConfirm();
    onClose();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <p class="second">{text}</p>
      <div class="ends">
        <Button onPress={onClose}>{t("cancel")}</Button>
        <Button kind={danger ? "danger" : "primary"} onPress={confirm}>
          {action}
        </Button>
      </div>
    </Dialog>
  );
}
