// The buttons that the theme would give inline handlers, which the policy of the pages forbids.
document.addEventListener("click", (event) => {
  const what = event.target.closest?.("[data-click]")?.dataset.click;
  if (what === "print") window.print();
  if (what === "fullscreen") window.toggleFullScreen();
});

// A page opened from a disk may not fetch the others to show an extract.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// A formula is on the page twice, for screen readers and for the eye; an extract shows it once.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const text = Search.htmlToText;
  Search.htmlToText = (html, anchor) => text(html.replace(/<math[\s\S]*?<\/math>/g, ""), anchor);
});
