// What a page needs a script for while one reads: boxes that scroll can be reached by keyboard, and paper shows all.

const article = document.querySelector(".bd-article");
const BOXES = ".katex-display, div.math, pre, .pst-scrollable-table-container, span.math.wide, .wide-table, .plate-pane";

/** What a box that scrolls sideways is called. */
function name(box) {
  if (box.matches(".pst-scrollable-table-container")) return "Table";
  if (box.matches(".plate-pane")) return "Figure";
  if (box.matches("pre")) return box.closest(".cell_output") ? "Output" : "Code";
  return "Formula";
}

/** A formula in a line that is wider than the line scrolls by itself. */
function fitFormula(formula) {
  formula.classList.remove("wide");
  const room = formula.closest("p, li, dd, td, th, figcaption, h1, h2, h3")?.clientWidth;
  const widest = Math.max(0, ...[...formula.querySelectorAll(".katex-base")].map((part) => part.offsetWidth));
  if (room && widest > room) formula.classList.add("wide");
}

/** Says at which sides a box has more than it shows: phone.css shades these. */
function mark(box) {
  const sides = [box.scrollLeft > 1 && "start", box.scrollWidth - box.clientWidth - box.scrollLeft > 1 && "end"];
  const more = sides.filter(Boolean).join(" ");
  if (more) box.dataset.more = more;
  else delete box.dataset.more;
}

/** A box is a stop for the keyboard only while something in it is out of sight. */
function fitBox(box) {
  mark(box);
  if (box.getAttribute("role") === "region") return; // it has its name, and is a stop already
  if (box.scrollWidth > box.clientWidth + 1) {
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", `${name(box)}, scrolls sideways`);
  } else if (box.tabIndex === 0) {
    for (const attribute of ["tabindex", "role", "aria-label"]) box.removeAttribute(attribute);
  }
}

const whenIdle = globalThis.requestIdleCallback ?? ((work) => setTimeout(work, 50, { timeRemaining: () => 10 }));
let waiting = []; // what is to be measured, a little at a time: a page that loads has better things to do
let working = false;

function start() {
  if (working) return;
  working = true;
  whenIdle(work, { timeout: 500 });
}

function work(deadline) {
  do {
    const one = waiting.shift();
    if (!one) break;
    if (one.matches("span.math")) fitFormula(one);
    if (one.matches(BOXES)) fitBox(one);
  } while (deadline.timeRemaining() > 2);
  working = false;
  if (waiting.length) start();
  else article.dataset.measured = article.clientWidth;
}

// What is far below is measured when it comes near, and at once where a test wants the page whole.
const near = new IntersectionObserver(
  (seen) => {
    for (const { target, isIntersecting } of seen) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      waiting.push(target);
    }
    if (waiting.length) start();
  },
  { rootMargin: "100%" },
);

function measure() {
  delete article.dataset.measured;
  near.disconnect();
  const all = [...article.querySelectorAll(`${BOXES}, span.math`)];
  if ("whole" in document.documentElement.dataset) {
    waiting = all;
    start();
  } else {
    waiting = [];
    for (const one of all) near.observe(one);
  }
}

if (article) {
  for (const claim of article.querySelectorAll(".claim")) {
    const number = claim.querySelector(".claim-number")?.textContent.toLowerCase();
    claim.querySelector(".claim-evidence")?.setAttribute("aria-label", `Evidence for ${number}`);
  }
  let width = 0;
  new ResizeObserver(() => {
    if (article.clientWidth === width) return;
    width = article.clientWidth;
    measure();
  }).observe(article);
  new MutationObserver(measure).observe(document.documentElement, { attributeFilter: ["data-whole"] });
  document.fonts?.addEventListener("loadingdone", measure); // also those that only an unfolded formula needs
  article.addEventListener("toggle", measure, true); // what is folded has no width
  article.addEventListener("scroll", ({ target }) => target.matches(BOXES) && mark(target), { capture: true, passive: true });

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...article.querySelectorAll("details:not([open])")];
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
  });
}
