// What a page needs a script for while one reads: boxes that scroll can be reached by keyboard, and paper shows all.

const article = document.querySelector(".bd-article");
const BOXES = ".katex-display, div.math, pre, .pst-scrollable-table-container, span.math.wide";

/** What a box that scrolls sideways is called. */
function name(box) {
  if (box.matches(".pst-scrollable-table-container")) return "Table";
  if (box.matches("pre")) return box.closest(".cell_output") ? "Output" : "Code";
  return "Formula";
}

/** A formula in a line that is wider than the line scrolls by itself. All is measured before anything changes. */
function markWideFormulas() {
  const formulas = [...article.querySelectorAll("span.math")];
  for (const formula of formulas) formula.classList.remove("wide");
  const room = (formula) => formula.closest("p, li, dd, td, th, figcaption, summary, h1, h2, h3")?.clientWidth || Infinity;
  const widest = (formula) => Math.max(0, ...[...formula.querySelectorAll(".base")].map((part) => part.offsetWidth));
  const wide = formulas.filter((formula) => widest(formula) > room(formula));
  for (const formula of wide) formula.classList.add("wide");
}

/** A box is a stop for the keyboard only while something in it is out of sight. */
function markBoxes() {
  const boxes = [...article.querySelectorAll(BOXES)].map((box) => [box, box.scrollWidth > box.clientWidth + 1]);
  for (const [box, scrolls] of boxes) {
    if (scrolls) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", `${name(box)}, scrolls sideways`);
    } else if (box.tabIndex === 0) {
      for (const attribute of ["tabindex", "role", "aria-label"]) box.removeAttribute(attribute);
    }
  }
}

function measure() {
  markWideFormulas();
  markBoxes();
}

if (article) {
  for (const claim of article.querySelectorAll(".claim")) {
    const number = claim.querySelector(".claim-number")?.textContent.toLowerCase();
    claim.querySelector(".claim-evidence")?.setAttribute("aria-label", `Evidence for ${number}`);
  }
  let width = 0;
  let soon = 0;
  new ResizeObserver(() => {
    if (article.clientWidth === width) return;
    width = article.clientWidth;
    cancelAnimationFrame(soon);
    soon = requestAnimationFrame(measure);
  }).observe(article);
  document.fonts?.ready.then(measure);
  article.addEventListener("toggle", measure, true); // what is folded has no width

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...article.querySelectorAll("details:not([open])")];
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
  });
}
