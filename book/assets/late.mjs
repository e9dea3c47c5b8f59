// The script of a live figure that is far below comes when a reader does: the page marks it with the type "text/late" and
// the name of the element that waits for it. Scripts of one element run in their order.

const late = [...document.querySelectorAll('script[type="text/late"]')];

function load(kind) {
  for (const script of late.filter((one) => one.dataset.for === kind && one.isConnected)) {
    const live = document.createElement("script");
    if (/\.mjs(\?|$)/.test(script.src)) live.type = "module";
    live.async = false;
    live.src = script.src;
    script.replaceWith(live);
  }
}

const coming = new IntersectionObserver(
  (seen) => {
    for (const { target, isIntersecting } of seen) if (isIntersecting) load(target.localName);
  },
  { rootMargin: "150%" },
);

function loadAll() {
  if ("whole" in document.documentElement.dataset) for (const script of late) load(script.dataset.for);
}

for (const kind of new Set(late.map((script) => script.dataset.for))) {
  for (const figure of document.querySelectorAll(kind)) coming.observe(figure);
}
new MutationObserver(loadAll).observe(document.documentElement, { attributeFilter: ["data-whole"] }); // as tests want a page
loadAll();
