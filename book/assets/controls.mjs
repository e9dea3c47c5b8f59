// What the theme's buttons lack: menus that say whether they are open and that a finger can close, a focus that comes back,
// no button that does nothing, and arrow keys that turn pages.

const root = document.documentElement;
const openDialog = () => document.querySelector("dialog[open]");

// ------------------------------------------------------------------------------------------------- the two menus

// Below a width the theme shows a menu as a dialog. Above it the chapters stand beside the page and can be put away.
const MENUS = [
  { which: "primary", label: "All pages", wide: "(min-width: 992px)" },
  { which: "secondary", label: "On this page", wide: "(min-width: 1200px)" },
];

for (const { which, label, wide } of MENUS) {
  const [toggle, beside, dialog] = [`.${which}-toggle`, `#pst-${which}-sidebar`, `#pst-${which}-sidebar-modal`].map((one) =>
    document.querySelector(one),
  );
  const room = matchMedia(wide);
  if (dialog) dialog.ariaLabel = label;
  if (!toggle || !beside || !dialog) continue;
  const close = Object.assign(document.createElement("button"), { className: "menu-close", textContent: "Close" });
  close.type = "button";
  close.addEventListener("click", () => dialog.close());
  beside.prepend(close); // the theme moves all of it into the dialog, and back
  const tell = () => {
    toggle.ariaExpanded = String(dialog.open || (room.matches && !beside.classList.contains("pst-sidebar-hidden")));
  };
  dialog.addEventListener("click", (event) => {
    if (event.target.closest("a")?.hash) dialog.close(); // what it leads to is on the page below
  });
  room.addEventListener("change", () => {
    dialog.close();
    tell();
  });
  const watch = new MutationObserver(tell);
  watch.observe(beside, { attributeFilter: ["class"] });
  watch.observe(dialog, { attributeFilter: ["open"] });
  tell();
}

document.querySelector("#pst-search-dialog")?.setAttribute("aria-label", "Search");

// ------------------------------------------------------------------------------------------- where the focus goes

// The theme takes the focus from a button that is pressed, so that a dialog cannot give it back. A link keeps what it does.
let opener = null;

function giveBack() {
  const at = document.activeElement;
  const lost = !at || at === document.body || at.closest("dialog:not([open])");
  if (lost && opener?.isConnected && !openDialog()) opener.focus({ preventScroll: true });
}

addEventListener(
  "click",
  (event) => {
    if (event.target.closest?.("a")) opener = null;
    else if (!event.target.closest?.("dialog")) opener = event.target.closest?.("button");
    setTimeout(giveBack);
  },
  true,
);
document.addEventListener("close", () => setTimeout(giveBack), true);

// ---------------------------------------------------------------------------------------- one button after another

for (const button of document.querySelectorAll("[data-click='fullscreen']")) {
  button.hidden = !(document.fullscreenEnabled ?? document.webkitFullscreenEnabled); // a phone may have none
}

const modes = document.querySelectorAll(".theme-switch-button");
const tellMode = () => modes.forEach((button) => (button.ariaLabel = button.title = `Color mode: ${root.dataset.mode}`));
new MutationObserver(tellMode).observe(root, { attributeFilter: ["data-mode"] });
tellMode();

// --------------------------------------------------------------------------------------------------- arrow keys

const PAGES = { ArrowLeft: "prev", ArrowRight: "next" };
const OWN_ARROWS = "input, select, textarea, [contenteditable], [role='slider'], [role='tab'], init-lab, train-lab, .dropdown-menu";

/** Whether the arrow keys have something to do at an element: it takes them, or it or what is around it scrolls sideways. */
function takesArrows(element) {
  if (element.closest(OWN_ARROWS)) return true;
  for (let one = element; one && one !== document.body; one = one.parentElement) {
    if (one.scrollWidth > one.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(one).overflowX)) return true;
  }
  return root.scrollWidth > root.clientWidth || (globalThis.visualViewport?.scale ?? 1) > 1.01;
}

addEventListener("keydown", (event) => {
  const where = PAGES[event.key];
  if (!where || event.defaultPrevented || event.repeat || openDialog()) return;
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || takesArrows(event.target)) return;
  const link = document.querySelector(`link[rel="${where}"]`);
  if (link) location.href = link.href;
});
