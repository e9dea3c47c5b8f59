// Filters the ledger: by verdict, by chapter, by words. Without this every line is there, and unfolds.

const list = document.querySelector(".ledger");
const ANNOUNCED_AFTER = 400; // milliseconds, so that a word is announced once and not letter by letter

/** An element with properties and children. */
function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** The values of an attribute in the order of the list, each with how often it is there. */
function tally(rows, name) {
  const found = new Map();
  for (const row of rows) found.set(row.dataset[name], (found.get(row.dataset[name]) ?? 0) + 1);
  return found;
}

function chapters(rows) {
  const names = new Map();
  for (const row of rows) {
    const name = row.querySelector("a")?.textContent.replace(/^Chapter /, "").replace(",", ".");
    names.set(row.dataset.chapter, name ?? "still to come");
  }
  return [...names].sort(([one], [other]) => one - other);
}

/** The three filters, and the line that says what is shown. */
function controls(rows) {
  const verdicts = tally(rows, "verdict");
  const kinds = ["holds", "holds when", "fails", "no verdict"].filter((kind) => verdicts.has(kind));
  const choice = (value, text) =>
    make("label", {}, make("input", { type: "radio", name: "verdict", value, defaultChecked: !value }), make("span", {}, text));
  const choices = kinds.map((kind) => choice(kind, `${kind} (${verdicts.get(kind)})`));
  const verdict = make("fieldset", {}, make("legend", {}, "Verdict"), choice("", `all (${rows.length})`), ...choices);
  const options = chapters(rows).map(([value, text]) => make("option", { value }, text));
  const chapter = make("select", { name: "chapter" }, make("option", { value: "" }, "all chapters"), ...options);
  const words = make("input", { type: "search", name: "words", autocomplete: "off", spellcheck: false });
  return make(
    "form",
    { className: "ledger-filter", role: "search", ariaLabel: "Filter the ledger" },
    verdict,
    make("label", {}, make("span", {}, "Chapter"), chapter),
    make("label", {}, make("span", {}, "Words"), words),
    make("label", {}, make("input", { type: "checkbox", name: "evidence" }), "Open all lines"),
    make("button", { type: "reset" }, "Show all"),
    make("p", { role: "status", className: "ledger-count" }),
  );
}

/** What is asked for, from the form or the page's address: without what is not asked for. */
function asked(form) {
  return new URLSearchParams([...new FormData(form)].filter(([name, value]) => value && name !== "evidence"));
}

function fits(row, text, wanted) {
  const words = (wanted.get("words") ?? "").toLowerCase().split(/\s+/);
  return (
    [null, row.dataset.verdict].includes(wanted.get("verdict")) &&
    [null, row.dataset.chapter].includes(wanted.get("chapter")) &&
    words.every((word) => text.includes(word))
  );
}

function start() {
  const rows = [...list.querySelectorAll("details")];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const form = controls(rows);
  const count = form.querySelector(".ledger-count");
  let timer = 0;

  function show({ later = false } = {}) {
    const wanted = asked(form);
    for (const row of rows) row.hidden = !fits(row, texts.get(row), wanted);
    const shown = rows.filter((row) => !row.hidden).length;
    const said = `${shown} of ${rows.length} claims shown`;
    clearTimeout(timer);
    timer = setTimeout(() => (count.textContent = shown ? said : "No claim fits. Show all brings them back."), later ? ANNOUNCED_AFTER : 0);
    const query = String(wanted);
    history.replaceState(null, "", `${location.pathname}${query && `?${query}`}${location.hash}`);
  }

  function openAll(open) {
    for (const row of rows) row.open = open;
  }

  /** A link to a claim opens it, whatever was asked for. */
  function follow() {
    const row = location.hash && document.getElementById(location.hash.slice(1));
    if (!row || !rows.includes(row)) return;
    const lost = row.hidden;
    if (lost) form.reset();
    row.hidden = false;
    row.open = true;
    if (lost) row.scrollIntoView();
  }

  for (const [name, value] of new URLSearchParams(location.search)) {
    const field = ["verdict", "chapter", "words"].includes(name) && form.elements[name];
    if (field) field.value = value;
  }
  if (!form.elements.verdict.value) form.elements.verdict.value = ""; // where the address has one that is none
  if (form.elements.chapter.selectedIndex < 0) form.elements.chapter.value = "";
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.name === "evidence") openAll(event.target.checked);
    else show({ later: event.target.name === "words" });
  });
  form.addEventListener("reset", () => {
    if (form.elements.evidence.checked) openAll(false);
    setTimeout(show);
  });
  addEventListener("hashchange", follow);
  list.prepend(form);
  show();
  follow();
}

if (list) start();
