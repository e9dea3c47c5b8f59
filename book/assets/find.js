// Brings the search when somebody wants it, and marks on a page the words that a hit was found by.
(() => {
  "use strict";

  const dialog = document.getElementById("pst-search-dialog");
  const results = document.getElementById("search-results"); // on the search's own page
  const FIRST = { page: 20, dialog: 8 };

  // -------------------------------------------------------------------------------------------------------- search

  let loading = null;

  /** What searches; its files are loaded once, in order, as scripts, which a page opened from a disk may do. */
  function searcher() {
    loading ??= Promise.all(
      [...document.getElementById("search-scripts").content.querySelectorAll("script")].map(
        ({ src }) =>
          new Promise((done, failed) => {
            const script = Object.assign(document.createElement("script"), { src, async: false, onload: done, onerror: failed });
            document.head.append(script);
          }),
      ),
    ).then(() => globalThis.BookSearch.open(globalThis.SEARCH_INDEX));
    return loading;
  }

  /** Search while one types: `box` shows what was found for the text of `input`. */
  function connect(input, box, limit, after = () => {}) {
    let waiting = 0;
    const update = async () => {
      try {
        const search = await searcher();
        globalThis.BookSearch.show(box, search, input.value, limit);
        after(input.value);
      } catch {
        loading = null; // the next letter tries again
        box.textContent = "The search could not be loaded. Is there a connection?";
      }
    };
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(update, 120);
    });
    return update;
  }

  if (results) {
    const input = document.querySelector(".bd-search-container input[name=q]");
    const keep = (query) => {
      const url = new URL(location.href);
      url.searchParams.set("q", query);
      history.replaceState(null, "", url);
    };
    input.value = new URLSearchParams(location.search).get("q") ?? "";
    const update = connect(input, results, FIRST.page, keep);
    if (input.value.trim()) update();
    input.form.addEventListener("submit", (event) => {
      event.preventDefault();
      update();
    });
  } else if (dialog) {
    const input = dialog.querySelector("input[name=q]");
    connect(input, dialog.querySelector(".found"), FIRST.dialog);
    new MutationObserver(() => dialog.open && searcher().catch(() => (loading = null))).observe(dialog, { attributeFilter: ["open"] });
    // The arrow keys go from the field to the results and through them.
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const stops = [input, ...dialog.querySelectorAll(".found :is(a, button)")];
      stops[stops.indexOf(document.activeElement) + step]?.focus();
      event.preventDefault();
      event.stopPropagation();
    });
  }

  // --------------------------------------------------------------------------------------------------------- marks

  const article = document.querySelector(".bd-article");
  const UNMARKED = ".katex, script, style, button, select, textarea, svg, .headerlink, init-lab, train-lab, curve-slider";

  function mark(words) {
    const either = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    const pattern = new RegExp(`(?<![\\p{L}\\p{N}_])(?:${either})(?![\\p{L}\\p{N}_])`, "giu");
    const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) if (!walker.currentNode.parentElement.closest(UNMARKED)) texts.push(walker.currentNode);
    for (const text of texts) {
      for (const found of [...text.data.matchAll(pattern)].reverse()) {
        const inside = text.splitText(found.index);
        inside.splitText(found[0].length);
        const marked = document.createElement("mark");
        marked.className = "highlighted";
        inside.replaceWith(marked);
        marked.append(inside);
      }
    }
    return article.querySelectorAll("mark.highlighted");
  }

  function hide() {
    document.querySelector(".hide-matches")?.remove();
    for (const marked of article.querySelectorAll("mark.highlighted")) {
      const around = marked.parentNode;
      marked.replaceWith(...marked.childNodes);
      around.normalize();
    }
  }

  /** A button over the page, as a hit may lead far down. */
  function offerToHide(many) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "hide-matches", textContent: "Hide matches" });
    button.title = `${many} on this page`;
    button.addEventListener("click", hide);
    document.body.append(button);
    addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input, textarea, select, dialog[open]");
      if (event.key === "Escape" && !typing) hide();
    });
  }

  /** Unfold what of a hit's own place is folded and holds a word. */
  function unfold(target, marked) {
    const folds = (element) => {
      for (let fold = element.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    };
    folds(target);
    for (const one of marked) if (target.contains(one) && one.closest("section, .claim") === target) folds(one);
  }

  const url = new URL(location.href);
  const words = (url.searchParams.get("highlight") ?? "").split("|").filter((word) => word.trim());
  if (article && words.length) {
    url.searchParams.delete("highlight"); // so that a link that one copies leads to the place and no more
    history.replaceState(null, "", url);
    const marked = mark(words);
    if (marked.length) offerToHide(marked.length);
    const target = url.hash && document.getElementById(decodeURIComponent(url.hash.slice(1)));
    if (target) {
      unfold(target, marked);
      target.scrollIntoView();
    }
  }
})();
