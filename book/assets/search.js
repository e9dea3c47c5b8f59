// Ranks the places of the book for what somebody types, and shows them: a section, the box of a claim, a term. It is
// loaded when somebody searches (find.js), after MiniSearch and the index (tools/search.py). A test runs it in Node.
(() => {
  "use strict";

  // ------------------------------------------------------------------------------------------------------- words

  // What readers type for one thing becomes one word, on both sides.
  const SAME = {
    glorot: "xavier", kaiming: "he", bn: "batchnorm", ln: "layernorm", gn: "groupnorm", dying: "dead", die: "dead", dies: "dead",
    died: "dead", kill: "dead", zeros: "zero", zeroes: "zero", std: "deviation", lr: "rate", init: "initialize",
    inits: "initialize", torch: "pytorch", convolution: "conv", convolutions: "conv", convolutional: "conv", batchnormalization: "batchnorm",
    layernormalization: "layernorm", sigma: "σ", chi: "χ", phi: "φ", theta: "θ", eta: "η", alpha: "α", lambda: "λ", gamma: "γ", randn: "random",
  };
  // Several words that are one: the word for them.
  const PHRASES = [
    [/batch[ -]norm(?:ali[sz]ation|ed|s)?/, "batchnorm"],
    [/layer[ -]norm(?:ali[sz]ation|ed|s)?/, "layernorm"],
    [/fan[ -]in/, "fan_in"],
    [/fan[ -]out/, "fan_out"],
  ];
  const STOP = new Set(
    ("a an and are as at be but by can do does for from get has have how i if in into is it its me my no not of on or should so than " +
      "that the their then there these this to use using vs was we what when which who why will with you your").split(" "),
  );
  // A name with dots and a number are words, and so are the parts of a name.
  const SURFACE = new RegExp(`(?:${PHRASES.map(([phrase]) => phrase.source).join("|")})(?![\\p{L}\\p{N}])|[\\p{L}\\p{N}_]+(?:[.^][\\p{L}\\p{N}_]+)*`, "giu");

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

  const known = (word) => stem(SAME[word] ?? word);

  /** What a word in the text stands for; nothing for one that says nothing. */
  function terms(surface) {
    const word = simple(surface);
    if (/[ -]/.test(word)) return [PHRASES.find(([phrase]) => phrase.test(word))[1], ...word.split(/[ -]/).filter((part) => !STOP.has(part)).map(known)];
    if (STOP.has(word)) return [];
    const camel = surface.split(/(?<=\p{Ll})(?=\p{Lu})/u);
    const parts = word.split(/[._]/).filter(Boolean);
    if (/^[\d.]+$/.test(word) || (parts.length < 2 && camel.length < 2)) return [known(word)];
    const inner = [...parts, ...(camel.length > 1 && parts.length < 2 ? camel.map(simple) : [])];
    return [...new Set([SAME[word] ? known(word) : word, ...inner.filter((part) => part.length > 1 && !STOP.has(part)).map(known)])];
  }

  const surfaces = (text) => text.match(SURFACE) ?? [];

  // -------------------------------------------------------------------------------------------------------- ranks

  const BOOST = { title: 5, chapter: 1.2, text: 1, code: 0.4 };
  const LEVEL = { 0: 0.8, 1: 1.6, 2: 1, 3: 0.9 }; // a claim's box or a term, a chapter, a section, one that goes further
  // Where the same words stand again, or for another reader.
  const LESS = [
    [/^book\/teaching\./, 0.35],
    [/^book\/(?:introductions|references|changelog)\./, 0.5],
    [/#(?:.*exercises|summary|references|claims-settled|.*-claims-settled|going-further|in-your-framework)$/, 0.5],
  ];
  const weight = (id, level) =>
    LESS.reduce((left, [where, factor]) => (where.test(id) ? left * factor : left), LEVEL[level] ?? 0.8);

  /** Return the search over the `pages` of the index: each page's places as [anchor, level, title, text, code]. */
  function open(pages) {
    const engine = new MiniSearch({ fields: Object.keys(BOOST), tokenize: surfaces, processTerm: terms });
    const places = new Map();
    for (const [page, rows] of Object.entries(pages)) {
      for (const [anchor, level, title, text, code] of rows) {
        const id = `${page}#${anchor}`;
        const chapter = level === 1 ? "" : (rows[0]?.[2] ?? "");
        places.set(id, { id, level, title, chapter, text, code });
      }
    }
    engine.addAll([...places.values()]);

    /** The places for a query, the best first, each with the words in it that were meant. */
    return function search(query) {
      const asked = new Set(surfaces(query).flatMap(terms));
      if (!asked.size) return [];
      const options = {
        boost: BOOST,
        boostDocument: (id) => weight(id, places.get(id).level),
        prefix: (term) => term.length > 2 && !/\d/.test(term),
        weights: { prefix: 0.4, fuzzy: 0.3 },
      };
      const words = surfaces(query).join(" ");
      let hits = engine.search(words, options);
      const met = new Set(hits.flatMap((hit) => hit.queryTerms));
      const mistyped = [...asked].filter((term) => !met.has(term) && term.length > 4 && !/\d/.test(term));
      if (mistyped.length) hits = engine.search(words, { ...options, fuzzy: (term) => mistyped.includes(term) && 0.25 });
      return hits
        .map((hit) => ({ ...places.get(hit.id), terms: new Set(hit.terms), score: hit.score * (hit.queryTerms.length / asked.size) ** 2 }))
        .sort((a, b) => b.score - a.score);
    };
  }

  // ----------------------------------------------------------------------------------------------------- excerpts

  const LENGTH = 190;

  /** Where in a text the words are that were meant. */
  function marks(text, meant) {
    return [...text.matchAll(SURFACE)]
      .filter((found) => terms(found[0]).some((term) => meant.has(term)))
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
    if (hit.chapter) line.append(made("span", { className: "where" }, hit.chapter));
    if (hit.text) line.append(made("p", { className: "context" }, ...marked(excerpt(hit.text, hit.terms))));
    return line;
  }

  /** Show in `box` the first `limit` places for a query; a button shows the others. */
  function show(box, search, query, limit) {
    const root = document.documentElement.dataset.content_root ?? "./";
    const hits = query.trim() ? search(query) : [];
    const told = `${hits.length} place${hits.length === 1 ? "" : "s"} found for “${query.trim()}”`;
    const nothing = `Nothing found for “${query.trim()}”. Try another word, or fewer.`;
    const status = made("p", { className: "search-summary", role: "status" }, !query.trim() ? "" : hits.length ? told : nothing);
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

  globalThis.BookSearch = { open, terms, surfaces, excerpt, address, show };
})();
