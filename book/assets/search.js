// Ranks the places of the book for what somebody types, and shows them: a section, the box of a claim, a term. It is
// loaded when somebody searches (find.js), after MiniSearch and the index (tools/search.py). A test runs it in Node.
(() => {
  "use strict";

  // ------------------------------------------------------------------------------------------------------- words

  // Names of one thing: where the book says one, it is found by all.
  const GROUPS = [
    "xavier glorot", "he kaiming", "dead dying die dies died", "zero zeros zeroes", "std deviation", "rate lr", "initialize init inits",
    "pytorch torch", "conv convolution convolutions convolutional", "random randn", "skip residual resnet shortcut", "batchnorm bn", "layernorm ln", "data-dependent lsuv", "variance var", "equal identical",
    "silu swish",
  ];
  const GREEK = { sigma: "σ", chi: "χ", phi: "φ", theta: "θ", eta: "η", alpha: "α", lambda: "λ", gamma: "γ" };
  // Several words that are one: the word for them.
  const PHRASES = [
    [/batch[ -]?norm(?:ali[sz]ation|ed|s)?/, () => ["batchnorm", "normaliz"]],
    [/layer[ -]?norm(?:ali[sz]ation|ed|s)?/, () => ["layernorm", "normaliz"]],
    [/fan[ -]in/, () => ["fan_in", "fan"]],
    [/fan[ -]out/, () => ["fan_out", "fan"]],
    [/data[ -]dependent/, () => ["data-dependent", "data"]],
    [/(?:√|(?:math[.]|np[.]|torch[.])?sqrt) ?\(? ?(\d+)/, (found) => [`√${found[1]}`]],
  ];
  const STOP = new Set(
    ("a an and are as at be but by can do does for from get has have how i if in into is it its me my no not of on or should so than " +
      "that the their then there these this to use using vs was we what when which who why will with you your").split(" "),
  );
  // A name with dots and a number are words, and so are the parts of a name.
  const SURFACE = new RegExp(`(?:${PHRASES.map(([phrase]) => phrase.source).join("|")})(?![\\p{L}\\p{N}])|[\\p{L}\\p{N}_]+(?:[.^][\\p{L}\\p{N}_]+)*|√`, "giu");

  const simple = (text) => text.normalize("NFKD").replace(/[\u0300-\u036f^]/g, "").toLowerCase();

  /** A word without its ending; the book and the query lose the same. */
  function stem(word) {
    if (word.length < 4 || /[^a-z]/.test(word)) return word;
    return word
      .replace(/is(e|ed|es|er|ers|ing|ation|ations)$/, "iz$1")
      .replace(/our(s|al)?$/, "or$1")
      .replace(/(?<=[^aeiou])ies$/, "y")
      .replace(/(?<=[^sui])s$/, "")
      .replace(/(?<=iz)(ation|er)$/, "")
      .replace(/(?<=[aeiouy]\w*\w)(ing|ed|ly)$/, "")
      .replace(/(?<=\w\w[a-z])(ion)$/, "")
      .replace(/([^aeiouls])\1$/, "$1")
      .replace(/(?<=\w\w)e$/, "");
  }

  const MEMBERS = new Map();
  for (const group of GROUPS) for (const word of group.split(" ")) MEMBERS.set(stem(word), group.split(" ").map(stem));

  /** What a word stands for by itself: more than one term for a name with parts. */
  function meanings(surface) {
    const word = simple(surface).replace(/^[a-z]+(?=_|$)/, (name) => GREEK[name] ?? name);
    for (const [phrase, meaning] of PHRASES) {
      const found = word.match(phrase);
      if (found?.[0].length === word.length) return meaning(found);
    }
    const parts = word.split(/[._]/).filter(Boolean);
    const camel = parts.length > 1 ? [] : surface.split(/(?<=\p{Ll})(?=\p{Lu})/u).map(simple);
    const inner = [...parts, ...camel].filter((part) => part.length > 1 && !STOP.has(part));
    return /^[\d.]+$/.test(word) || parts.length + camel.length < 3 ? [stem(word)] : [...new Set([word, ...inner.map(stem)])];
  }

  const kept = { book: new Map(), query: new Map() }; // the book has some ten thousand words, again and again

  /** The terms of a word: those of a query as they are, those of the book with all names of the same thing. */
  function terms(surface, field) {
    const known = field ? kept.book : kept.query;
    let found = known.get(surface);
    if (!found) {
      found = meanings(surface);
      if (field) found = [...new Set(found.flatMap((term) => MEMBERS.get(term) ?? [term]))];
      known.set(surface, found);
    }
    return field === "text" && STOP.has(found[0]) ? [] : found; // a title is a whole
  }

  const unnumbered = (title) => title.replace(/^(?:Stop )?[\d.]+ /, ""); // a section's number is no number of the text
  const surfaces = (text) => text.match(SURFACE) ?? [];

  // -------------------------------------------------------------------------------------------------------- ranks

  const BOOST = { title: 2, chapter: 0.7, text: 1, words: 2, code: 0.8 };
  const OPTIONS = {
    boost: BOOST,
    boostTerm: (term) => (STOP.has(term) ? 0.15 : 1),
    prefix: (term) => term.length > 2 && !/\d/.test(term) && !STOP.has(term),
    weights: { prefix: 0.4, fuzzy: 0.3 },
    bm25: { k: 2, b: 0.85, d: 0.5 },
  };
  // Where the same words stand again, or for another reader.
  const LESS = [
    [/^book\/(?:teaching|changelog)\./, 0.35],
    [/^book\/(?:introductions|references)\./, 0.5],
    [/^book\/(?:09|1\d)_/, 0.8], // a word is told first in the course
    [/#claim-\d+$|#term-/, 0.6],
    [/#(?:.*exercises|summary|references|claims-settled|.*-claims-settled|going-further|in-your-framework)$/, 0.5],
  ];
  const weight = (id) => LESS.reduce((left, [where, factor]) => (where.test(id) ? left * factor : left), 1);

  const fraction = (all, met) => all.filter(met).length / (all.length || 1);

  /** What is asked for in a query: its words that say something, or all if none does. */
  function asked(query) {
    const every = [...new Set(surfaces(query).flatMap((word) => terms(word)))];
    const telling = every.filter((term) => !STOP.has(term));
    return { every, telling: telling.length ? telling : every };
  }

  /** The places of the index, which has for each page rows of [anchor, level, title, text, code, words]. */
  function placesOf(pages) {
    const places = new Map();
    for (const [page, rows] of Object.entries(pages)) {
      if (!rows.length) continue;
      // What a chapter says of itself at its top holds for all of its sections.
      const [, , top, said] = rows[0];
      const about = surfaces(`${unnumbered(top)} ${said}`).filter((word) => !STOP.has(word.toLowerCase()));
      for (const [anchor, level, title, text, code, words] of rows) {
        const [where, chapter] = level === 1 ? ["", ""] : [top, [...new Set(about)].join(" ")];
        const heads = surfaces(unnumbered(title)).map((word) => terms(word, "title"));
        const path = new Set([heads, surfaces(unnumbered(where)).map((word) => terms(word, "title"))].flat(2));
        const id = `${page}#${anchor}`;
        places.set(id, { id, title, where, text, code, words, chapter, heads, path });
      }
    }
    return places;
  }

  /** Return, once all is read, the search: it gives the places for a query, the best first, with the terms meant. */
  async function open(pages) {
    const places = placesOf(pages);
    const engine = new MiniSearch({
      fields: Object.keys(BOOST),
      extractField: (place, field) => (field === "title" ? unnumbered(place.title) : place[field]),
      tokenize: surfaces,
      processTerm: terms,
    });
    await engine.addAllAsync([...places.values()], { chunkSize: 25 }); // a page stays responsive

    /** A hit with a score that counts how much of the query is in the place, and how much of its title in the query. */
    function scored(hit, { every, telling }) {
      const place = places.get(hit.id);
      const isAsked = (head) => head.some((term) => every.includes(term));
      const share = fraction(telling, (term) => hit.queryTerms.includes(term));
      const onPath = fraction(telling, (term) => place.path.has(term));
      const begins = place.heads[0]?.some((term) => telling.includes(term)) ? 0.6 : 0;
      const score = hit.score * share ** 1.5 * (1 + 0.8 * fraction(place.heads, isAsked) + begins + onPath);
      return { ...place, score, terms: new Set(hit.terms.filter((term) => telling.includes(term) || !STOP.has(term))) };
    }

    return function search(query) {
      const words = surfaces(query).join(" ");
      const meant = asked(query);
      const options = { ...OPTIONS, boostDocument: weight };
      let hits = engine.search(words, options);
      const met = new Set(hits.flatMap((hit) => hit.queryTerms));
      const mistyped = meant.telling.filter((term) => !met.has(term) && term.length > 4 && !/\d/.test(term));
      if (mistyped.length) hits = engine.search(words, { ...options, fuzzy: (term) => mistyped.includes(term) && 0.25 });
      const found = hits.map((hit) => scored(hit, meant)).sort((a, b) => b.score - a.score);
      return found.filter((hit) => hit.score > found[0].score / 25); // what has little of it is not worth a line
    };
  }

  // ----------------------------------------------------------------------------------------------------- excerpts

  const LENGTH = 190;

  /** Where in a text the words are that were meant. */
  function marks(text, meant) {
    return [...text.matchAll(SURFACE)]
      .filter((found) => terms(found[0], "title").some((term) => meant.has(term)))
      .map((found) => ({ start: found.index, end: found.index + found[0].length, said: found[0] }));
  }

  /** A text, or a part of it, as pieces [text, whether it is marked]. */
  function pieces(text, found, begin = 0, end = text.length) {
    const parts = [];
    for (const mark of found) {
      parts.push([text.slice(begin, mark.start), false], [mark.said, true]);
      begin = mark.end;
    }
    return [...parts, [text.slice(begin, end), false]].filter(([part]) => part);
  }

  /** The part of a text with most of the words that were meant, in such pieces. */
  function excerpt(text, meant) {
    const found = marks(text, meant);
    let best = 0;
    let from = 0;
    for (const { start } of found) {
      const inside = found.filter((mark) => mark.start >= start && mark.end <= start + LENGTH - 40);
      const many = new Set(inside.map((mark) => mark.said.toLowerCase())).size + inside.length / 100;
      if (many > best) [best, from] = [many, start];
    }
    // From the sentence's beginning, if that is near, or else from a word.
    const sentence = Math.max(...[". ", "? ", ": "].map((end) => text.lastIndexOf(end, from - 1) + 2).filter((at) => at > 1), 0);
    const begin = from - sentence < 70 ? sentence : text.indexOf(" ", from - 60) + 1;
    const end = begin + LENGTH < text.length ? Math.max(text.lastIndexOf(" ", begin + LENGTH), begin + 1) : text.length;
    const inside = found.filter((mark) => mark.start >= begin && mark.end <= end);
    return [["… ", false], ...pieces(text, inside, begin, end), [" …", false]].slice(begin ? 0 : 1, end < text.length ? undefined : -1);
  }

  /** Where a hit leads: to its place, with the words to mark there. */
  function address(hit) {
    const said = marks(`${hit.title} ${hit.text}`, hit.terms).map((mark) => mark.said.toLowerCase());
    const words = [...new Set(said)].slice(0, 12);
    const [page, anchor] = hit.id.split("#");
    return `${page}${words.length ? `?highlight=${encodeURIComponent(words.join("|"))}` : ""}#${anchor}`;
  }

  // ------------------------------------------------------------------------------------------------------ in a page

  const made = (tag, properties, ...inside) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...inside);
    return element;
  };
  const marked = (pieces) => pieces.map(([part, mark]) => (mark ? made("mark", {}, part) : part));

  function item(hit, root) {
    const line = made("li", {}, made("a", { href: root + address(hit) }, ...marked(pieces(hit.title, marks(hit.title, hit.terms)))));
    if (hit.where) line.append(made("span", { className: "where" }, hit.where));
    if (hit.text) line.append(made("p", { className: "context" }, ...marked(excerpt(hit.text, hit.terms))));
    return line;
  }

  /** Show in `box` the first `limit` places for a query; a button shows the others. */
  function show(box, search, query, limit) {
    const root = document.documentElement.dataset.content_root ?? "./";
    const hits = query.trim() ? search(query) : [];
    const told = `${hits.length} place${hits.length === 1 ? "" : "s"} found for “${query.trim()}”`;
    const nothing = `Nothing found for “${query.trim()}”. Try another word, or fewer.`;
    const status = box.querySelector("[role=status]") ?? made("p", { className: "search-summary", role: "status" });
    status.textContent = !query.trim() ? "" : hits.length ? told : nothing;
    const list = made("ul", { className: "search" }, ...hits.slice(0, limit).map((hit) => item(hit, root)));
    box.replaceChildren(status, list);
    if (hits.length <= limit) return;
    const more = made("button", { type: "button", className: "more-found" }, `Show all ${hits.length}`);
    more.addEventListener("click", () => {
      const first = hits.slice(limit).map((hit) => item(hit, root));
      list.append(...first);
      first[0].querySelector("a").focus();
      more.remove();
    });
    box.append(more);
  }

  globalThis.BookSearch = { open, excerpt, address, show };
})();
