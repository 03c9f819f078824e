// Keys, the switch of light and dark, and the focus that stays where it was when a list is drawn anew. No page needs it to be read.
"use strict";
(() => {
  const root = document.documentElement;
  const kept = localStorage.getItem("upriver-theme");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;

  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const tell = () => window.Quasar?.Dark?.set(dark());

  let last = "";  // the key of the row that had the focus
  let named = "";  // the id of what had it, dialogs aside
  const items = () => [...document.querySelectorAll("[data-item]")].filter((item) => item.offsetParent !== null);
  const keyOf = (item) => item.closest("[data-key]")?.dataset.key ?? "";
  const step = (by) => {
    const all = items();
    if (!all.length) return;
    const at = all.findIndex((item) => item === document.activeElement || (last && keyOf(item) === last));
    const next = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };
  const typing = (target) => target.closest("input, textarea, select, [contenteditable]");

  document.addEventListener("focusin", (event) => {
    if (event.target.matches("[data-item]")) last = keyOf(event.target);
    else if (event.target !== document.body) last = "";
    if (event.target !== document.body && !event.target.closest("[role=dialog]")) named = event.target.id;
  });
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest("a, button, summary, label, input, select, textarea, [tabindex]")) last = named = "";
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event.target)) {
      if (event.key === "Escape") {
        named = "";  // it is left for good, whatever is drawn anew
        event.target.blur();
      }
      return;
    }
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "/") document.querySelector("[data-search]")?.focus();
    else return;
    event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem("upriver-theme", root.dataset.theme);
    tell();
  });
  // In pictures, which are one thing for keys and screen readers: the table that says the same has real links.
  document.addEventListener("click", (event) => {
    const there = event.target.closest("[data-href]");
    if (there) location.assign(there.dataset.href);
  });
  // No browser knows a click on what was drawn anew between press and release: the same thing, drawn anew, is clicked then.
  const PRESSED = "a, button, summary, [data-act], [data-ask], [data-href]";
  const NAMES = ["id", "href", "name", "data-act", "data-value", "data-ask", "data-name", "data-href"];
  const identity = (node) => {
    const named = NAMES.map((name) => node.getAttribute(name) ?? "");
    return JSON.stringify([node.tagName, keyOf(node), ...named, named.some(Boolean) ? "" : node.textContent]);
  };
  let pressed = null;
  document.addEventListener("pointerdown", (event) => {
    const node = event.button === 0 && event.pointerType === "mouse" ? event.target.closest(PRESSED) : null;
    pressed = node && { node, identity: identity(node) };
  }, true);
  document.addEventListener("pointerup", (event) => {
    const before = pressed;
    pressed = null;
    if (!before || before.node.isConnected) return;
    const now = document.elementFromPoint(event.clientX, event.clientY)?.closest(PRESSED);
    if (!now || now.disabled || identity(now) !== before.identity) return;
    const { ctrlKey, metaKey, shiftKey, clientX, clientY } = event;
    now.dispatchEvent(new MouseEvent("click", {
      bubbles: true, cancelable: true, composed: true, view: window, detail: 1, ctrlKey, metaKey, shiftKey, clientX, clientY,
    }));
  }, true);
  // A select whose choice is the whole of what its form says: it is sent at once.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-now]")) event.target.form.requestSubmit();
  });
  // What is left empty does not belong into the address.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "get") return;
    for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
  });
  new MutationObserver(() => {
    if (document.activeElement && document.activeElement !== document.body) return;
    if (last) items().find((item) => keyOf(item) === last)?.focus({ preventScroll: true });
    else if (named && !document.querySelector("[role=dialog]")) document.getElementById(named)?.focus({ preventScroll: true });
  }).observe(root, { childList: true, subtree: true });
  // A login that has ended refuses the connection too, which then never comes back: the way to log in does.
  const askLogin = async () => {
    let held;
    try {
      held = await (await fetch("/login/held", { cache: "no-store" })).text();
    } catch {
      return;  // nobody answers yet
    }
    if (held === "no") location.reload();
  };
  // NiceGUI shows this when the connection is gone; since when, and from whom there is no news, it does not say.
  const lost = () => {
    const popup = document.getElementById("popup");
    if (!popup) return;
    popup.setAttribute("role", "status");
    new MutationObserver(() => {
      if (popup.getAttribute("aria-hidden") !== "false" || popup.dataset.since) return;
      popup.dataset.since = new Date().toISOString().slice(11, 19);
      const [first, second] = popup.querySelectorAll("span");
      first.textContent = `No news since ${popup.dataset.since} UTC.`;
      second.textContent = "The control plane does not answer. This page comes back by itself.";
      setInterval(() => { if (popup.getAttribute("aria-hidden") === "false") askLogin(); }, 3000);
    }).observe(popup, { attributes: true, attributeFilter: ["aria-hidden"] });
  };
  addEventListener("load", () => { tell(); lost(); });
})();
