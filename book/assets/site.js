// The buttons that the theme would give inline handlers, which the policy of the pages forbids.
document.addEventListener("click", (event) => {
  const what = event.target.closest?.("[data-click]")?.dataset.click;
  if (what === "print") window.print();
  if (what === "fullscreen") window.toggleFullScreen();
});
