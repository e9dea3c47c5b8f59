// Shows what a link within the book leads to, while a pointer rests on it or the keyboard has reached it: a formula, a
// figure, a term, a source, the start of a section. It stays while the pointer is on it, and Escape closes it (WCAG 1.4.13).

const OPENS_AFTER = 300; // milliseconds, so that a pointer on its way elsewhere opens nothing
const CLOSES_AFTER = 250; // long enough to move from the link into the preview
const LINKS = "a.reference.internal[href]";
const DROPPED = "script, style, button, .headerlink, .cell, .chapter-facts, details > :not(summary), init-lab, train-lab, curve-slider, aside";

const article = document.querySelector(".bd-article");
const box = document.createElement("div");
box.className = "preview";
box.id = "preview";
box.setAttribute("role", "tooltip");
let current = null; // the link whose preview is shown or on its way
let timer = 0;
let loading = null;

/** The excerpts of all pages, from a script: a page that is opened as a file may not fetch another (tools/excerpts.py). */
function excerpts() {
  loading ??= new Promise((done, failed) => {
    const script = Object.assign(document.createElement("script"), { src: document.body.dataset.excerptsHref });
    script.addEventListener("load", () => done(globalThis.excerpts));
    script.addEventListener("error", failed);
    document.head.append(script);
  });
  return loading;
}

/** What a link leads to: this page, or the part of another that the build cut out. */
async function page(url) {
  if (url.href.split("#")[0] === location.href.split("#")[0]) return document;
  const root = new URL(document.documentElement.dataset.content_root, location.href);
  const name = url.href.startsWith(root.href) ? url.href.slice(root.href.length) : "";
  const markup = (await excerpts())[decodeURIComponent(name)];
  return new DOMParser().parseFromString(`<div class="bd-article">${markup ?? ""}</div>`, "text/html");
}

/** A section's heading and what comes first under it. */
function start(section) {
  const parts = [...section.children].filter((part) => !part.matches(".chapter-facts, .topic, span, .cell"));
  return parts.slice(0, 2).filter((part, at) => at === 0 || !part.matches("section"));
}

/** The elements that say what stands at `hash`. */
function excerpt(from, hash) {
  const target = hash ? from.getElementById(decodeURIComponent(hash.slice(1))) : from.querySelector(".bd-article section");
  if (!target || (from === document && target.closest(".preview"))) return [];
  if (target.matches("dt")) return [target, target.nextElementSibling];
  if (target.matches(".citation")) return [...target.querySelectorAll("p")];
  const whole = target.closest("div.math, figure, .admonition, .fold, .claim, table");
  if (whole) return [whole];
  if (target.matches("section")) return start(target);
  return target.matches("span") && target.closest("section") ? start(target.closest("section")) : [target];
}

/** A copy without names, so that none is there twice, and without anything that one could press. */
function copy(part, base) {
  const made = document.importNode(part, true);
  for (const gone of made.querySelectorAll(DROPPED)) gone.remove();
  for (const link of made.querySelectorAll("a")) link.replaceWith(...link.childNodes);
  for (const one of [made, ...made.querySelectorAll("*")]) {
    for (const attribute of ["id", "tabindex", "role", "aria-label"]) one.removeAttribute(attribute);
  }
  for (const image of made.querySelectorAll("img")) {
    image.src = new URL(image.getAttribute("src"), base).href;
    image.removeAttribute("loading");
  }
  return made;
}

function place(link) {
  const frame = article.getBoundingClientRect();
  const lines = link.getClientRects();
  const [first, last] = [lines[0], lines[lines.length - 1]];
  const below = innerHeight - last.bottom > box.offsetHeight + 12 || first.top < box.offsetHeight + 12;
  const left = Math.min(last.left - frame.left, frame.width - box.offsetWidth - 8);
  box.style.left = `${Math.max(8, left)}px`;
  box.style.top = `${below ? last.bottom - frame.top + 6 : first.top - frame.top - box.offsetHeight - 6}px`;
}

async function open(link) {
  const url = new URL(link.href);
  let from;
  try {
    from = await page(url);
  } catch {
    return; // no network: the link still works
  }
  if (current !== link) return;
  const parts = excerpt(from, url.hash);
  if (!parts.length) return;
  if (link.title) link.removeAttribute("title"); // it would cover the preview and says the same
  box.replaceChildren(...parts.map((part) => copy(part, url)));
  article.append(box);
  place(link);
  for (const image of box.querySelectorAll("img")) image.addEventListener("load", () => place(link), { once: true });
  link.setAttribute("aria-describedby", box.id);
}

function close() {
  clearTimeout(timer);
  current?.removeAttribute("aria-describedby");
  current = null;
  box.remove();
}

function approach(link) {
  clearTimeout(timer);
  if (link === current) return;
  close();
  current = link;
  timer = setTimeout(open, OPENS_AFTER, link);
}

function leave() {
  clearTimeout(timer);
  timer = setTimeout(close, CLOSES_AFTER);
}

const linkAt = (event) => event.target.closest?.(LINKS);

if (article) {
  article.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    if (linkAt(event)) approach(linkAt(event));
    else if (event.target.closest(".preview")) clearTimeout(timer);
  });
  article.addEventListener("pointerout", (event) => {
    const to = event.relatedTarget?.closest?.(`${LINKS}, .preview`);
    if (event.pointerType !== "touch" && current && to !== current && to !== box) leave();
  });
  article.addEventListener("focusin", (event) => {
    if (linkAt(event)?.matches(":focus-visible")) approach(linkAt(event));
  });
  article.addEventListener("focusout", (event) => {
    if (linkAt(event) === current) leave();
  });
  article.addEventListener("click", close);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && current) close();
  });
}
